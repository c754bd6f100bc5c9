//! The widgets of a node and the values that were saved for them.
//!
//! Values are saved as a list without names. Which belongs to which follows from the order in
//! which the editor makes the widgets: that of the declared inputs, with those that some inputs
//! bring along right behind them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fit::{Fit, Misfit, bounds};
use super::js;
use super::values::{Saved, Values};
use crate::comfy::nodes::{Dynamic, DynamicOption, Input, NodeClass};

/// The input types for which the editor has a widget (frontend 1.49.6).
const WIDGET_TYPES: [&str; 25] = [
    "INT",
    "FLOAT",
    "BOOLEAN",
    "STRING",
    "COMBO",
    "COMFY_DYNAMICCOMBO_V3",
    "MARKDOWN",
    "IMAGEUPLOAD",
    "COLOR",
    "COLORS",
    "IMAGECOMPARE",
    "BOUNDING_BOX",
    "BOUNDING_BOXES",
    "CHART",
    "GALLERIA",
    "PAINTER",
    "COMPOSITOR",
    "TEXTAREA",
    "CURVE",
    "RANGE",
    "LOAD_3D",
    "WEBCAM",
    "AUDIO_RECORD",
    "AUDIO_UI",
    "AUDIOUPLOAD",
];

/// Classes that load a model into a 3D view.
const LOADS_VIEW: [&str; 2] = ["Load3D", "Load3DAdvanced"];

/// What stands before the view in them: buttons, which the editor writes into prompts too.
const VIEW_BUTTONS: [(&str, &str); 3] = [
    ("upload 3d model", "upload3dmodel"),
    ("upload extra resources", "uploadExtraResources"),
    ("clear", "clear"),
];

/// Classes to which the editor adds a 3D view that no server declares.
const WITH_VIEW: [&str; 2] = ["SaveGLB", "Preview3D"];

/// How much room a widget takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::comfy) enum Room {
    #[default]
    Line,
    /// A box for a text of many lines.
    Lines,
}

/// A widget as it stands in the editor once the graph is loaded.
#[derive(Clone, Debug, Default)]
pub(in crate::comfy) struct Widget {
    pub(in crate::comfy) name: String,
    /// `None` is JavaScript's `undefined`, which no prompt has.
    pub(in crate::comfy) value: Option<Value>,
    /// Whether `{a|b}` and comments in its text mean something.
    pub(in crate::comfy) dynamic_prompt: bool,
    /// Whether `%...%` in its text is replaced.
    pub(super) replaces: bool,
    /// Whether the value is taken from the browser when a prompt is queued.
    pub(super) captured: bool,
    /// The smallest and the largest number.
    pub(super) bounds: Option<(f64, f64)>,
    /// What the class declares.
    pub(super) declared: Option<Input>,
    pub(in crate::comfy) room: Room,
    /// How many of the saved values are its: its own, and those that say how it changes from run to
    /// run.
    pub(in crate::comfy) saved: usize,
}

/// An input slot as it stands in the editor.
#[derive(Clone, Debug, Default)]
pub(in crate::comfy) struct Slot {
    pub(in crate::comfy) name: String,
    pub(in crate::comfy) io_type: String,
    pub(super) link: Option<String>,
    /// Where its widget stands among the node's.
    pub(in crate::comfy) widget: Option<usize>,
    /// Whether the node can do without.
    pub(in crate::comfy) optional: bool,
}

/// What a class and the saved values make up.
#[derive(Debug, Default)]
pub(in crate::comfy) struct Layout {
    pub(in crate::comfy) slots: Vec<Slot>,
    pub(in crate::comfy) widgets: Vec<Widget>,
    /// How the saved values go with the widgets.
    pub(super) fit: Fit,
}

/// The widget of an input, by its type; `None` for an input that takes links only.
pub(super) fn widget_type(input: &Input) -> Option<&str> {
    if input.flag("forceInput") {
        return None;
    }
    let declared = input.option("widgetType").and_then(Value::as_str);
    let name = declared.unwrap_or(input.io_type().name());
    WIDGET_TYPES.contains(&name).then_some(name)
}

/// Lays out the slots and widgets of a node with these saved values.
pub(super) fn lay_out(class: &NodeClass, saved: Option<&Value>) -> Layout {
    build(class, Values::of(class, saved))
}

