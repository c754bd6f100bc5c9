//! The part of `assets::` that writes outside of the store.

use std::path::{Path, PathBuf};

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{Module, exported_module};
use serde_json::{Value, json};

use crate::assets::publish::{PublishRequest, Target};
use crate::failure::{Code, Failure};
use crate::script::host::{Context, answer, thrown};

pub(super) fn functions() -> Module {
    exported_module!(functions)
}

#[export_module]
mod functions {
    use crate::script::value::from_map;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// Copies an asset into the web project's folder: `#{ url, path, filename, bytes, ... }`. The
    /// options may say `target_filename` or `manifest_key`, `folder`, `web_optimize` and
    /// `max_bytes`.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `NO_PUBLISH_DIR`, `INVALID_FILENAME`, `FILE_EXISTS`,
    /// `COPY_FAILED`.
    /// Example: `assets::publish(asset_id, #{ target_filename: "hero.png" }).url`
    #[rhai_fn(return_raw)]
    pub fn publish(
        call: NativeCallContext,
        asset_id: &str,
        options: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let options = options.into();
        let request = super::publish_request(asset_id, &options).map_err(thrown)?;
        let host = &context.host;
        context.once("assets::publish", json!([asset_id, options]), || {
            let published = host.publisher.publish(&host.assets, &request);
            let published = published.map_err(thrown)?;
            context.budget.write(published.bytes)?;
            answer(published)
        })
    }

    /// The web folder: `#{ comfyui_output_dir, publish_dir, auto_detected, max_bytes }`.
    /// Throws `INTERNAL_ERROR` where the folders can't be looked at.
    /// Example: `assets::publish_info().publish_dir`
    #[rhai_fn(return_raw)]
    pub fn publish_info(call: NativeCallContext) -> Fallible<Dynamic> {
        answer(Context::of(&call).host.publisher.info())
    }

    /// Sets the web folder for this process and returns where it really is.
    /// Throws `INVALID_PATH`, `FORBIDDEN_PATH`, `NOT_A_DIRECTORY`, `CANNOT_CREATE_DIR`.
    /// Example: `assets::set_publish_dir("public/gen")`
    #[rhai_fn(return_raw)]
    pub fn set_publish_dir(call: NativeCallContext, path: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let host = context.host.clone();
        answer(host.publisher.set_folder(path.as_ref()).map_err(thrown)?)
    }

    /// Copies an asset to a file, or into a folder, of this machine:
    /// `#{ path, bytes, mime_type, asset_id }`.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `FORBIDDEN_PATH`, `FILE_EXISTS`, `COPY_FAILED`.
    /// Example: `assets::save(asset_id, "pictures/", false).path`
    #[rhai_fn(return_raw)]
    pub fn save(
        call: NativeCallContext,
        asset_id: &str,
        path: &str,
        overwrite: bool,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let host = &context.host;
        context.once("assets::save", json!([asset_id, path, overwrite]), || {
            let path = Path::new(path);
            let copied = host
                .publisher
                .export(&host.assets, asset_id, path, overwrite);
            let copied = copied.map_err(thrown)?;
            context.budget.write(copied.bytes)?;
            answer(copied)
        })
    }
}

fn publish_request(asset_id: &str, options: &Value) -> Result<PublishRequest, Failure> {
    let word = |name: &str| options[name].as_str().map(str::to_owned);
    let target = match (word("target_filename"), word("manifest_key")) {
        (Some(_), Some(_)) => {
            let message =
                "an asset is published under a target_filename or a manifest_key, not both";
            return Err(Failure::new(Code::INVALID_PARAMS, message));
        }
        (Some(name), None) => Target::Filename(name),
        (None, Some(key)) => Target::ManifestKey(key),
        (None, None) => Target::Original,
    };
    let default = PublishRequest::new(asset_id);
    let max_bytes = match &options["max_bytes"] {
        Value::Null => default.max_bytes,
        given => given.as_u64().filter(|most| *most > 0).ok_or_else(|| {
            let message = format!("max_bytes is {given}, it is a number of bytes above 0");
            Failure::new(Code::INVALID_PARAMS, message)
                .hint("web_optimize: false publishes the file as it is")
                .detail("fields", vec!["max_bytes"])
        })?,
    };
    Ok(PublishRequest {
        target,
        folder: word("folder").map(PathBuf::from),
        web_optimize: options["web_optimize"]
            .as_bool()
            .unwrap_or(default.web_optimize),
        max_bytes,
        ..default
    })
}
