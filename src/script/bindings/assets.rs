//! `assets::`: what was made, with its provenance.

use rhai::plugin::{Dynamic, EvalAltResult, ImmutableString, NativeCallContext, export_module};
use rhai::{FLOAT, INT, exported_module};
use serde_json::{Value, json};

use super::patience::patiently;
use super::{SharedModule, indexed, publishing};
use crate::assets::{Asset, AssetError, FolderType, Kind, PREVIEW_BYTES, Query};
use crate::comfy::{Folder, OutputFile};
use crate::failure::{Code, Failure, shown};
use crate::ids::is_id;
use crate::jobs::{MediaSource, Upload};
use crate::paths;
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::host::{Context, answer, thrown};

/// So many variations of an asset are listed with it; there may be more.
const VARIATIONS: usize = 20;

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
    let mut module = exported_module!(functions);
    module.combine(publishing::functions());
    indexed(module)
}

#[export_module]
mod functions {
    use rhai::Blob;

    use crate::assets::likeness as likeness_of;
    use crate::script::value::from_map;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// The newest assets that fit a query, in short: `#{ assets, count, total, has_more, next }`.
    /// The query may say session, kind, script, text, limit, before and `include_expired`.
    /// Throws `INVALID_PARAMS` for a query that is not understood.
    /// Example: `assets::list(#{ limit: 10, text: "fox" }).assets`
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

    /// One asset in full, with how it was made and what was made from it; the workflow itself is
    /// `assets::workflow`.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`.
    /// Example: `assets::get(asset_id).width`
    #[rhai_fn(return_raw)]
    pub fn get(call: NativeCallContext, asset_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(super::description(&context, asset_id).map_err(thrown)?)
    }

    /// What there is to see of an asset: its type, size, duration, prompt, and where it is.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`.
    /// Example: `assets::facts(asset_id)`
    #[rhai_fn(return_raw)]
    pub fn facts(call: NativeCallContext, asset_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(super::facts(&context, asset_id).map_err(thrown)?)
    }