/// Lays out the slots and widgets of a prompt's node with these inputs. What is linked has the
/// value that its widget begins with.
pub(in crate::comfy) fn lay_out_prompt(class: &NodeClass, inputs: &Map<String, Value>) -> Layout {
    build(class, Values::Prompt(inputs))
}

fn build(class: &NodeClass, values: Values<'_>) -> Layout {
    let mut builder = Builder {
        values,
        sockets: Vec::new(),
        behind: Vec::new(),
        widgets: Vec::new(),
        has_buttons: LOADS_VIEW.contains(&class.name()),
        misfits: Vec::new(),
    };
    let values = builder.values.left();
    for input in class.inputs() {
        builder.input(input, input.name().to_owned(), false);
    }
    if class.name() == "CustomCombo" {
        builder.custom_options();
    }
    if WITH_VIEW.contains(&class.name()) {
        builder.text("image", "");
    }
    for (name, value) in builder.values.undeclared(class) {
        if builder.widgets.iter().all(|widget| widget.name != *name) {
            builder.widgets.push(Widget {
                name: name.clone(),
                value: Some(js::value(value)),
                saved: 1,
                ..Widget::default()
            });
        }
    }
    let mut slots = builder.sockets;
    slots.append(&mut builder.behind);
    Layout {
        slots,
        widgets: builder.widgets,
        fit: Fit {
            values,
            surplus: builder.values.rest(),
            misfits: builder.misfits,
            ..Fit::default()
        },
    }
}

struct Builder<'a> {
    values: Values<'a>,
    /// Slots without a widget stand before those with one.
    sockets: Vec<Slot>,
    behind: Vec<Slot>,
    widgets: Vec<Widget>,
    has_buttons: bool,
    misfits: Vec<Misfit>,
}

impl Builder<'_> {
    fn input(&mut self, input: &Input, name: String, nested: bool) {
        if let Some(Dynamic::Autogrow {
            template,
            names,
            min,
        }) = input.dynamic()
        {
            let used = |part: &Arc<str>| self.values.has(&format!("{name}.{part}"));
            let used = names.iter().rposition(used).map_or(0, |last| last + 1);
            // Behind the last one that is connected stands a free one.
            for part in names.iter().take(used.max(1).max(*min) + 1) {
                self.socket(template, format!("{name}.{part}"), nested);
            }
            return;
        }
        match widget_type(input) {
            None => self.socket(input, name, nested),
            Some(kind) => self.widget(input, kind, &name, nested),
        }
    }

    fn socket(&mut self, input: &Input, name: String, nested: bool) {
        let allowed = input
            .option("template")
            .and_then(|template| template.get("allowed_types")?.as_str());
        let slot = Slot {
            name,
            io_type: allowed.unwrap_or(input.io_type().name()).to_owned(),
            optional: !input.is_required(),
            ..Slot::default()
        };
        if nested {
            self.behind.push(slot);
        } else {
            self.sockets.push(slot);
        }
    }

    fn widget(&mut self, input: &Input, kind: &str, name: &str, nested: bool) {
        if kind == "LOAD_3D" && self.has_buttons {
            for (button, value) in VIEW_BUTTONS {
                self.text(button, value);
            }
        }
        let value = match kind {
            // Shows pictures, and keeps none of them.
            "IMAGECOMPARE" => Some(json!(["", ""])),
            _ => match self.values.next(name) {
                Saved::Value(value) => {
                    self.misfits.extend(Misfit::of(input, name, value));
                    Some(js::value(value))
                }
                Saved::Undefined if !matches!(kind, "COMBO" | "COMFY_DYNAMICCOMBO_V3") => None,
                Saved::Nothing | Saved::Undefined => default(input, kind),
            },
        };
        if !input.flag("socketless") {
            self.behind.push(Slot {
                name: name.to_owned(),
                io_type: input.io_type().name().to_owned(),
                widget: Some(self.widgets.len()),
                link: None,
                optional: !input.is_required(),
            });
        }
        let controls = controls(input, kind, name);
        let chosen = match input.dynamic() {
            Some(Dynamic::Combo(options)) => {
                let chosen = chosen(options, value.as_ref());
                // What such a choice brings along is not known, so that the values behind it may be
                // those of its inputs.
                if chosen.is_none() && self.values.left() > 0 {
                    let value = value.as_ref();
                    self.misfits
                        .extend(value.map(|value| Misfit::no_option(name, value)));
                }
                chosen
            }
            _ => None,
        };
        self.widgets.push(Widget {
            name: name.to_owned(),
            value,
            // Widgets that come with a choice are made later, when nobody looks for this any more.
            dynamic_prompt: !nested && input.flag("dynamicPrompts"),
            captured: matches!(kind, "LOAD_3D" | "WEBCAM" | "AUDIO_RECORD"),
            bounds: bounds(input, kind),
            declared: Some(input.clone()),
            room: if input.flag("multiline") || matches!(kind, "MARKDOWN" | "TEXTAREA") {
                Room::Lines
            } else {
                Room::Line
            },
            saved: usize::from(kind != "IMAGECOMPARE") + controls,
            ..Widget::default()
        });
        for at in 0..controls {
            let control = self.values.skip();
            if at == 0 {
                self.misfits
                    .extend(control.and_then(|value| Misfit::of_control(name, value)));
            }
        }
        for input in chosen.map_or(&[][..], |option| &option.inputs) {
            self.input(input, format!("{name}.{}", input.name()), true);
        }
    }

    fn text(&mut self, name: &str, default: &str) {
        let value = match self.values.next(name) {
            Saved::Value(value) => Some(js::value(value)),
            Saved::Nothing => Some(json!(default)),
            Saved::Undefined => None,
        };
        self.widgets.push(Widget {
            name: name.to_owned(),
            value,
            saved: 1,
            ..Widget::default()
        });
    }

    /// The choice's place, and the choices that the user wrote: behind the last one that is not
    /// empty stands one more to write into.
    fn custom_options(&mut self) {
        self.values.skip();
        let mut options = Vec::new();
        loop {
            let name = format!("option{}", options.len() + 1);
            let value = match self.values.next(&name) {
                Saved::Value(value) => js::value(value),
                Saved::Nothing | Saved::Undefined => json!(""),
            };
            let last = !js::truthy(&value);
            options.push(Widget {
                name,
                value: Some(value),
                saved: 1,
                ..Widget::default()
            });
            if last {
                break;
            }
        }
        let choice = self.widgets.first().and_then(|widget| widget.value.clone());
        let at = options.iter().position(|option| option.value == choice);
        let at = at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1);
        self.widgets.push(Widget {
            name: "index".to_owned(),
            value: Some(json!(at)),
            saved: 1,
            ..Widget::default()
        });
        self.widgets.append(&mut options);
    }
}

