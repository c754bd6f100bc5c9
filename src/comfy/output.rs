//! What a job produced, found in whatever shape the nodes reported it.
//!
//! Nodes put their results under keys of their own making (`images`, `gifs`, `audio`, `3d`,
//! `result`, ...), and a video of the core nodes stands under `images`. So every key is scanned:
//! an object with a `filename` is a file wherever it stands, a string that reads like the path of
//! a media file is one too, and other strings are text.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One thing that a node of a job produced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The node that reported it; `"2.0.0.1"` for nodes that another node expanded into.
    pub node_id: String,
    /// The key under which it was reported, such as `images`.
    pub key: String,
    /// What it is.
    pub kind: OutputKind,
    /// The file, or the text.
    #[serde(flatten)]
    pub body: OutputBody,
}

/// A file on the server, or text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputBody {
    /// To be fetched with [`Comfy::view`](super::Comfy::view).
    File(OutputFile),
    /// Text that a node showed.
    Text(String),
}

/// The kind of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// A still picture.
    Image,
    /// A clip, or an animated picture.
    Video,
    /// Sound.
    Audio,
    /// A model of a shape or scene.
    #[serde(rename = "3d")]
    ThreeD,
    /// Text.
    Text,
    /// Any other file, such as a latent.
    File,
}

impl OutputKind {
    /// `image`, `video`, `audio`, `3d`, `text` or `file`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::ThreeD => "3d",
            Self::Text => "text",
            Self::File => "file",
        }
    }
}

impl fmt::Display for OutputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the three folders from which `ComfyUI` serves files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folder {
    /// Results to keep.
    #[default]
    Output,
    /// What nodes such as `LoadImage` read.
    Input,
    /// Previews, wiped when the server starts.
    Temp,
}

impl Folder {
    /// `output`, `input` or `temp`, as the server names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Input => "input",
            Self::Temp => "temp",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Output, Self::Input, Self::Temp]
            .into_iter()
            .find(|folder| folder.as_str() == name)
    }
}

/// A file in one of the server's folders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its name without folders.
    pub filename: String,
    /// The folder below `folder`; empty for none.
    #[serde(default)]
    pub subfolder: String,
    /// `output`, `input` or `temp`.
    #[serde(default, rename = "type")]
    pub folder: Folder,
}

impl OutputFile {
    /// `subfolder/filename`, with ` [output]` or ` [temp]` behind it unless it lies in the input
    /// folder: the form in which `LoadImage` and its kin take a file.
    #[must_use]
    pub fn reference(&self) -> String {
        let mut path = self.path();
        if self.folder != Folder::Input {
            path.push_str(" [");
            path.push_str(self.folder.as_str());
            path.push(']');
        }
        path
    }

    /// `subfolder/filename`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.subfolder.is_empty() {
            self.filename.clone()
        } else {
            format!("{}/{}", self.subfolder.trim_end_matches('/'), self.filename)
        }
    }

    fn from_object(object: &Map<String, Value>) -> Option<Self> {
        let name = object.get("filename")?.as_str()?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let mut file = Self::from_path(name)?;
        if let Some(subfolder) = text("subfolder").filter(|subfolder| !subfolder.is_empty()) {
            file.subfolder = subfolder.replace('\\', "/");
        }
        if let Some(folder) = text("type").and_then(Folder::named) {
            file.folder = folder;
        }
        Some(file)
    }

    /// Reads `sub/name.glb [temp]`. Directories go to the subfolder, because `/view` drops those
    /// in a file name.
    fn from_path(path: &str) -> Option<Self> {
        let (path, folder) = split_annotation(path);
        let path = path.replace('\\', "/");
        let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", &path));
        (!filename.is_empty()).then(|| Self {
            filename: filename.to_owned(),
            subfolder: subfolder.to_owned(),
            folder,
        })
    }
}

fn split_annotation(path: &str) -> (&str, Folder) {
    for folder in [Folder::Output, Folder::Input, Folder::Temp] {
        let bare = path
            .strip_suffix(']')
            .and_then(|path| path.strip_suffix(folder.as_str()));
        if let Some(bare) = bare.and_then(|path| path.strip_suffix(" [")) {
            return (bare, folder);
        }
    }
    (path, Folder::Output)
}

impl Output {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&OutputFile> {
        match &self.body {
            OutputBody::File(file) => Some(file),
            OutputBody::Text(_) => None,
        }
    }

    /// The text, if it is that.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.body {
            OutputBody::Text(text) => Some(text),
            OutputBody::File(_) => None,
        }
    }
}

