//! What a script gives back when a plain value is not enough: a value, and beside it text,
//! pictures, sounds, links and embedded resources, in the order in which they are to be shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use super::MadeNodes;

/// What a script gave back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The value for programs; null where there is none.
    pub value: Value,
    /// What is shown beside it. Empty for a script that returned a plain value.
    pub content: Vec<Content>,
    /// Of a template's workflow, where its nodes were made.
    pub nodes: MadeNodes,
}

/// One piece of what is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// A picture.
    Image {
        /// The file.
        bytes: Bytes,
        /// Its type, such as `image/webp`.
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// The file.
        bytes: Bytes,
        /// Its type, such as `audio/flac`.
        mime_type: String,
    },
    /// A resource that can be read on demand.
    Link(Link),
    /// A resource that comes along.
    Resource(Resource),
}

/// Where a resource can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its address, such as `mmf://assets/01JA...`.
    pub uri: String,
    /// A short name for programs.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its type.
    pub mime_type: Option<String>,
    /// How many bytes it has.
    pub size: Option<u64>,
}

/// A resource with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its address.
    pub uri: String,
    /// Its type.
    pub mime_type: Option<String>,
    /// What is in it.
    pub body: Body,
}

/// What is in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Text.
    Text(String),
    /// Anything else.
    Bytes(Bytes),
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

/// A reply that a script is putting together, shared by all that hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplyHandle(Arc<Mutex<Reply>>);

impl ReplyHandle {
    pub(super) fn new(reply: Reply) -> Self {
        Self(Arc::new(Mutex::new(reply)))
    }

    pub(super) fn add(&self, content: Content) {
        self.lock().content.push(content);
    }

    /// The reply as it stands now.
    pub(super) fn snapshot(&self) -> Reply {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Reply> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
