//! What scripts return, each kind in the form that its caller wants.
//!
//! What has the wrong form is told in the words of whoever wrote the script: what was wanted, and
//! what came instead.

use bytes::Bytes;
use rhai::{Blob, Dynamic};
use serde_json::{Map, Value};

use super::conversation::{Message, Role};
use super::reply::{Body, Content, Link, Reply, ReplyHandle, Resource};
use super::value::{NotJson, from_dynamic};
use super::{Declaration, UriTemplate};

/// What a resource lists: where its things can be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The things.
    pub links: Vec<Link>,
    /// What to pass for those that follow; `None` if these are the last.
    pub next: Option<Value>,
}

/// What went wrong, and what came instead.
pub(super) type Wrong = String;

/// The reply of a tool or pipeline: a plain value is one with nothing beside it.
pub(super) fn reply(made: &Dynamic) -> Result<Reply, NotJson> {
    if let Some(reply) = made.read_lock::<ReplyHandle>() {
        return Ok(reply.snapshot());
    }
    from_dynamic(made).map(Reply::from)
}

/// The messages of a prompt: one or several, each a message, or a string that the user says.
pub(super) fn messages(made: &Dynamic) -> Result<Vec<Message>, Wrong> {
    match made.as_array_ref() {
        Ok(items) => items.iter().map(message).collect(),
        Err(_) => message(made).map(|message| vec![message]),
    }
}

fn message(made: &Dynamic) -> Result<Message, Wrong> {
    if let Some(message) = made.read_lock::<Message>() {
        return Ok(message.clone());
    }
    let content = content(made).ok_or("return messages: a string, user(..), or a list of them")?;
    Ok(Message {
        role: Role::User,
        content,
    })
}

/// What somebody may say: a string, or what a reply shows.
pub(super) fn content(made: &Dynamic) -> Option<Vec<Content>> {
    if let Ok(text) = made.as_immutable_string_ref() {
        return Some(vec![Content::Text(text.to_string())]);
    }
    let reply = made.read_lock::<ReplyHandle>()?;
    Some(reply.snapshot().content)
}

/// What stands at the address of a resource: text, bytes, what a reply shows, or any other value,
/// which is JSON then.
pub(super) fn contents(
    made: &Dynamic,
    uri: &str,
    declaration: &Declaration,
) -> Result<Vec<Resource>, Wrong> {
    let declared = declaration.meta.get("mime_type").and_then(Value::as_str);
    let resource = |body, usual: &str| Resource {
        uri: uri.to_owned(),
        mime_type: Some(declared.unwrap_or(usual).to_owned()),
        body,
    };
    if let Ok(text) = made.as_immutable_string_ref() {
        return Ok(vec![resource(Body::Text(text.to_string()), "text/plain")]);
    }
    if let Some(bytes) = made.read_lock::<Blob>() {
        let bytes = Bytes::from(bytes.clone());
        return Ok(vec![resource(
            Body::Bytes(bytes),
            "application/octet-stream",
        )]);
    }
    if let Some(reply) = made.read_lock::<ReplyHandle>() {
        let content = reply.snapshot().content;
        return content
            .into_iter()
            .map(|content| as_resource(content, uri))
            .collect();
    }
    let value = from_dynamic(made).map_err(|error| error.to_string())?;
    Ok(vec![resource(
        Body::Text(value.to_string()),
        "application/json",
    )])
}

fn as_resource(content: Content, uri: &str) -> Result<Resource, Wrong> {
    let resource = |body, mime_type: String| Resource {
        uri: uri.to_owned(),
        mime_type: Some(mime_type),
        body,
    };
    match content {
        Content::Text(text) => Ok(resource(Body::Text(text), "text/plain".to_owned())),
        Content::Image { bytes, mime_type } | Content::Audio { bytes, mime_type } => {
            Ok(resource(Body::Bytes(bytes), mime_type))
        }
        Content::Resource(resource) => Ok(resource),
        Content::Link(link) => Err(format!(
            "return what can be read, not a link to {}",
            link.uri
        )),
    }
}

/// What a resource lists: entries with the variables of its address, and what `next` says where to
/// go on.
pub(super) fn listing(made: &Dynamic, template: &UriTemplate) -> Result<Listing, Wrong> {
    let value = from_dynamic(made).map_err(|error| error.to_string())?;
    let (items, next) = match value {
        Value::Array(items) => (items, None),
        Value::Object(mut page) => match page.shift_remove("items") {
            Some(Value::Array(items)) => (items, page.shift_remove("next")),
            _ => return Err("return a list, or #{ items: [..], next: .. }".to_owned()),
        },
        _ => return Err("return a list, or #{ items: [..], next: .. }".to_owned()),
    };
    let links = items.into_iter().map(|item| link(item, template));
    Ok(Listing {
        links: links.collect::<Result<_, _>>()?,
        next: next.filter(|next| !next.is_null()),
    })
}

fn link(item: Value, template: &UriTemplate) -> Result<Link, Wrong> {
    let Value::Object(item) = item else {
        return Err(format!("list entries that are maps, not {item}"));
    };
    let uri = template
        .expand(&item)
        .map_err(|name| format!("say the {name} of each entry of the list"))?;
    let word = |item: &Map<String, Value>, name: &str| item.get(name)?.as_str().map(str::to_owned);
    // The last variable tells the entries apart where they have no names.
    let last = template
        .variables()
        .last()
        .and_then(|name| word(&item, name));
    Ok(Link {
        name: word(&item, "name").or(last).unwrap_or_else(|| uri.clone()),
        uri,
        title: word(&item, "title"),
        description: word(&item, "description"),
        mime_type: word(&item, "mime_type"),
        size: item.get("size").and_then(Value::as_u64),
    })
}
