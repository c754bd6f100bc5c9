//! The loaded graph, written as a prompt.

use std::collections::BTreeMap;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::editor::Editor;
use super::error::UiError;
use super::expand::{Frames, Place};
use super::fit::Shifted;
use super::js;
use super::kind::{Kind, successor};
use super::live::{Live, LiveNode};
use super::note::{MissingOutput, Note};
use super::read::{Document, Mode};
use super::resolve::Feed;
use super::text;
use crate::clock::Clock;
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;

/// What to do about classes that the server does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Name them in an error: their values have no names, so that nothing could run them.
    #[default]
    Refuse,
    /// As the frontend does: a node without `class_type`, its values as `UNKNOWN`, `UNKNOWN_1`.
    Keep,
}

/// How to convert.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to do about unknown classes.
    pub unknown: Unknown,
    /// Whether to write what the editor would even where the graph was saved with other versions of its
    /// classes: values that were for other widgets, and links to outputs that are gone. It is told in
    /// notes then.
    pub as_is: bool,
    /// The editor whose prompt it is to be.
    pub editor: Editor,
    /// The time of day for `%date:...%` in file names.
    pub now: Zoned,
}

impl Options {
    /// Refuses unknown classes and whatever else would come out wrong, as the latest editor; the time is
    /// that of the clock, in the system's time zone.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            unknown: Unknown::default(),
            as_is: false,
            editor: Editor::default(),
            now: clock.now().to_zoned(TimeZone::system()),
        }
    }
}

/// A converted graph.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The prompt.
    pub workflow: Workflow,
    /// What a person should know about it.
    pub notes: Vec<Note>,
    /// Inputs, by node and name, that somebody set in one place: at an input of a subgraph, or by a
    /// primitive.
    pub shared: Vec<Vec<(String, String)>>,
}

/// Converts a saved graph into a prompt for a server with these node classes.
pub fn to_api(ui: &Value, facts: &NodeFacts, options: &Options) -> Result<Converted, UiError> {
    let live = Live::of(Document::read(ui)?, facts, options.editor)?;
    let mut writer = Writer {
        frames: &Frames::of(&live)?,
        options,
        notes: Vec::new(),
        shared: BTreeMap::new(),
    };
    let places = writer.frames.places();
    let running: Vec<Place> = places
        .iter()
        .copied()
        .filter(|place| runs(writer.frames.node(*place)))
        .collect();
    if options.unknown == Unknown::Refuse {
        refuse_unknown(writer.frames, &running, facts)?;
    }
    let shifted = shifted(writer.frames, &places);
    if options.as_is {
        writer
            .notes
            .extend(shifted.into_iter().map(Note::OtherVersion));
    } else if !shifted.is_empty() {
        return Err(UiError::OtherWidgets(shifted));
    }
    let mut nodes = Vec::with_capacity(running.len());
    for place in running {
        nodes.push((writer.frames.id(place), writer.node(place)?));
    }
    Ok(Converted {
        workflow: Workflow::from_nodes(in_order(nodes)),
        notes: writer.notes,
        shared: writer
            .shared
            .into_values()
            .filter(|inputs| inputs.len() > 1)
            .collect(),
    })
}

fn runs(node: &LiveNode<'_>) -> bool {
    node.mode == Mode::Runs && matches!(node.kind, Kind::Class(_) | Kind::Unknown)
}

/// The nodes whose values were saved for other widgets, and the instances of subgraphs.
fn shifted(frames: &Frames<'_, '_>, places: &[Place]) -> Vec<Shifted> {
    let counts = |place: &Place| match frames.node(*place).kind {
        Kind::Instance(_) => frames.frames[place.frame]
            .instances
            .contains_key(&place.node),
        _ => runs(frames.node(*place)),
    };
    let mut shifted = Vec::new();
    for place in places.iter().filter(|place| counts(place)) {
        let node = frames.node(*place);
        if node.fit.is_shifted() {
            let widgets = node.widgets.iter().filter(|widget| widget.saved > 0);
            shifted.push(Shifted {
                node: frames.name(*place),
                misfits: node.fit.misfits.clone(),
                values: node.fit.values,
                saved_for: node.fit.saved_for.clone(),
                widgets: widgets.map(|widget| widget.name.clone()).collect(),
            });
        }
    }
    shifted
}