    /// A small picture of an asset, at most `max_side` pixels along its longer side and 100 kB in
    /// base64: `#{ bytes, mime_type, width, height }`. Of a picture that moves it's the first frame.
    /// What can't be shown has a `no_preview` instead, which says why.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `SOURCE_NOT_FOUND` where its file is gone.
    /// Example: `assets::preview(asset_id, 512)`
    #[rhai_fn(return_raw)]
    pub fn preview(call: NativeCallContext, asset_id: &str, max_side: INT) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        super::preview(&context, asset_id, max_side).map_err(thrown)
    }

    /// The words of an asset that is text, up to `limit` characters.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `SOURCE_NOT_FOUND` where its file is gone.
    /// Example: `assets::text(asset_id, 500)`
    #[rhai_fn(return_raw)]
    pub fn text(call: NativeCallContext, asset_id: &str, limit: INT) -> Fallible<ImmutableString> {
        let context = Context::of(&call);
        let bytes = context.host.assets.read_bytes(asset_id).map_err(thrown)?;
        let text = String::from_utf8_lossy(&bytes);
        let limit = usize::try_from(limit).unwrap_or_default();
        Ok(text.chars().take(limit).collect::<String>().into())
    }

    /// The bytes of an asset.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `SOURCE_NOT_FOUND` where its file is gone.
    /// Example: `assets::bytes(asset_id).len()`
    #[rhai_fn(return_raw)]
    pub fn bytes(call: NativeCallContext, asset_id: &str) -> Fallible<Blob> {
        let context = Context::of(&call);
        context.host.assets.read_bytes(asset_id).map_err(thrown)
    }

    /// The workflow that made an asset, exactly as it was run; `()` if none is known.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`.
    /// Example: `workflow(assets::workflow(asset_id)).find("KSampler")`
    #[rhai_fn(return_raw)]
    pub fn workflow(call: NativeCallContext, asset_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let asset = context.host.assets.get(asset_id).map_err(thrown)?;
        match context.host.assets.workflow(&asset) {
            Ok(workflow) => answer(workflow),
            Err(AssetError::NoWorkflow(_)) => Ok(Dynamic::UNIT),
            Err(error) => Err(thrown(error)),
        }
    }

    /// Keeps an asset for ever, or lets it expire again a whole lifetime from now.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`.
    /// Example: `assets::pin(asset_id, true)`
    #[rhai_fn(return_raw)]
    pub fn pin(call: NativeCallContext, asset_id: &str, pinned: bool) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let assets = context.host.assets.clone();
        let changed = if pinned {
            assets.pin(asset_id)
        } else {
            assets.unpin(asset_id)
        };
        let asset = changed.map_err(thrown)?;
        answer(json!({
            "asset_id": asset.asset_id,
            "pinned": asset.pinned,
            "expires_at": asset.expires_at,
        }))
    }

    /// Removes what is past its time: `#{ removed, bytes_freed }`.
    /// Throws `INTERNAL_ERROR` where the store can't be written.
    /// Example: `assets::cleanup().removed`
    #[rhai_fn(return_raw)]
    pub fn cleanup(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("assets::cleanup", json!([]), || {
            let removed = context.host.assets.remove_expired().map_err(thrown)?;
            answer(json!({ "removed": removed.asset_ids.len(), "bytes_freed": removed.bytes }))
        })
    }

    /// Brings media into `ComfyUI`'s input folder: `#{ name, mime_type, uploaded, ... }`, of which
    /// `name` is what `LoadImage` and its kin take. The source is the path of a file or an
    /// `asset_id`; the options may say filename, subfolder and overwrite.
    /// Throws `SOURCE_NOT_FOUND`, `UNSUPPORTED_TYPE`, `INVALID_FILENAME`, `CONNECTION_ERROR`
    /// without a server.
    /// Example: `assets::upload("photo.png", #{ overwrite: true }).name`
    #[rhai_fn(return_raw)]
    pub fn upload(call: NativeCallContext, source: &str, options: rhai::Map) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let given = json!([source, options]);
        let options = super::upload_options(&options.into());
        let base = &context.host.project_dir;
        let source = MediaSource::of(source, base)
            .unwrap_or_else(|| MediaSource::File(paths::resolved(source, base)));
        let jobs = &context.host.jobs;
        let uploaded = context.once("assets::upload", given, || {
            let upload = async || jobs.upload(source.clone(), &options).await;
            let uploaded = context.budget.apart(|| patiently(&context, upload))?;
            context.budget.write(uploaded.bytes)?;
            answer(uploaded)
        })?;
        super::note_input(&context, &uploaded, &source);
        Ok(uploaded)
    }

    /// Measures of a picture: `#{ sharpness, exposure: #{ mean, dark, bright }, hash }`. Sharpness
    /// is 0 for none and hundreds to thousands for much detail, exposure is from 0 to 1, `dark` and
    /// `bright` being the parts that are lost in black and white. Clips and sounds throw.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `UNSUPPORTED_TYPE` for what is no picture.
    /// Example: `assets::measure(asset_id).sharpness`
    #[rhai_fn(return_raw)]
    pub fn measure(call: NativeCallContext, asset_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let measures = context.host.assets.measure(asset_id).map_err(thrown)?;
        let exposure = measures.exposure;
        answer(json!({
            "sharpness": measures.sharpness,
            "exposure": {
                "mean": exposure.mean,
                "dark": exposure.dark,
                "bright": exposure.bright,
            },
            // A whole number of 64 bits would be rounded where numbers are floats.
            "hash": format!("{:016x}", measures.hash),
        }))
    }

    /// How much alike two pictures look: 1 for copies, 0.84 and more for nearly the same, about 0.5
    /// for others.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `UNSUPPORTED_TYPE` for what is no picture.
    /// Example: `assets::likeness(asset_id, other_id) > 0.95`
    #[rhai_fn(return_raw)]
    pub fn likeness(call: NativeCallContext, one: &str, other: &str) -> Fallible<FLOAT> {
        let context = Context::of(&call);
        let hash = |id: &str| context.host.assets.measure(id).map(|it| it.hash);
        let (one, other) = (hash(one).map_err(thrown)?, hash(other).map_err(thrown)?);
        Ok(likeness_of(one, other))
    }

    /// The session under which what the caller makes is recorded.
    /// Example: `assets::list(#{ session: assets::session() })`
    pub fn session(call: NativeCallContext) -> ImmutableString {
        Context::of(&call).session().into()
    }
}

/// Notes which asset stands behind an upload that may have been another process's.
fn note_input(context: &Context, uploaded: &Dynamic, source: &MediaSource) {
    let uploaded = uploaded.read_lock::<rhai::Map>();
    let name = uploaded.as_ref().and_then(|told| told.get("name"));
    if let (Some(name), MediaSource::Asset(asset_id)) = (name, source) {
        let jobs = &context.host.jobs;
        jobs.note_input(&name.to_string(), asset_id.clone());
    }
}

fn summary(asset: &Asset) -> Value {
    let mut entry = json!({
        "asset_id": asset.asset_id,
        "type": asset.kind,
        "filename": asset.filename,
        "width": asset.width,
        "height": asset.height,
        "duration": asset.duration,
        "created_at": asset.created_at,
        "pinned": asset.pinned.then_some(true),
        "prompt_preview": asset.prompt_preview,
    });
    if let Some(entry) = entry.as_object_mut() {
        entry.retain(|_, value| !value.is_null());
    }
    entry
}

