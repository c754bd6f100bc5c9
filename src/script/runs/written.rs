//! A reply as JSON, for a file; bytes are base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::script::Reply;
use crate::script::reply::{Body, Content, Link, Resource};

#[derive(Serialize, Deserialize)]
struct Written {
    value: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    content: Vec<Piece>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Piece {
    Text {
        text: String,
    },
    Image {
        data: String,
        mime_type: String,
    },
    Audio {
        data: String,
        mime_type: String,
    },
    Link {
        uri: String,
        name: String,
        title: Option<String>,
        description: Option<String>,
        mime_type: Option<String>,
        size: Option<u64>,
    },
    Resource {
        uri: String,
        mime_type: Option<String>,
        text: Option<String>,
        data: Option<String>,
    },
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
pub(super) fn serialize<S: Serializer>(
    reply: &Option<Reply>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let written = reply.as_ref().map(|reply| Written {
        value: reply.value.clone(),
        content: reply.content.iter().map(Piece::of).collect(),
    });
    written.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Reply>, D::Error> {
    let Some(written) = Option::<Written>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let content = written.content.into_iter().map(Piece::read);
    Ok(Some(Reply {
        value: written.value,
        content: content
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)?,
        ..Reply::default()
    }))
}

impl Piece {
    fn of(content: &Content) -> Self {
        match content {
            Content::Text(text) => Self::Text { text: text.clone() },
            Content::Image { bytes, mime_type } => Self::Image {
                data: STANDARD.encode(bytes),
                mime_type: mime_type.clone(),
            },
            Content::Audio { bytes, mime_type } => Self::Audio {
                data: STANDARD.encode(bytes),
                mime_type: mime_type.clone(),
            },
            Content::Link(link) => Self::Link {
                uri: link.uri.clone(),
                name: link.name.clone(),
                title: link.title.clone(),
                description: link.description.clone(),
                mime_type: link.mime_type.clone(),
                size: link.size,
            },
            Content::Resource(resource) => {
                let (text, data) = match &resource.body {
                    Body::Text(text) => (Some(text.clone()), None),
                    Body::Bytes(bytes) => (None, Some(STANDARD.encode(bytes))),
                };
                Self::Resource {
                    uri: resource.uri.clone(),
                    mime_type: resource.mime_type.clone(),
                    text,
                    data,
                }
            }
        }
    }

    fn read(self) -> Result<Content, base64::DecodeError> {
        let bytes = |data: String| STANDARD.decode(data).map(Bytes::from);
        Ok(match self {
            Self::Text { text } => Content::Text(text),
            Self::Image { data, mime_type } => Content::Image {
                bytes: bytes(data)?,
                mime_type,
            },
            Self::Audio { data, mime_type } => Content::Audio {
                bytes: bytes(data)?,
                mime_type,
            },
            Self::Link {
                uri,
                name,
                title,
                description,
                mime_type,
                size,
            } => Content::Link(Link {
                uri,
                name,
                title,
                description,
                mime_type,
                size,
            }),
            Self::Resource {
                uri,
                mime_type,
                text,
                data,
            } => Content::Resource(Resource {
                uri,
                mime_type,
                body: match (text, data) {
                    (Some(text), _) => Body::Text(text),
                    (None, data) => Body::Bytes(bytes(data.unwrap_or_default())?),
                },
            }),
        })
    }
}
