//! One declared input of a node class.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::io_type::{COMBO, IoType};

/// The option under which a COMBO and a dynamic combo keep what there is to choose from.
pub(super) const OPTIONS: &str = "options";

/// Whether a node can do without the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The server refuses a node that lacks it.
    Required,
    /// May be left out.
    Optional,
}

/// An input with its type and options.
#[derive(Clone, Debug)]
pub struct Input {
    pub(super) name: Arc<str>,
    pub(super) section: Section,
    pub(super) io_type: IoType,
    /// The choices of a COMBO, taken out of `options` (where null keeps their place), because
    /// many classes list the same files.
    pub(super) choices: Option<Arc<[Value]>>,
    pub(super) options: Arc<Map<String, Value>>,
    pub(super) dynamic: Option<Arc<Dynamic>>,
}

/// How one declared input stands for several real ones (servers from 0.4.0 on).
#[derive(Clone, Debug)]
pub enum Dynamic {
    /// `COMFY_DYNAMICCOMBO_V3`: each choice brings inputs of its own.
    Combo(Vec<DynamicOption>),
    /// `COMFY_AUTOGROW_V3`: a row of inputs of one kind.
    Autogrow {
        /// What each of them is like; its section tells whether the first `min` are required.
        template: Input,
        /// The last part of their names, in order.
        names: Vec<Arc<str>>,
        /// How many must be given at least.
        min: usize,
    },
    /// `COMFY_DYNAMICSLOT_V3`: a link that brings more inputs once it is there.
    Slot(Vec<Input>),
}

/// One choice of a dynamic combo.
#[derive(Clone, Debug)]
pub struct DynamicOption {
    /// The value that selects it.
    pub key: Value,
    /// The inputs that it brings, named without the combo's prefix.
    pub inputs: Vec<Input>,
}

impl Input {
    /// The key under a node's `inputs`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Required or optional.
    #[must_use]
    pub fn section(&self) -> Section {
        self.section
    }

    /// Whether the server refuses a node without it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.section == Section::Required
    }

    /// What it takes.
    #[must_use]
    pub fn io_type(&self) -> &IoType {
        &self.io_type
    }

    /// Whether it is a list to choose from, in either way of writing.
    #[must_use]
    pub fn is_combo(&self) -> bool {
        matches!(self.io_type, IoType::Choices(_)) || self.io_type.is(COMBO)
    }

    /// Whether it can be written into a prompt as a value; otherwise only a link makes sense.
    #[must_use]
    pub fn is_widget(&self) -> bool {
        let plain = ["INT", "FLOAT", "STRING", "BOOLEAN"];
        let has_editor = self.is_combo()
            || matches!(self.dynamic.as_deref(), Some(Dynamic::Combo(_)))
            || self.io_type.members().any(|name| plain.contains(&name));
        has_editor && !self.flag("forceInput")
    }

    /// What there is to choose from; `None` if it is no list or the server does not tell.
    #[must_use]
    pub fn choices(&self) -> Option<&[Value]> {
        match &self.io_type {
            IoType::Choices(choices) => Some(choices),
            IoType::Named(_) => self.choices.as_deref(),
        }
    }

    /// The value an editor fills in.
    #[must_use]
    pub fn default(&self) -> Option<&Value> {
        self.option("default")
    }

    /// The smallest value allowed.
    #[must_use]
    pub fn min(&self) -> Option<&Value> {
        self.option("min")
    }

    /// The largest value allowed.
    #[must_use]
    pub fn max(&self) -> Option<&Value> {
        self.option("max")
    }

    /// The step of an editor's spinner. The server never checks it.
    #[must_use]
    pub fn step(&self) -> Option<&Value> {
        self.option("step")
    }

    /// Any other option by its name, such as `multiline` or `tooltip`. A combo's choices are
    /// under [`Input::choices`].
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&Value> {
        self.options.get(name)
    }

    /// Whether an option is there and true, such as `image_upload`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.option(name) == Some(&Value::Bool(true))
    }

    /// Whether people may add files to the choices from their browser.
    #[must_use]
    pub fn is_upload(&self) -> bool {
        [
            "image_upload",
            "video_upload",
            "audio_upload",
            "file_upload",
        ]
        .iter()
        .any(|name| self.flag(name))
    }

    /// How it stands for several real inputs, if it does.
    #[must_use]
    pub fn dynamic(&self) -> Option<&Dynamic> {
        self.dynamic.as_deref()
    }

    /// `[type, options]`, as `/object_info` and the validator's `input_config` give it.
    #[must_use]
    pub fn config(&self) -> Value {
        let mut options = (*self.options).clone();
        if let Some(choices) = &self.choices {
            options.insert(OPTIONS.to_owned(), Value::from(choices.to_vec()));
        }
        json!([self.io_type.to_json(), options])
    }

    /// The same input under another name and section, as a part of a dynamic one.
    #[must_use]
    pub fn renamed(&self, name: impl Into<Arc<str>>, section: Section) -> Self {
        Self {
            name: name.into(),
            section,
            ..self.clone()
        }
    }

    /// The same input with other choices.
    pub(super) fn with_choices(&self, choices: Arc<[Value]>) -> Self {
        let mut input = self.clone();
        match &mut input.io_type {
            IoType::Choices(own) => *own = choices,
            IoType::Named(_) => input.choices = Some(choices),
        }
        input
    }
}