fn description(context: &Context, asset_id: &str) -> Result<Value, Failure> {
    let assets = &context.host.assets;
    let asset = assets.get(asset_id)?;
    let (variations, count) = assets.regenerations(asset_id, VARIATIONS)?;
    let Value::Object(mut entry) = json!(asset) else {
        return Err(Failure::new(Code::INTERNAL_ERROR, "an asset is an object"));
    };
    entry.shift_remove("blob");
    entry.insert("type".into(), entry["kind"].clone());
    entry.shift_remove("kind");
    if let Some(url) = view_url(context, &asset) {
        entry.insert("url".into(), url.into());
    }
    entry.insert("path".into(), json!(assets.path(asset_id)?));
    // As the original's callers know it; the rest of the provenance stands below its name.
    entry.insert("parameters".into(), asset.provenance.parameters.into());
    if let Some(before) = asset.provenance.regenerated_from {
        entry.insert("regenerated_from".into(), before.into());
    }
    if count > 0 {
        let ids: Vec<&str> = variations
            .iter()
            .map(|asset| asset.asset_id.as_str())
            .collect();
        entry.insert("regenerations".into(), json!(ids));
        entry.insert("regenerations_total".into(), count.into());
    }
    Ok(entry.into())
}

fn facts(context: &Context, asset_id: &str) -> Result<Value, Failure> {
    let assets = &context.host.assets;
    let asset = assets.get(asset_id)?;
    let mut entry = summary(&asset);
    let more = json!({
        "mime_type": asset.mime_type,
        "bytes": asset.bytes,
        "fps": asset.fps,
        "url": view_url(context, &asset),
        "path": assets.path(asset_id)?,
        "uri": format!("mmf://assets/{asset_id}"),
    });
    if let (Some(entry), Value::Object(mut more)) = (entry.as_object_mut(), more) {
        entry.append(&mut more);
        entry.retain(|_, value| !value.is_null());
    }
    Ok(entry)
}

fn preview(context: &Context, asset_id: &str, max_side: INT) -> Result<Dynamic, Failure> {
    let side = u32::try_from(max_side.max(1)).unwrap_or(u32::MAX);
    let assets = &context.host.assets;
    let mut map = rhai::Map::new();
    let preview = match assets.preview(asset_id, side, PREVIEW_BYTES) {
        Ok(preview) => preview,
        Err(error @ AssetError::NoPreview { .. }) => {
            map.insert("no_preview".into(), error.to_string().into());
            return Ok(map.into());
        }
        Err(error) => return Err(error.into()),
    };
    map.insert("bytes".into(), Dynamic::from_blob(preview.bytes));
    map.insert("mime_type".into(), preview.mime_type.into());
    map.insert("width".into(), INT::from(preview.width).into());
    map.insert("height".into(), INT::from(preview.height).into());
    Ok(map.into())
}

/// Where a browser sees the asset as long as the server has the file; what was made here, such as a
/// contact sheet, no server ever had.
fn view_url(context: &Context, asset: &Asset) -> Option<String> {
    asset.prompt_id.as_ref()?;
    Some(context.host.comfy.view_url(&OutputFile {
        filename: asset.filename.clone(),
        subfolder: asset.subfolder.clone(),
        folder: match asset.folder_type {
            FolderType::Output => Folder::Output,
            FolderType::Temp => Folder::Temp,
            FolderType::Input => Folder::Input,
        },
    }))
}

fn upload_options(options: &Value) -> Upload {
    let default = Upload::default();
    Upload {
        filename: options["filename"].as_str().map(str::to_owned),
        subfolder: options["subfolder"]
            .as_str()
            .map_or(default.subfolder, str::to_owned),
        overwrite: options["overwrite"].as_bool().unwrap_or(default.overwrite),
    }
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
    let limit = match &asked["limit"] {
        Value::Null => 0,
        given => given.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
            let message = format!("limit is {given}, it is a number of assets above 0");
            Failure::new(Code::INVALID_PARAMS, message).detail("fields", json!(["limit"]))
        })?,
    };
    let before = word("before");
    if let Some(text) = before.as_deref().filter(|text| !is_id(text)) {
        let message = format!("before is no asset_id: {}", shown(&text.into()));
        return Err(Failure::new(Code::INVALID_PARAMS, message)
            .hint("pass what the page before gave as next")
            .detail("fields", json!(["before"])));
    }
    Ok(Query {
        session: word("session"),
        kind: kind.transpose()?,
        script: word("script"),
        text: word("text"),
        include_expired: asked["include_expired"].as_bool().unwrap_or(false),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        before,
    })
}