fn refuse_unknown(
    frames: &Frames<'_, '_>,
    running: &[Place],
    facts: &NodeFacts,
) -> Result<(), UiError> {
    let unknown = running.iter().filter(|place| {
        let kind = frames.node(**place).kind;
        matches!(kind, Kind::Unknown)
    });
    let mut names = Vec::new();
    for place in unknown {
        let name = frames.name(*place);
        if name.class.starts_with("workflow>") || name.class.starts_with("workflow/") {
            return Err(UiError::GroupNode(name));
        }
        if uuid::Uuid::try_parse(&name.class).is_ok() {
            return Err(UiError::NoDefinition(name));
        }
        if let Some(new) = successor(&name.class, facts) {
            return Err(UiError::Gone {
                node: name,
                new: new.to_owned(),
            });
        }
        names.push(name);
    }
    let Some(first) = names.first() else {
        return Ok(());
    };
    Err(UiError::UnknownClass {
        nearest: facts.nearest(&first.class).map(str::to_owned),
        nodes: names,
    })
}

/// The keys of a JavaScript object: whole numbers in their order, then the rest as it came.
fn in_order(nodes: Vec<(String, Value)>) -> Map<String, Value> {
    let number = |id: &str| {
        let number: u32 = id.parse().ok()?;
        (number.to_string() == id).then_some(number)
    };
    let mut keyed: Vec<(Option<u32>, (String, Value))> = nodes
        .into_iter()
        .map(|node| (number(&node.0), node))
        .collect();
    keyed.sort_by_key(|(number, _)| number.unwrap_or(u32::MAX));
    keyed.into_iter().map(|(_, node)| node).collect()
}

struct Writer<'w, 'l, 'v> {
    frames: &'w Frames<'l, 'v>,
    options: &'w Options,
    notes: Vec<Note>,
    /// By what gives the value.
    shared: BTreeMap<(Place, usize), Vec<(String, String)>>,
}