/// Everything in the `outputs` of a history entry, in its order; a file that a node reports under
/// two keys counts once.
#[must_use]
pub fn outputs(history: &Value) -> Vec<Output> {
    let nodes = history.as_object().into_iter().flatten();
    nodes
        .flat_map(|(node_id, ui)| node_outputs(node_id, ui))
        .collect()
}

/// Everything in what one node reported: `{key: [...]}`.
#[must_use]
pub fn node_outputs(node_id: &str, ui: &Value) -> Vec<Output> {
    let mut found: Vec<Output> = Vec::new();
    for (key, value) in ui.as_object().into_iter().flatten() {
        if key == "animated" {
            continue;
        }
        let animated = ui.get("animated").is_some_and(any_true);
        let mut add = |kind, body| {
            if !found.iter().any(|output| output.body == body) {
                let (node_id, key) = (node_id.to_owned(), key.clone());
                found.push(Output {
                    node_id,
                    key,
                    kind,
                    body,
                });
            }
        };
        if let Some(text) = exploded_text(key, value) {
            add(OutputKind::Text, OutputBody::Text(text));
        } else {
            scan(key, value, animated, &mut add);
        }
    }
    found
}

/// A node that returns plain text instead of a list has it taken apart into characters by the
/// server (`{"text": ["h", "e", "y"]}`). Three or more characters and nothing else are put
/// together again; under other keys, lists of characters may be meant (`{"labels": ["a", "b", "c"]}`).
fn exploded_text(key: &str, value: &Value) -> Option<String> {
    let items = value
        .as_array()
        .filter(|items| key == "text" && items.len() > 2)?;
    let lone = |item: &Value| {
        item.as_str()
            .filter(|text| text.chars().count() == 1)
            .map(str::to_owned)
    };
    items.iter().map(lone).collect()
}

