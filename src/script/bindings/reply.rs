//! What a script shows beside its value:
//!
//! ```rhai
//! reply(#{ asset_id: id, width: 1024 })
//!     .text("A fox in the snow")
//!     .image(bytes, "image/webp")
//!     .link(`mmf://assets/${id}`, #{ mime_type: "image/png" })
//! ```
//!
//! `reply` gives a handle: each of its methods adds to it and returns it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::{Map, Value};

use super::{SharedModule, indexed};
use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::explain::lower_first;
use crate::script::host::{Context, thrown};
use crate::script::reply::{Body, Content, Link, Reply, ReplyHandle, Resource};

/// What the options of a link may say.
const LINK: [&str; 5] = ["name", "title", "description", "mime_type", "size"];

/// The largest file of an asset that is sent, in bytes: in base64 it grows by a third, and clients
/// hold all of it.
const MAX_ASSET: u64 = 64 * 1024 * 1024;

pub(super) fn module() -> SharedModule {
    let mut module = exported_module!(functions);
    module.set_custom_type::<ReplyHandle>("Reply");
    indexed(module)
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod functions {
    use rhai::{Blob, Map};

    use crate::script::value::{from_dynamic, from_map};

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// A reply without a value: only what is added to it.
    /// Example: `reply(#{ asset_id: asset_id }).text("A fox")`
    pub fn reply() -> ReplyHandle {
        ReplyHandle::default()
    }

    /// A reply with a value for programs. What is added to it is shown in place of the value.
    /// Throws a text for a value that has no form in JSON.
    #[rhai_fn(name = "reply", return_raw)]
    pub fn reply_with(value: Dynamic) -> Fallible<ReplyHandle> {
        let value = from_dynamic(&value).map_err(|error| error.to_string())?;
        Ok(ReplyHandle::new(Reply::from(value)))
    }

    /// Adds text.
    /// Example: `reply().text("A fox in the snow")`
    #[rhai_fn(global)]
    pub fn text(reply: &mut ReplyHandle, text: &str) -> ReplyHandle {
        super::with(reply, Content::Text(text.to_owned()))
    }

    /// Adds a picture: the bytes of its file and its type, such as `image/webp`.
    /// Example: `reply().image(bytes, "image/webp")`
    #[rhai_fn(global)]
    pub fn image(reply: &mut ReplyHandle, bytes: Blob, mime_type: &str) -> ReplyHandle {
        let (bytes, mime_type) = (bytes.into(), mime_type.to_owned());
        super::with(reply, Content::Image { bytes, mime_type })
    }

    /// Adds a picture that is at hand in base64.
    /// Throws a text for what is no base64.
    #[rhai_fn(name = "image", return_raw, global)]
    pub fn image_base64(
        reply: &mut ReplyHandle,
        base64: &str,
        mime_type: &str,
    ) -> Fallible<ReplyHandle> {
        let (bytes, mime_type) = (super::decoded(base64)?, mime_type.to_owned());
        Ok(super::with(reply, Content::Image { bytes, mime_type }))
    }

    /// Adds a sound: the bytes of its file and its type, such as `audio/flac`.
    /// Example: `reply().audio(bytes, "audio/flac")`
    #[rhai_fn(global)]
    pub fn audio(reply: &mut ReplyHandle, bytes: Blob, mime_type: &str) -> ReplyHandle {
        let (bytes, mime_type) = (bytes.into(), mime_type.to_owned());
        super::with(reply, Content::Audio { bytes, mime_type })
    }

    /// Adds a sound that is at hand in base64.
    #[rhai_fn(name = "audio", return_raw, global)]
    pub fn audio_base64(
        reply: &mut ReplyHandle,
        base64: &str,
        mime_type: &str,
    ) -> Fallible<ReplyHandle> {
        let (bytes, mime_type) = (super::decoded(base64)?, mime_type.to_owned());
        Ok(super::with(reply, Content::Audio { bytes, mime_type }))
    }

    /// Adds a link to a resource, named after the end of its address.
    /// Example: ``reply(#{}).link(`mmf://assets/${asset_id}`)``
    #[rhai_fn(global)]
    pub fn link(reply: &mut ReplyHandle, uri: &str) -> ReplyHandle {
        super::with(reply, Content::Link(super::link_to(uri)))
    }

    /// Adds a link to a resource. The options may say name, title, description, `mime_type` and
    /// size.
    #[rhai_fn(name = "link", return_raw, global)]
    pub fn link_described(
        reply: &mut ReplyHandle,
        uri: &str,
        options: Map,
    ) -> Fallible<ReplyHandle> {
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let link = super::described(super::link_to(uri), &options)?;
        Ok(super::with(reply, Content::Link(link)))
    }

    /// Adds the file of an asset, as the resource that it is.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `LIMIT_EXCEEDED` for a file of more than 64 MB.
    /// Example: `reply().asset(asset_id)`
    #[rhai_fn(return_raw, global)]
    pub fn asset(
        call: NativeCallContext,
        reply: &mut ReplyHandle,
        asset_id: &str,
    ) -> Fallible<ReplyHandle> {
        let content = super::asset(&Context::of(&call), asset_id).map_err(thrown)?;
        Ok(super::with(reply, content))
    }

    /// Adds a resource that is text, with its address and type.
    /// Example: `reply().resource("mmf://notes/1", "a note", "text/plain")`
    #[rhai_fn(global)]
    pub fn resource(
        reply: &mut ReplyHandle,
        uri: &str,
        text: &str,
        mime_type: &str,
    ) -> ReplyHandle {
        super::with_resource(reply, uri, Body::Text(text.to_owned()), mime_type)
    }

    /// Adds any other resource: its address, its bytes and its type.
    #[rhai_fn(name = "resource", global)]
    pub fn resource_of_bytes(
        reply: &mut ReplyHandle,
        uri: &str,
        bytes: Blob,
        mime_type: &str,
    ) -> ReplyHandle {
        super::with_resource(reply, uri, Body::Bytes(bytes.into()), mime_type)
    }
}

fn with(reply: &ReplyHandle, content: Content) -> ReplyHandle {
    reply.add(content);
    reply.clone()
}

/// The bytes never pass through the interpreter, whose values have a limit.
fn asset(context: &Context, asset_id: &str) -> Result<Content, Failure> {
    let assets = &context.host.assets;
    let asset = assets.get(asset_id)?;
    if asset.bytes > MAX_ASSET {
        let message = format!("the file has {} bytes, too many to be sent", asset.bytes);
        return Err(Failure::new(Code::LIMIT_EXCEEDED, message)
            .hint("get_asset_metadata has its path on disk"));
    }
    Ok(Content::Resource(Resource {
        uri: format!("mmf://assets/{asset_id}"),
        body: Body::Bytes(assets.read_bytes(asset_id)?.into()),
        mime_type: Some(asset.mime_type),
    }))
}

fn with_resource(reply: &ReplyHandle, uri: &str, body: Body, mime_type: &str) -> ReplyHandle {
    let resource = Resource {
        uri: uri.to_owned(),
        mime_type: Some(mime_type.to_owned()),
        body,
    };
    with(reply, Content::Resource(resource))
}

fn decoded(base64: &str) -> Result<Bytes, String> {
    let decoded = STANDARD.decode(base64);
    let decoded = decoded.map_err(|error| {
        let reason = lower_first(&error.to_string());
        format!("the text is not base64: {reason}")
    });
    decoded.map(Bytes::from)
}

fn link_to(uri: &str) -> Link {
    let last = uri.rsplit('/').find(|part| !part.is_empty());
    Link {
        uri: uri.to_owned(),
        name: last.unwrap_or(uri).to_owned(),
        ..Link::default()
    }
}

fn described(link: Link, options: &Map<String, Value>) -> Result<Link, String> {
    if let Some(unknown) = options.keys().find(|key| !LINK.contains(&key.as_str())) {
        let suggestion = did_you_mean(nearest(unknown, LINK.into_iter()).as_deref());
        let known = LINK.join(", ");
        return Err(format!(
            "a link has no \"{unknown}\"{suggestion}; it may have {known}"
        ));
    }
    let word = |name: &str| options.get(name)?.as_str().map(str::to_owned);
    Ok(Link {
        name: word("name").unwrap_or(link.name),
        title: word("title"),
        description: word("description"),
        mime_type: word("mime_type"),
        size: options.get("size").and_then(Value::as_u64),
        uri: link.uri,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_named_after_the_end_of_its_address() {
        assert_eq!(link_to("mmf://assets/7f").name, "7f");
        assert_eq!(link_to("mmf://queue/").name, "queue");
    }
}
