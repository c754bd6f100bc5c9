//! `assets::`: what was made, with its provenance.

use std::path::PathBuf;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, ImmutableString, NativeCallContext, export_module};
use serde_json::{Value, json};

use super::{SharedModule, indexed};
use crate::assets::publish::{PublishRequest, Target};
use crate::assets::{Asset, Kind, Query};
use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::host::{Context, answer, thrown};

/// What a query may say.
const QUERY: [&str; 7] = [
    "session",
    "kind",
    "script",
    "text",
    "limit",
    "before",
    "include_expired",
];

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use crate::script::value::from_map;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// The newest assets that fit a query, in short: `#{ assets, count, total, has_more, next }`.
    /// The query may say session, kind, script, text, limit, before and `include_expired`.
    #[rhai_fn(return_raw)]
    pub fn list(call: NativeCallContext, query: rhai::Map) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let query = from_map(&query).map_err(|error| error.to_string())?;
        let query = super::query(&query.into()).map_err(thrown)?;
        let page = context.host.assets.list(&query).map_err(thrown)?;
        let assets: Vec<Value> = page.assets.iter().map(super::summary).collect();
        answer(json!({
            "count": assets.len(),
            "assets": assets,
            "total": page.total,
            "has_more": page.next.is_some(),
            "next": page.next,
        }))
    }

    /// One asset in full, with how it was made; the workflow itself is `assets::workflow`.
    #[rhai_fn(return_raw)]
    pub fn get(call: NativeCallContext, asset_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let asset = context.host.assets.get(asset_id).map_err(thrown)?;
        let mut entry = json!(asset);
        entry["path"] = json!(context.host.assets.path(asset_id).map_err(thrown)?);
        answer(entry)
    }

    /// The workflow that made an asset, exactly as it was run.
    #[rhai_fn(return_raw)]
    pub fn workflow(call: NativeCallContext, asset_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let asset = context.host.assets.get(asset_id).map_err(thrown)?;
        answer(context.host.assets.workflow(&asset).map_err(thrown)?)
    }

    /// Copies an asset into the web project's folder: `#{ url, path, filename, bytes, ... }`. The
    /// options may say `target_filename` or `manifest_key`, and `folder`.
    #[rhai_fn(return_raw)]
    pub fn publish(
        call: NativeCallContext,
        asset_id: &str,
        options: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let request = super::publish_request(asset_id, &options.into()).map_err(thrown)?;
        let host = &context.host;
        answer(
            host.publisher
                .publish(&host.assets, &request)
                .map_err(thrown)?,
        )
    }

    /// The web folder: `#{ publish_dir, auto_detected, max_bytes }`.
    #[rhai_fn(return_raw)]
    pub fn publish_info(call: NativeCallContext) -> Fallible<Dynamic> {
        answer(Context::of(&call).host.publisher.info())
    }

    /// Sets the web folder for this process and returns where it really is.
    #[rhai_fn(return_raw)]
    pub fn set_publish_dir(call: NativeCallContext, path: &str) -> Fallible<Dynamic> {
        let host = Context::of(&call).host;
        answer(host.publisher.set_folder(path.as_ref()).map_err(thrown)?)
    }

    /// The session under which this process records what it makes.
    pub fn session(call: NativeCallContext) -> ImmutableString {
        Context::of(&call).host.jobs.session().into()
    }
}

fn summary(asset: &Asset) -> Value {
    json!({
        "asset_id": asset.asset_id,
        "type": asset.kind,
        "filename": asset.filename,
        "width": asset.width,
        "height": asset.height,
        "created_at": asset.created_at,
        "prompt_preview": asset.prompt_preview,
    })
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
    Ok(PublishRequest {
        target,
        folder: word("folder").map(PathBuf::from),
        ..PublishRequest::new(asset_id)
    })
}

fn query(asked: &Value) -> Result<Query, Failure> {
    let unknown = asked
        .as_object()
        .and_then(|asked| asked.keys().find(|key| !QUERY.contains(&key.as_str())));
    if let Some(unknown) = unknown {
        let suggestion = did_you_mean(nearest(unknown, QUERY.into_iter()).as_deref());
        let message = format!("a query of assets has no \"{unknown}\"{suggestion}");
        return Err(Failure::new(Code::INVALID_PARAMS, message)
            .hint(format!("it may say {}", QUERY.join(", "))));
    }
    let word = |name: &str| asked[name].as_str().map(str::to_owned);
    let kind = word("kind").map(|name| {
        Kind::from_name(&name).ok_or_else(|| {
            Failure::new(Code::INVALID_PARAMS, format!("no kind of asset \"{name}\""))
                .hint("the kinds are images, video, audio, 3d, text and file")
        })
    });
    Ok(Query {
        session: word("session"),
        kind: kind.transpose()?,
        script: word("script"),
        text: word("text"),
        include_expired: asked["include_expired"].as_bool().unwrap_or(false),
        limit: asked["limit"]
            .as_u64()
            .map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        before: word("before"),
    })
}