fn scan(key: &str, value: &Value, animated: bool, add: &mut impl FnMut(OutputKind, OutputBody)) {
    match value {
        Value::Array(items) => {
            for item in items {
                scan(key, item, animated, add);
            }
        }
        Value::Object(object) => {
            if let Some(file) = OutputFile::from_object(object) {
                add(
                    kind_of(key, &file.filename, animated),
                    OutputBody::File(file),
                );
            } else {
                for item in object
                    .values()
                    .filter(|item| item.is_object() || item.is_array())
                {
                    scan(key, item, animated, add);
                }
            }
        }
        Value::String(text) => match path_in_text(key, text) {
            Some(file) => add(
                kind_of(key, &file.filename, animated),
                OutputBody::File(file),
            ),
            None => add(OutputKind::Text, OutputBody::Text(text.clone())),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn any_true(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(any_true),
        other => other == &Value::Bool(true),
    }
}

/// A bare string is a file if it ends like a media file and neither is prose nor an absolute path,
/// which `/view` would not serve.
fn path_in_text(key: &str, text: &str) -> Option<OutputFile> {
    let (bare, _) = split_annotation(text);
    let absolute =
        bare.starts_with(['/', '\\']) || bare.get(1..3) == Some(":\\") || bare.contains("://");
    if key == "text" || bare.contains('\n') || absolute || bare.contains("..") {
        return None;
    }
    kind_by_extension(bare)?;
    OutputFile::from_path(text)
}

fn kind_of(key: &str, filename: &str, animated: bool) -> OutputKind {
    match (kind_by_extension(filename), key) {
        (Some(OutputKind::Image), _) if animated => OutputKind::Video,
        // Moving pictures come as webp too, and sound as mp4.
        (Some(OutputKind::Image) | None, "gifs" | "video" | "videos") => OutputKind::Video,
        (Some(OutputKind::Video) | None, "audio") => OutputKind::Audio,
        (Some(kind), _) => kind,
        (None, "images" | "a_images" | "b_images") => OutputKind::Image,
        (None, "3d") => OutputKind::ThreeD,
        (None, _) => OutputKind::File,
    }
}

fn kind_by_extension(filename: &str) -> Option<OutputKind> {
    let (_, extension) = filename.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" | "jpg" | "jpeg" | "webp" | "bmp" | "tif" | "tiff" | "avif" | "exr" | "hdr"
        | "svg" => OutputKind::Image,
        "mp4" | "webm" | "mkv" | "mov" | "avi" | "m4v" | "gif" | "apng" => OutputKind::Video,
        "wav" | "flac" | "mp3" | "opus" | "ogg" | "m4a" | "aac" => OutputKind::Audio,
        "glb" | "gltf" | "obj" | "fbx" | "stl" | "ply" | "splat" | "spz" | "ksplat" | "usdz" => {
            OutputKind::ThreeD
        }
        "latent" | "safetensors" | "json" | "csv" | "zip" | "pt" => OutputKind::File,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(ui: &Value) -> Vec<String> {
        node_outputs("9", ui)
            .iter()
            .map(|output| match &output.body {
                OutputBody::File(file) => format!("{} {}", output.kind, file.reference()),
                OutputBody::Text(text) => format!("{} {text:?}", output.kind),
            })
            .collect()
    }

    #[test]
    fn every_shape_that_nodes_report_is_found() {
        for (ui, expected) in [
            (
                json!({ "images": [{ "filename": "a.png", "subfolder": "", "type": "output" }] }),
                vec!["image a.png [output]"],
            ),
            (
                json!({ "images": [{ "filename": "p.png", "subfolder": "s", "type": "temp" }] }),
                vec!["image s/p.png [temp]"],
            ),
            (
                json!({ "images": [{ "filename": "v.mp4", "subfolder": "video", "type": "output" }],
                        "animated": [true] }),
                vec!["video video/v.mp4 [output]"],
            ),
            (
                json!({ "images": [{ "filename": "v.webp", "subfolder": "", "type": "output" }],
                        "animated": [true] }),
                vec!["video v.webp [output]"],
            ),
            (
                json!({ "gifs": [{ "filename": "w.mp4", "subfolder": "", "type": "temp",
                                   "format": "video/h264-mp4", "frame_rate": 8.0,
                                   "fullpath": "/srv/comfy/temp/w.mp4" }] }),
                vec!["video w.mp4 [temp]"],
            ),
            (
                json!({ "audio": [{ "filename": "s.flac", "subfolder": "audio", "type": "output" }] }),
                vec!["audio audio/s.flac [output]"],
            ),
            (
                json!({ "result": ["mesh/box.glb [output]", { "position": [1, 2] }, null] }),
                vec!["3d mesh/box.glb [output]"],
            ),
            (
                json!({ "3d": [{ "filename": "m.glb", "subfolder": "", "type": "output" }] }),
                vec!["3d m.glb [output]"],
            ),
            (
                json!({ "text": ["hello", "see a.png"] }),
                vec!["text \"hello\"", "text \"see a.png\""],
            ),
            (json!({ "text": ["h", "e", "y"] }), vec!["text \"hey\""]),
            (
                json!({ "text": ["h", "e", "ys"], "labels": ["a", "b", "c"] }),
                vec![
                    "text \"h\"",
                    "text \"e\"",
                    "text \"ys\"",
                    "text \"a\"",
                    "text \"b\"",
                    "text \"c\"",
                ],
            ),
            (
                json!({ "latents": [{ "filename": "l.latent", "subfolder": "", "type": "output" }] }),
                vec!["file l.latent [output]"],
            ),
            (
                json!({ "a_images": [{ "filename": "a.png", "subfolder": "", "type": "temp" }],
                        "b_images": [{ "filename": "b.png", "subfolder": "", "type": "temp" }] }),
                vec!["image a.png [temp]", "image b.png [temp]"],
            ),
            (
                json!({ "files": ["out\\x.wav"] }),
                vec!["audio out/x.wav [output]"],
            ),
            (
                json!({ "numbers": [1, true, null], "nested": [[{ "x": 1 }]] }),
                vec![],
            ),
            (json!(null), vec![]),
        ] {
            assert_eq!(shown(&ui), expected, "{ui}");
        }
    }

    #[test]
    fn a_file_under_two_keys_counts_once() {
        let file = json!({ "filename": "a.png", "subfolder": "", "type": "output" });
        assert_eq!(
            shown(&json!({ "images": [file], "result": [file] })).len(),
            1
        );
    }

    #[test]
    fn paths_that_view_would_not_serve_are_text() {
        for path in [
            "/etc/x.png",
            "C:\\x\\y.png",
            "../x.png",
            "https://host/x.png",
        ] {
            assert!(
                shown(&json!({ "files": [path] }))[0].starts_with("text"),
                "{path}"
            );
        }
    }

    #[test]
    fn an_output_is_written_flat_for_agents() {
        let ui = json!({ "images": [{ "filename": "a.png", "type": "temp" }] });
        assert_eq!(
            serde_json::to_value(node_outputs("9", &ui)).unwrap(),
            json!([{
                "node_id": "9", "key": "images", "kind": "image",
                "file": { "filename": "a.png", "subfolder": "", "type": "temp" },
            }])
        );
    }
}
