//! What a script can say to whoever called it, and ask.
//!
//! An agent's client may show logs, put a question to its user, and lend its model; the command
//! line asks on the terminal; nobody else answers. Scripts see the same functions everywhere and
//! an answer that says when nobody could be asked.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::arguments::{did_you_mean, nearest};
use super::reply::Content;
use crate::failure::{Code, Failure};

/// How grave something is, as syslog (RFC 5424) and MCP have it, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a mistake.
    Debug,
    /// What goes on.
    Info,
    /// Worth knowing.
    Notice,
    /// Not as it should be.
    Warning,
    /// Something failed.
    Error,
    /// A part does not work.
    Critical,
    /// Somebody has to do something now.
    Alert,
    /// Nothing works.
    Emergency,
}

impl Level {
    /// All levels, the least grave first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level that a word names.
    pub fn from_name(name: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str);
            let suggestion = did_you_mean(nearest(name, names.into_iter()).as_deref());
            let message = format!("no level \"{name}\"{suggestion}");
            Failure::new(Code::INVALID_PARAMS, message)
                .hint(format!("the levels are {}", names.join(", ")))
        })
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A person.
    User,
    /// A model.
    Assistant,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What, in its order.
    pub content: Vec<Content>,
}

/// A question to the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What is asked.
    pub message: String,
    /// A JSON schema of the answer: an object of plain fields.
    pub schema: Map<String, Value>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was answered: the fields by name.
    Accept(Map<String, Value>),
    /// The user won't say.
    Decline,
    /// The user looked away.
    Cancel,
    /// There is nobody to ask.
    Unsupported,
}

/// A request to the client's model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What the model is told.
    pub messages: Vec<Message>,
    /// How it is to behave.
    pub system: Option<String>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// How freely it chooses, 0 to 1.
    pub temperature: Option<f64>,
}

/// The other side of a script's conversation.
pub trait Conversation: Send + Sync {
    /// Shows a line of the log.
    fn log(&self, level: Level, logger: &str, data: Value);

    /// Puts a question to the user.
    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// Has the client's model say something; `None` if there is none.
    fn sample(&self, sample: Sample) -> BoxFuture<'_, Result<Option<String>, Failure>>;
}

/// Nobody listens and nobody answers.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Conversation for Nobody {
    fn log(&self, _level: Level, _logger: &str, _data: Value) {}

    fn ask(&self, _question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        std::future::ready(Ok(Answer::Unsupported)).boxed()
    }

    fn sample(&self, _sample: Sample) -> BoxFuture<'_, Result<Option<String>, Failure>> {
        std::future::ready(Ok(None)).boxed()
    }
}

impl Question {
    /// A question whose schema is written in full, or as its fields alone, all of which are then
    /// required. A field's default may stand under `value`.
    pub fn new(message: &str, schema: Map<String, Value>) -> Result<Self, Failure> {
        let mut schema = if schema.get("properties").is_some_and(Value::is_object) {
            schema
        } else {
            whole(schema)
        };
        check_fields(&schema)?;
        rename_defaults(&mut schema);
        Ok(Self {
            message: message.to_owned(),
            schema,
        })
    }

    /// The fields with their schemas.
    pub fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        let fields = self.schema.get("properties").and_then(Value::as_object);
        fields.into_iter().flatten()
    }

    /// Whether the field has to be answered.
    #[must_use]
    pub fn requires(&self, field: &str) -> bool {
        let required = self.schema.get("required").and_then(Value::as_array);
        required.is_some_and(|required| required.iter().any(|name| name == field))
    }

    /// What was answered, with the defaults of the fields that were left out, if it fits.
    pub fn accept(&self, mut content: Map<String, Value>) -> Result<Answer, Failure> {
        for (name, field) in self.fields() {
            if let (None, Some(default)) = (content.get(name), field.get("default")) {
                content.insert(name.clone(), default.clone());
            }
        }
        let schema = Value::Object(self.schema.clone());
        let given = Value::Object(content);
        if let Err(error) = jsonschema::validate(&schema, &given) {
            let message = format!("the answer does not fit the question: {error}");
            return Err(Failure::new(Code::VALIDATION_ERROR, message));
        }
        match given {
            Value::Object(content) => Ok(Answer::Accept(content)),
            _ => Ok(Answer::Cancel),
        }
    }
}

fn whole(fields: Map<String, Value>) -> Map<String, Value> {
    let required: Vec<Value> = fields.keys().map(|name| name.as_str().into()).collect();
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), fields.into());
    schema.insert("required".into(), required.into());
    schema
}

/// Clients make a form of the fields, so none may have fields of its own.
fn check_fields(schema: &Map<String, Value>) -> Result<(), Failure> {
    const TYPES: [&str; 5] = ["string", "number", "integer", "boolean", "array"];
    let fields = schema["properties"].as_object().into_iter().flatten();
    for (name, field) in fields {
        let ty = field.get("type").and_then(Value::as_str);
        if !ty.is_some_and(|ty| TYPES.contains(&ty)) {
            let message = format!("the field \"{name}\" of a question has no type of a form");
            return Err(Failure::new(Code::INVALID_PARAMS, message)
                .hint(format!("the types are {}", TYPES.join(", "))));
        }
    }
    Ok(())
}

/// In scripts a field has its default under `value`, as parameters have: `default` is a reserved
/// word there.
fn rename_defaults(schema: &mut Map<String, Value>) {
    let fields = schema["properties"].as_object_mut().into_iter().flatten();
    for (_, field) in fields {
        if let Some(field) = field.as_object_mut()
            && let Some(value) = field.shift_remove("value")
        {
            field.insert("default".to_owned(), value);
        }
    }
}

impl Message {
    /// Words of somebody.
    #[must_use]
    pub fn text(role: Role, text: &str) -> Self {
        Self {
            role,
            content: vec![Content::Text(text.to_owned())],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question(schema: &Value) -> Result<Question, Failure> {
        Question::new("Which one?", content(schema))
    }

    fn content(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn fields_alone_are_a_form_that_wants_them_all() {
        let question = question(&json!({ "seed": { "type": "integer" } })).unwrap();
        assert!(question.requires("seed"));
        assert!(question.accept(content(&json!({ "seed": 7 }))).is_ok());
        let refused = question.accept(content(&json!({}))).unwrap_err();
        assert!(refused.message.contains("seed"), "{refused}");
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let schema = json!({
            "type": "object",
            "properties": { "size": { "type": "string", "value": "large" } },
        });
        let answer = question(&schema).unwrap().accept(Map::new()).unwrap();
        assert_eq!(answer, Answer::Accept(content(&json!({ "size": "large" }))));
    }

    #[test]
    fn a_form_within_a_form_is_refused() {
        let refused = question(&json!({ "size": { "type": "object" } })).unwrap_err();
        assert!(refused.message.contains("\"size\""), "{refused}");
    }
}
