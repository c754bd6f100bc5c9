//! Files that a rejected workflow names and the server has not got.
//!
//! The server says "Value not in list" and little more; what helps is the folder that the file
//! belongs into and the installed files that come nearest to it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::model_name::{is_model_file, nearest_files};
use super::nodes::{NodeFacts, model_folder};

/// How many installed files are named.
const SHOWN: usize = 3;

/// A model file that a workflow names and the server has not got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissingModel {
    /// The node that loads it.
    pub node_id: String,
    /// The node's input.
    pub input: String,
    /// The file.
    pub file: String,
    /// The folder below `models/`; none for a custom node's loader.
    pub folder: Option<&'static str>,
    /// Installed files that the loader would take and that are like it, the likest first; at most
    /// three.
    pub nearest: Vec<String>,
    /// How many files are installed that the loader would take; none if that can't be told.
    pub installed: Option<usize>,
    /// Where it is to be had, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its size, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gib: Option<f64>,
    /// Where its own is not: what all files of its model take together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_gb: Option<f64>,
}

impl MissingModel {
    /// Finds them among a rejection's `node_errors`. Facts tell what is installed where the server
    /// does not repeat a long list.
    #[must_use]
    pub fn among(node_errors: &Value, facts: &[Arc<NodeFacts>]) -> Vec<Self> {
        let nodes = node_errors.as_object().into_iter().flatten();
        let errors = nodes.flat_map(|(id, node)| {
            let class = node["class_type"].as_str().unwrap_or_default();
            let errors = node["errors"].as_array().into_iter().flatten();
            errors.map(move |error| (id, class, error))
        });
        errors
            .filter(|(.., error)| error["type"] == "value_not_in_list")
            .filter_map(|(id, class, error)| Self::of(id, class, &error["extra_info"], facts))
            .collect()
    }

    fn of(id: &str, class: &str, info: &Value, facts: &[Arc<NodeFacts>]) -> Option<Self> {
        let input = info["input_name"].as_str()?;
        let file = info["received_value"].as_str()?;
        let folder = model_folder(class, input);
        if folder.is_none() && !is_model_file(file) {
            return None;
        }
        let told = choices_of(&info["input_config"]);
        let known = || {
            facts
                .iter()
                .find_map(|facts| facts.class(class)?.input(input)?.choices())
        };
        let choices = told.or_else(known);
        let names = choices.unwrap_or_default().iter();
        let names = names.filter_map(Value::as_str);
        let mut missing = Self::new(id, input, file, folder, names);
        if choices.is_none() {
            missing.installed = None;
        }
        Some(missing)
    }

    /// A file that is not among the names of those that are there.
    pub(super) fn new<'a>(
        node_id: &str,
        input: &str,
        file: &str,
        folder: Option<&'static str>,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        // What a loader offers beside files, such as `taesd3`, is not installed.
        let is_file = is_model_file(file);
        let names = names.filter(|name| *name != file && (is_model_file(name) || !is_file));
        let nearest = nearest_files(file, names.clone(), SHOWN);
        Self {
            node_id: node_id.to_owned(),
            input: input.to_owned(),
            file: file.to_owned(),
            folder,
            nearest: nearest.into_iter().map(str::to_owned).collect(),
            installed: Some(names.count()),
            url: None,
            gib: None,
            download_gb: None,
        }
    }

    /// What to do about it: "put X into models/FOLDER or pass one that is installed: A, B".
    #[must_use]
    pub fn advice(&self) -> String {
        let place = match self.folder {
            Some(folder) => format!("put {} into models/{folder}", self.file),
            None => format!("install {}", self.file),
        };
        match (&self.nearest[..], self.installed) {
            ([], None) => place,
            ([], Some(0)) => format!("{place}, where nothing is installed yet"),
            ([], Some(installed)) => {
                format!("{place}; nothing like it is among the {installed} that are installed")
            }
            (nearest, installed) => {
                let more = installed.unwrap_or_default().saturating_sub(nearest.len());
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!(
                    "{place}, or pass what is installed: {}{more}",
                    nearest.join(", ")
                )
            }
        }
    }
}

/// The choices in an input's `[type, options]`, in either way of writing; the server leaves long
/// ones out.
fn choices_of(config: &Value) -> Option<&[Value]> {
    let listed = config[0]
        .as_array()
        .or_else(|| config[1]["options"].as_array());
    listed.map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(class: &str, input: &str, value: &str, config: &Value) -> Value {
        json!({ "1": { "class_type": class, "errors": [{
            "type": "value_not_in_list",
            "extra_info": { "input_name": input, "received_value": value, "input_config": config },
        }] } })
    }

    #[test]
    fn a_missing_file_is_told_with_its_folder_and_the_installed_ones_nearest_to_it() {
        let config = json!([["flux1-dev.safetensors", "flux2_dev.safetensors"], {}]);
        let errors = errors(
            "UNETLoader",
            "unet_name",
            "flux2_dev_fp8mixed.safetensors",
            &config,
        );
        let [missing] = &MissingModel::among(&errors, &[])[..] else {
            panic!("one file is missing")
        };
        assert_eq!(
            missing.advice(),
            "put flux2_dev_fp8mixed.safetensors into models/diffusion_models, or pass what is \
             installed: flux2_dev.safetensors, flux1-dev.safetensors"
        );
    }

    #[test]
    fn lists_that_the_server_does_not_repeat_are_known_from_the_facts() {
        let facts = (*NodeFacts::bundled()).clone().with_choices(
            "UpscaleModelLoader",
            "model_name",
            &["RealESRGAN_x4plus.pth"],
        );
        let name = "RealESRGAN_x2.pth";
        let errors = errors("UpscaleModelLoader", "model_name", name, &Value::Null);
        let missing = MissingModel::among(&errors, &[Arc::new(facts)]);
        assert_eq!(missing[0].nearest, ["RealESRGAN_x4plus.pth"]);
    }

    #[test]
    fn what_is_installed_is_not_guessed() {
        let advice = |config: &Value| {
            let errors = errors("UpscaleModelLoader", "model_name", "8x.pth", config);
            MissingModel::among(&errors, &[])[0].advice()
        };
        let put = "put 8x.pth into models/upscale_models";
        assert_eq!(advice(&Value::Null), put, "unknown is not nothing");
        assert_eq!(
            advice(&json!([[], {}])),
            format!("{put}, where nothing is installed yet")
        );
        assert_eq!(
            advice(&json!([["foolhardy_remacri.safetensors"], {}])),
            format!("{put}; nothing like it is among the 1 that are installed")
        );
    }

    #[test]
    fn a_wrong_sampler_is_no_missing_file() {
        let errors = errors("KSampler", "sampler_name", "eular", &Value::Null);
        assert_eq!(MissingModel::among(&errors, &[]), []);
    }
}
