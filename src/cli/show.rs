//! What a script replied, on a terminal.

use super::report;
use crate::script::Reply;
use crate::script::reply::{Body, Content};

/// The value goes to stdout, or the text where there is no value; the rest goes to stderr, what a
/// terminal can't show by its name.
pub(super) fn reply(reply: &Reply) {
    let has_value = !reply.value.is_null() || reply.content.is_empty();
    if has_value {
        report::json(&reply.value);
    }
    for content in &reply.content {
        match content {
            Content::Text(text) if !has_value => report::line(text),
            Content::Text(text) => report::note(text),
            Content::Image { bytes, mime_type } | Content::Audio { bytes, mime_type } => {
                report::note(format_args!(
                    "not shown: {mime_type}, {} bytes",
                    bytes.len()
                ));
            }
            Content::Link(link) => report::note(format_args!("see also: {}", link.uri)),
            Content::Resource(resource) => {
                let size = match &resource.body {
                    Body::Text(text) => text.len(),
                    Body::Bytes(bytes) => bytes.len(),
                };
                report::note(format_args!("not shown: {}, {size} bytes", resource.uri));
            }
        }
    }
}
