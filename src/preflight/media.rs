//! Media that a loader is told to read where it does not lie.
//!
//! Loaders read the server's input folder; what workflows save goes into the output folder, and has
//! to be uploaded again or named with `" [output]"` behind it.

use serde_json::Value;

use super::view::View;
use crate::comfy::check::Finding;
use crate::comfy::nodes::{INPUT_FOLDER, model_folder};

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for (node, class) in view.known() {
        for (name, value) in node.inputs().into_iter().flatten() {
            let Some(file) = value.as_str() else { continue };
            let declared = class.input(name);
            let reads_input = model_folder(node.class_type, name) == Some(INPUT_FOLDER);
            if !reads_input || class.name() == "LoadLatent" {
                continue;
            }
            let listed = declared.and_then(|input| input.choices()).unwrap_or(&[]);
            if listed.iter().any(|choice| choice == file) || !is_saved_name(file) {
                continue;
            }
            let finding = Finding::warning("output_as_input", node.id, node.class_type);
            let message = format!(
                "{file} is named like what the server saves, but {} reads the input folder",
                node.class_type
            );
            let suggestion = Value::from(format!("{file} [output]"));
            found.push(finding.at(name, value).says(message).suggests(suggestion));
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
