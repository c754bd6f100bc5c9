//! Media that a loader is told to read where it does not lie.
//!
//! Loaders read the server's input folder; what workflows save goes into the output folder, and has
//! to be uploaded again or named with `" [output]"` behind it. An editor into which a result is
//! dragged uploads it under the very name that it was saved with, so a name alone proves nothing.

use serde_json::Value;

use super::uploads::Files;
use super::view::View;
use crate::comfy::check::Finding;
use crate::comfy::nodes::{INPUT_FOLDER, model_folder};

pub(super) fn find(view: &View<'_>, files: &Files, found: &mut Vec<Finding>) {
    for (node, class) in view.known() {
        for (name, value) in node.inputs().into_iter().flatten() {
            let Some(file) = value.as_str() else { continue };
            let reads_input = model_folder(node.class_type, name) == Some(INPUT_FOLDER);
            if !reads_input || class.name() == "LoadLatent" {
                continue;
            }
            let listed = class.input(name).and_then(|input| input.choices());
            if listed.is_some_and(|listed| listed.iter().any(|choice| choice == file)) {
                continue;
            }
            let lacks = files.uploads().map(|uploads| !uploads.may_exist(file));
            let is_result = is_saved_name(file);
            let meant = (lacks == Some(true) && is_result).then(|| format!("{file} [output]"));
            let at_it = |one: &&mut Finding| {
                one.kind == "custom_validation_failed"
                    && one.node_id.as_deref() == Some(node.id)
                    && one.input.as_ref() == Some(name)
            };
            if let Some(said) = found.iter_mut().find(at_it) {
                said.suggestion = meant.map_or(Value::Null, Value::from);
                continue;
            }
            let (kind, message) = match lacks {
                Some(true) if !is_result => (
                    "missing_upload",
                    format!("{file} was not in the input folder when its files were noted"),
                ),
                Some(true) | None if is_result => (
                    "output_as_input",
                    format!(
                        "{file} is named like what the server saves, but {} reads the input folder",
                        node.class_type
                    ),
                ),
                _ => continue,
            };
            let finding = Finding::warning(kind, node.id, node.class_type);
            let meant = meant.map_or(Value::Null, Value::from);
            found.push(finding.at(name, value).says(message).suggests(meant));
        }
    }
}

/// `prefix_00001_.png`, also in a subfolder.
fn is_saved_name(file: &str) -> bool {
    let Some((stem, _)) = file.rsplit_once("_.") else {
        return false;
    };
    let digits = stem.rsplit('_').next().unwrap_or_default();
    digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) && !file.ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_files_are_known_by_their_numbers() {
        assert!(is_saved_name("ComfyUI_00001_.png"));
        assert!(is_saved_name("video/wan_00012_.mp4"));
        for file in [
            "photo_00001.png",
            "ComfyUI_00001_.png [output]",
            "a_1_.png",
            "x",
        ] {
            assert!(!is_saved_name(file), "{file}");
        }
    }
}
