//! A prompt as `/api/jobs` describes it, whether it waits, runs or is over.

use serde_json::{Map, Value as Json, json};

use super::queue::Item;
use super::release::Release;

/// All statuses, in the order in which an error message lists them.
const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "cancelled"];

/// The statuses that a release knows.
pub(super) fn statuses(release: Release) -> &'static [&'static str] {
    let count = if release.has_cancelled_jobs() { 5 } else { 4 };
    &STATUSES[..count]
}

/// Longer texts are cut in a preview.
const TEXT_PREVIEW: usize = 1024;

/// A prompt that waits or runs.
pub(super) fn queued(item: &Item, status: &str) -> Json {
    pruned([
        ("id", json!(item.id)),
        ("status", json!(status)),
        ("priority", json!(item.number)),
        (
            "create_time",
            item.extra_data
                .get("create_time")
                .cloned()
                .unwrap_or_default(),
        ),
        ("outputs_count", json!(0)),
        ("workflow_id", workflow_id(&item.extra_data)),
    ])
}

/// The same with the workflow.
pub(super) fn queued_in_detail(item: &Item, status: &str) -> Json {
    let mut job = queued(item, status);
    job["workflow"] = json!({ "prompt": item.prompt, "extra_data": item.extra_data });
    job
}

/// A prompt that is over, out of its history entry.
pub(super) fn finished(id: &str, entry: &Json, release: Release) -> Json {
    let messages = entry["status"]["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let message = |kind: &str| {
        messages
            .iter()
            .find(|message| message[0] == kind)
            .map(|message| &message[1])
    };
    let time =
        |message: Option<&Json>| message.map_or(Json::Null, |data| data["timestamp"].clone());
    let interrupted = message("execution_interrupted");
    let failed = message("execution_error");
    let status = match (entry["status"]["status_str"].as_str(), interrupted) {
        (Some("error"), Some(_)) if release.has_cancelled_jobs() => "cancelled",
        (Some("error"), _) => "failed",
        _ => "completed",
    };
    let extra = entry["prompt"][3].as_object().cloned().unwrap_or_default();
    let (count, preview) = summary(&entry["outputs"]);
    pruned([
        ("id", json!(id)),
        ("status", json!(status)),
        ("priority", entry["prompt"][0].clone()),
        (
            "create_time",
            extra.get("create_time").cloned().unwrap_or_default(),
        ),
        ("execution_start_time", time(message("execution_start"))),
        (
            "execution_end_time",
            time(message("execution_success").or(failed).or(interrupted)),
        ),
        ("execution_error", failed.cloned().unwrap_or_default()),
        ("outputs_count", json!(count)),
        ("preview_output", preview),
        ("workflow_id", workflow_id(&extra)),
    ])
}

/// The same with outputs, status and workflow.
pub(super) fn detailed(id: &str, entry: &Json, release: Release) -> Json {
    let mut job = finished(id, entry, release);
    job["outputs"] = normalized(&entry["outputs"]);
    job["execution_status"] = entry["status"].clone();
    job["workflow"] = json!({ "prompt": entry["prompt"][2], "extra_data": entry["prompt"][3] });
    job
}

fn workflow_id(extra_data: &Map<String, Json>) -> Json {
    let info = extra_data.get("extra_pnginfo");
    info.map_or(Json::Null, |info| info["workflow"]["id"].clone())
}

fn pruned<const N: usize>(fields: [(&str, Json); N]) -> Json {
    let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn ends_with_any(name: &str, endings: &[&str]) -> bool {
    let name = name.to_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

fn is_3d(name: &str) -> bool {
    ends_with_any(name, &[".obj", ".fbx", ".gltf", ".glb", ".usdz"])
}

fn is_text(name: &str) -> bool {
    ends_with_any(name, &[".txt", ".md", ".json"])
}

/// A file entry for a text that is the path of a 3D file.
fn file_of(item: &Json) -> Option<Json> {
    let name = item.as_str().filter(|name| is_3d(name))?;
    Some(json!({ "filename": name, "type": "output", "subfolder": "", "mediaType": "3d" }))
}

fn items(outputs: &Json) -> impl Iterator<Item = (&String, &String, &Json)> {
    let nodes = outputs.as_object().into_iter().flatten();
    nodes.flat_map(|(node, shown)| {
        let keys = shown
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "animated");
        keys.flat_map(move |(key, entries)| {
            entries
                .as_array()
                .into_iter()
                .flatten()
                .map(move |entry| (node, key, entry))
        })
    })
}

/// How many files there are, and the one that stands for the job: a saved picture before a
/// temporary one, a text file before a bare text.
fn summary(outputs: &Json) -> (usize, Json) {
    let mut count = 0;
    let mut best: [Option<Json>; 4] = Default::default();
    for (node, key, item) in items(outputs) {
        let Some(file) = item
            .as_object()
            .map(|_| item.clone())
            .or_else(|| file_of(item))
        else {
            if key == "text"
                && let Some(text) = item.as_str()
            {
                best[3].get_or_insert_with(|| text_preview(text, node));
            }
            continue;
        };
        count += 1;
        let Some(rank) = rank(key, &file) else {
            continue;
        };
        let mut preview = file;
        preview["nodeId"] = json!(node);
        if preview.get("mediaType").is_none() {
            preview["mediaType"] = json!(key);
        }
        best[rank].get_or_insert(preview);
    }
    (count, best.into_iter().flatten().next().unwrap_or_default())
}

fn rank(key: &str, file: &Json) -> Option<usize> {
    let name = file["filename"].as_str().unwrap_or_default();
    let format = file["format"].as_str().unwrap_or_default();
    let media = matches!(key, "images" | "video" | "audio" | "3d" | "text")
        || format.starts_with("video/")
        || format.starts_with("audio/")
        || is_3d(name)
        || is_text(name);
    if !media {
        return None;
    }
    if key == "text" || is_text(name) {
        return Some(2);
    }
    Some(usize::from(file["type"] != "output"))
}

fn text_preview(text: &str, node: &str) -> Json {
    let cut: String = text.chars().take(TEXT_PREVIEW).collect();
    let truncated = cut.len() < text.len();
    let mut preview = json!({ "content": cut });
    if truncated {
        preview["truncated"] = json!(true);
    }
    preview["nodeId"] = json!(node);
    preview["mediaType"] = json!("text");
    preview
}

/// Outputs with paths of 3D files as file entries and without nulls.
fn normalized(outputs: &Json) -> Json {
    let mut outputs = outputs.clone();
    for shown in outputs
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        for (key, entries) in shown.as_object_mut().into_iter().flatten() {
            if key != "animated"
                && let Some(entries) = entries.as_array_mut()
            {
                entries.retain(|entry| !entry.is_null());
                for entry in entries {
                    if let Some(file) = file_of(entry) {
                        *entry = file;
                    }
                }
            }
        }
    }
    outputs
}
