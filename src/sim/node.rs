//! What a node does when it runs: the interface between the executor and the node types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::folders::Folders;
use super::shape::ClassShape;
use super::value::{Frame, Value};

/// A node type's behaviour.
pub trait SimNode: Send + Sync {
    /// Computes one call. A node that does not take lists is called once per member.
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised>;

    /// Lazy inputs that are needed now, given those that are known. Asked before every call.
    fn needs(&self, _inputs: &Inputs) -> Vec<String> {
        Vec::new()
    }

    /// What besides the inputs decides whether a cached result is still good, such as the hash of
    /// a file.
    fn changed(&self, _constants: &Map<String, Json>, _folders: &Folders) -> Option<String> {
        None
    }
}

/// A behaviour that is one function.
impl<F> SimNode for F
where
    F: Fn(&mut Call<'_>) -> Result<Outcome, Raised> + Send + Sync,
{
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        self(call)
    }
}

/// The inputs of one call by name; a node that takes lists finds a [`Value::List`] in each.
pub type Inputs = BTreeMap<String, Value>;

/// One call of a node.
pub struct Call<'a> {
    /// The node's id.
    pub id: &'a str,
    /// What the class declares.
    pub shape: &'a ClassShape,
    /// What came in.
    pub inputs: Inputs,
    /// Hash over the class, its inputs and everything upstream; the same on every run.
    pub signature: [u8; 32],
    /// The server around the node.
    pub server: &'a mut dyn Server,
}

/// What a node may ask of the server.
pub trait Server {
    /// Reports that step `value` of `max` is done, with a preview that is only painted if somebody
    /// wants it; takes as long as a step takes, and fails if the prompt was interrupted.
    fn step(
        &mut self,
        value: u64,
        max: u64,
        preview: Option<&dyn Fn() -> Frame>,
    ) -> Result<(), Raised>;

    /// Sends a line of text that the editor shows on the node.
    fn text(&mut self, text: &str);

    /// Where files are read and written.
    fn folders(&self) -> &Folders;

    /// The prompt being executed, as it is written into pictures.
    fn prompt(&self) -> &Json;

    /// What came in beside the prompt, such as the editor's workflow.
    fn extra_data(&self) -> &Map<String, Json>;

    /// The moment, for names of files.
    fn now(&self) -> jiff::Zoned;
}

/// What a call gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One value per output slot.
    pub outputs: Vec<Value>,
    /// What the editor shows and `/history` lists: key -> array (or text, which the real server
    /// takes apart into letters).
    pub ui: Option<Map<String, Json>>,
    /// Nodes to execute in this node's place.
    pub expansion: Option<Map<String, Json>>,
    /// With an expansion: per output slot a link into it, or nothing for `outputs`' value.
    pub links: Vec<Option<(String, usize)>>,
}

impl Outcome {
    /// Values and nothing to show.
    #[must_use]
    pub fn values(outputs: Vec<Value>) -> Self {
        Self {
            outputs,
            ..Self::default()
        }
    }

    /// Something to show under one key.
    #[must_use]
    pub fn show(mut self, key: &str, entries: impl Into<Json>) -> Self {
        self.ui
            .get_or_insert_default()
            .insert(key.to_owned(), entries.into());
        self
    }
}

/// How a node fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raised {
    /// Somebody interrupted the prompt.
    Interrupted,
    /// A Python exception.
    Exception {
        /// Its type's full name.
        kind: String,
        /// Its message.
        message: String,
    },
}

impl Raised {
    /// An exception.
    #[must_use]
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self::Exception {
            kind: kind.to_owned(),
            message: message.into(),
        }
    }

    /// What torch raises when the graphics card is full, in the words users see.
    #[must_use]
    pub fn out_of_memory() -> Self {
        Self::new("torch.OutOfMemoryError", "Allocation on device ")
    }
}

impl From<std::io::Error> for Raised {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => "FileNotFoundError",
            std::io::ErrorKind::PermissionDenied => "PermissionError",
            _ => "OSError",
        };
        Self::new(kind, error.to_string())
    }
}

impl From<image::ImageError> for Raised {
    fn from(error: image::ImageError) -> Self {
        Self::new("PIL.UnidentifiedImageError", error.to_string())
    }
}

impl Call<'_> {
    /// The constant in `name`, or the declared default.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<&Json> {
        match self.inputs.get(name) {
            Some(Value::Json(json)) => Some(json),
            Some(_) => None,
            None => self.shape.input(name)?.default.as_ref(),
        }
    }

    /// A number, or `fallback`.
    #[must_use]
    pub fn number(&self, name: &str, fallback: f64) -> f64 {
        self.json(name).and_then(Json::as_f64).unwrap_or(fallback)
    }

    /// A whole number within `u32`, or `fallback`.
    #[must_use]
    pub fn size(&self, name: &str, fallback: u32) -> u32 {
        let number = self.json(name).and_then(Json::as_u64);
        number.map_or(fallback, |n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// A text, or "".
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.json(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// A boolean, or false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.json(name).and_then(Json::as_bool).unwrap_or_default()
    }

    /// The pictures in `name`; an exception as Python would raise it if there are none.
    pub fn images(&self, name: &str) -> Result<&[Frame], Raised> {
        match self.inputs.get(name) {
            Some(Value::Images(frames) | Value::Masks(frames)) => Ok(frames),
            other => Err(not_a_tensor(other)),
        }
    }

    /// A file that an input names, such as `a.png` or `sub/a.png [output]`.
    pub fn input_file(&self, name: &str) -> Result<PathBuf, Raised> {
        let annotated = self.text(name);
        self.server.folders().annotated(annotated).ok_or_else(|| {
            Raised::new(
                "FileNotFoundError",
                format!("[Errno 2] No such file or directory: '{annotated}'"),
            )
        })
    }
}

fn not_a_tensor(value: Option<&Value>) -> Raised {
    let kind = match value {
        None | Some(Value::Json(Json::Null)) => "NoneType",
        Some(Value::Json(Json::String(_))) => "str",
        Some(Value::Json(Json::Number(_))) => "int",
        Some(Value::Json(Json::Bool(_))) => "bool",
        Some(Value::Latent(_) | Value::Audio(_)) => "dict",
        Some(_) => "object",
    };
    Raised::new(
        "AttributeError",
        format!("'{kind}' object has no attribute 'shape'"),
    )
}