/// How many values say how a widget changes from run to run.
fn controls(input: &Input, kind: &str, name: &str) -> usize {
    let controls = match input.option("control_after_generate") {
        Some(control) => js::truthy(control),
        // Servers from before there was the option.
        None => kind == "INT" && matches!(name, "seed" | "noise_seed"),
    };
    match kind {
        "INT" if controls => 1,
        // And the text that filters the choices.
        "COMBO" if controls => 2,
        _ => 0,
    }
}

fn default(input: &Input, kind: &str) -> Option<Value> {
    if let Some(Dynamic::Combo(options)) = input.dynamic() {
        // Any declared default is passed over.
        return first_key(options);
    }
    if let Some(default) = input.default() {
        return Some(js::value(default));
    }
    match kind {
        "COMBO" => input.choices()?.first().map(js::value),
        "INT" | "FLOAT" => Some(json!(0)),
        "BOOLEAN" => Some(json!(false)),
        "STRING" | "MARKDOWN" | "TEXTAREA" | "LOAD_3D" | "PAINTER" | "WEBCAM" | "AUDIO_RECORD" => {
            Some(json!(""))
        }
        "COLOR" => Some(json!("#000000")),
        "COLORS" | "BOUNDING_BOXES" => Some(json!([])),
        "BOUNDING_BOX" => Some(json!({ "x": 0, "y": 0, "width": 512, "height": 512 })),
        _ => None,
    }
}

/// The first choice in JavaScript's order of keys, whole numbers before all else.
fn first_key(options: &[DynamicOption]) -> Option<Value> {
    let keys = || options.iter().map(|option| js::text(&option.key));
    let number = keys().filter_map(|key| key.parse::<u32>().ok()).min();
    match number {
        Some(number) => Some(json!(number.to_string())),
        None => keys().next().map(|key| json!(key)),
    }
}

fn chosen<'o>(options: &'o [DynamicOption], value: Option<&Value>) -> Option<&'o DynamicOption> {
    let value = js::text(value?);
    options.iter().find(|option| js::text(&option.key) == value)
}
