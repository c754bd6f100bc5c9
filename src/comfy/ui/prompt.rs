//! The loaded graph, written as a prompt.

use std::fmt;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::error::{NodeName, UiError};
use super::expand::{Frames, Place};
use super::js;
use super::kind::{Kind, successor};
use super::live::{Live, LiveNode};
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
    /// The time of day for `%date:...%` in file names.
    pub now: Zoned,
}

impl Options {
    /// Refuses unknown classes; the time is that of the clock, in the system's time zone.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            unknown: Unknown::default(),
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
}

/// Something that the prompt can't show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `{a|b}` in a text, of which the editor draws one for each prompt: here it is the first.
    FirstOfAlternatives {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
    },
    /// A value that the editor captures when a prompt is queued: a camera, a recording, a view.
    NotCaptured {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
    },
    /// A value that its widget can't have had: the graph was saved with another version of the
    /// class, whose inputs were others, so that its values may be in wrong places.
    OtherVersion {
        /// The node.
        node: NodeName,
        /// The first such input.
        input: String,
    },
    /// More values than the class has widgets: those of a node pack whose own widgets no server
    /// declares.
    Surplus {
        /// The node.
        node: NodeName,
        /// How many values were left.
        values: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstOfAlternatives { node, input } => write!(
                f,
                "\"{input}\" of {node} has alternatives in braces, of which ComfyUI draws one for \
                 each run: this is the first"
            ),
            Self::NotCaptured { node, input } => write!(
                f,
                "\"{input}\" of {node} is captured by the browser when it is queued: this is what \
                 was saved"
            ),
            Self::OtherVersion { node, input } => write!(
                f,
                "{node} seems to have been saved with another version of its class, \"{input}\" \
                 got a value of something else: check its values, or convert with the node facts \
                 of the server that it was saved on"
            ),
            Self::Surplus { node, values } => write!(
                f,
                "{node} has {values} more values than its class declares: its node pack may have \
                 widgets of its own, compare with Workflow > Export (API)"
            ),
        }
    }
}

/// Converts a saved graph into a prompt for a server with these node classes.
pub fn to_api(ui: &Value, facts: &NodeFacts, options: &Options) -> Result<Converted, UiError> {
    let live = Live::of(Document::read(ui)?, facts)?;
    let mut writer = Writer {
        frames: &Frames::of(&live)?,
        options,
        notes: Vec::new(),
    };
    let running: Vec<Place> = writer.frames.places();
    let running: Vec<Place> = running
        .into_iter()
        .filter(|place| runs(writer.frames.node(*place)))
        .collect();
    if options.unknown == Unknown::Refuse {
        refuse_unknown(writer.frames, &running, facts)?;
    }
    let mut nodes = Vec::with_capacity(running.len());
    for place in running {
        nodes.push((writer.frames.id(place), writer.node(place)?));
    }
    Ok(Converted {
        workflow: Workflow::from_nodes(in_order(nodes)),
        notes: writer.notes,
    })
}

fn runs(node: &LiveNode<'_>) -> bool {
    node.mode == Mode::Runs && matches!(node.kind, Kind::Class(_) | Kind::Unknown)
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
                None | Some(Feed::Value(None)) => continue,
                Some(Feed::Value(Some(value))) => unlike_a_link(value),
                Some(Feed::Output { node, slot }) => json!([self.frames.id(node), slot]),
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
        if let Some(input) = &node.misfit {
            self.notes.push(Note::OtherVersion {
                node: self.frames.name(place),
                input: input.clone(),
            });
        }
        if let Kind::Class(class) = node.kind
            && class.is_custom()
            && node.surplus > 0
        {
            self.notes.push(Note::Surplus {
                node: self.frames.name(place),
                values: node.surplus,
            });
        }
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