impl Writer<'_, '_, '_> {
    fn node(&mut self, place: Place) -> Result<Value, UiError> {
        let node = self.frames.node(place);
        let mut inputs = Map::new();
        for at in 0..node.widgets.len() {
            if let Some(value) = self.widget(place, at)? {
                inputs.insert(node.widgets[at].name.clone(), unlike_a_link(value));
            }
        }
        for (at, slot) in node.slots.iter().enumerate() {
            let value = match self.frames.feed(place, at)? {
                None => {
                    if let Some(primitive) = self.frames.primitive(place, at) {
                        self.note_source((primitive, 0), place, &slot.name);
                    }
                    continue;
                }
                Some(Feed::Value { value: None, .. }) => continue,
                Some(Feed::Value {
                    value: Some(value),
                    from,
                }) => {
                    self.note_source(from, place, &slot.name);
                    unlike_a_link(value)
                }
                Some(Feed::Output { node, slot: output }) => {
                    self.check_output(place, &slot.name, node, output)?;
                    json!([self.frames.id(node), output])
                }
            };
            inputs.insert(slot.name.clone(), value);
        }
        self.note_what_is_missing(place, &inputs);
        let mut body = Map::new();
        body.insert("inputs".to_owned(), inputs.into());
        if let Kind::Class(class) = node.kind {
            body.insert("class_type".to_owned(), json!(class.name()));
            body.insert("_meta".to_owned(), json!({ "title": text::title(node) }));
        } else {
            let meta = node
                .title
                .map_or(json!({}), |title| json!({ "title": title }));
            body.insert("_meta".to_owned(), meta);
        }
        Ok(body.into())
    }

    fn note_source(&mut self, source: (Place, usize), place: Place, input: &str) {
        let inputs = self.shared.entry(source).or_default();
        inputs.push((self.frames.id(place), input.to_owned()));
    }

    /// A widget's value as it goes into the prompt.
    fn widget(&mut self, place: Place, at: usize) -> Result<Option<Value>, UiError> {
        let node = self.frames.node(place);
        let widget = &node.widgets[at];
        let (value, own) = self.frames.value(place, at);
        let Some(value) = value.filter(|_| own) else {
            return Ok(value.cloned());
        };
        let is_prefix = widget.name == "filename_prefix" && text::saves(node.class);
        if is_prefix || widget.replaces {
            return match value {
                Value::String(text) => {
                    let text = text::replaced(text, self.frames, &self.options.now);
                    Ok(Some(text.into()))
                }
                other if is_prefix && !self.is_linked(place, at) => Err(UiError::Prefix {
                    node: self.frames.name(place),
                    found: js::kind(other),
                }),
                other => Ok(Some(other.clone())),
            };
        }
        if let Value::String(text) = value {
            if widget.dynamic_prompt {
                let (text, drawn) = text::dynamic_prompt(text);
                if drawn && !self.is_linked(place, at) {
                    self.notes.push(Note::FirstOfAlternatives {
                        node: self.frames.name(place),
                        input: widget.name.clone(),
                    });
                }
                return Ok(Some(text.into()));
            }
            if widget.name == "sampler_name"
                && matches!(node.class, "KSampler" | "KSamplerAdvanced")
                && let Some(name) = text.strip_prefix("sample_")
            {
                return Ok(Some(name.into()));
            }
        }
        Ok(Some(value.clone()))
    }

    fn is_linked(&self, place: Place, widget: usize) -> bool {
        let mut slots = self.frames.node(place).slots.iter();
        let slot = slots.position(|slot| slot.widget == Some(widget));
        slot.is_some_and(|slot| matches!(self.frames.feed(place, slot), Ok(Some(_))))
    }

    fn note_what_is_missing(&mut self, place: Place, inputs: &Map<String, Value>) {
        let node = self.frames.node(place);
        for widget in node.widgets.iter().filter(|widget| widget.captured) {
            if !inputs.get(&widget.name).is_some_and(Value::is_array) {
                self.notes.push(Note::NotCaptured {
                    node: self.frames.name(place),
                    input: widget.name.clone(),
                });
            }
        }
        for (_, input) in &node.fit.gone {
            self.notes.push(Note::InputGone {
                node: self.frames.name(place),
                input: input.clone(),
            });
        }
        let is_custom = matches!(node.kind, Kind::Class(class) if class.is_custom());
        let mut surplus = node.fit.surplus.iter();
        if surplus.any(|value| is_custom || means_something(value)) {
            self.notes.push(Note::Surplus {
                node: self.frames.name(place),
                values: node.fit.surplus.len(),
            });
        }
    }

    /// A link from an output that the class does not have. Classes of node packs may have more than
    /// they declare.
    fn check_output(
        &mut self,
        place: Place,
        input: &str,
        from: Place,
        slot: usize,
    ) -> Result<(), UiError> {
        let Kind::Class(class) = self.frames.node(from).kind else {
            return Ok(());
        };
        let outputs = class.outputs().len();
        if slot < outputs {
            return Ok(());
        }
        let missing = MissingOutput {
            node: self.frames.name(place),
            input: input.to_owned(),
            from: self.frames.name(from),
            slot,
            outputs,
        };
        if !self.options.as_is && !class.is_custom() {
            return Err(UiError::NoOutput(Box::new(missing)));
        }
        self.notes.push(Note::NoOutput(missing));
        Ok(())
    }
}

/// Whether a value that is left over may have been for something. The editor itself leaves those of
/// buttons and of what it shows.
fn means_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Array(_) | Value::Object(_) => false,
        Value::String(text) => !text.is_empty() && text != "image",
        _ => true,
    }
}

/// A list in a prompt is a link, so that the editor wraps other lists.
fn unlike_a_link(value: Value) -> Value {
    if value.is_array() {
        json!({ "__value__": value })
    } else {
        value
    }
}
