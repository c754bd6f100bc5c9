//! What scripts show, in the words of the protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, PromptMessage, Resource, ResourceContents};
use serde_json::Value;

use super::client::role;
use crate::script::Reply;
use crate::script::conversation::Message;
use crate::script::reply::{self, Body, Content};

/// A reply as the answer to a call. An object is the structured content as well; its text comes
/// first, unless the script has text of its own.
pub(super) fn answer(reply: Reply) -> CallToolResult {
    let Reply { value, content, .. } = reply;
    let has_text = content
        .iter()
        .any(|content| matches!(content, Content::Text(_)));
    let says_nothing = value.is_null() && !content.is_empty();
    let mut blocks: Vec<ContentBlock> = content.into_iter().map(block).collect();
    if !has_text && !says_nothing {
        blocks.insert(0, ContentBlock::text(value.to_string()));
    }
    let mut result = CallToolResult::success(blocks);
    if let Value::Object(_) = value {
        result.structured_content = Some(value);
    }
    result
}

/// One piece of what is shown.
pub(super) fn block(content: Content) -> ContentBlock {
    match content {
        Content::Text(text) => ContentBlock::text(text),
        Content::Image { bytes, mime_type } => {
            ContentBlock::image(STANDARD.encode(bytes), mime_type)
        }
        Content::Audio { bytes, mime_type } => {
            ContentBlock::audio(STANDARD.encode(bytes), mime_type)
        }
        Content::Link(link) => ContentBlock::resource_link(resource_of(link)),
        Content::Resource(resource) => ContentBlock::resource(contents(resource)),
    }
}

/// What somebody says: a message of the protocol holds a single block.
pub(super) fn messages(message: Message) -> impl Iterator<Item = PromptMessage> {
    let role = role(message.role);
    let blocks = message.content.into_iter().map(block);
    blocks.map(move |block| PromptMessage::new(role.clone(), block))
}

/// A link as lists of resources show it.
pub(super) fn resource_of(link: reply::Link) -> Resource {
    let mut resource = Resource::new(link.uri, link.name);
    resource.title = link.title;
    resource.description = link.description;
    resource.mime_type = link.mime_type;
    resource.size = link.size;
    resource
}

/// A resource with what is in it.
pub(super) fn contents(resource: reply::Resource) -> ResourceContents {
    let reply::Resource {
        uri,
        mime_type,
        body,
    } = resource;
    match body {
        Body::Text(text) => ResourceContents::TextResourceContents {
            uri,
            mime_type,
            text,
            meta: None,
        },
        Body::Bytes(bytes) => ResourceContents::BlobResourceContents {
            uri,
            mime_type,
            blob: STANDARD.encode(bytes),
            meta: None,
        },
    }
}
