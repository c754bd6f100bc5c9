//! Which of a model's files a server has.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{self, File};
use super::{Knowledge, Model};

/// The files of a server by folder.
#[derive(Clone, Debug, Default)]
pub struct Shelves(BTreeMap<String, Vec<(Vec<String>, String)>>);

/// What of a model is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The files that are there, as the server names them.
    pub installed: Vec<String>,
    /// The official names of those that are not.
    pub missing: Vec<String>,
}

impl Stock {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

impl Shelves {
    /// Of the names that the server lists.
    #[must_use]
    pub fn of(listed: BTreeMap<String, Vec<String>>) -> Self {
        let with_parts = |names: Vec<String>| {
            let names = names.into_iter();
            names.map(|name| (file::part(&name), name)).collect()
        };
        let folders = listed.into_iter();
        Self(
            folders
                .map(|(folder, names)| (folder, with_parts(names)))
                .collect(),
        )
    }

    /// The file as it lies there: under its name, else in another precision.
    fn find(&self, file: &File) -> Option<String> {
        let part = file.part();
        let mut alike = None;
        for folder in folders(&file.folder) {
            for (own, name) in self.0.get(folder).into_iter().flatten() {
                let found = || format!("{folder}/{name}");
                if file.is_called(name) {
                    return Some(found());
                }
                if alike.is_none() && *own == part {
                    alike = Some(found());
                }
            }
        }
        alike
    }
}

/// The folders in which the files of one may lie; GGUF loaders have names of their own for them.
fn folders(folder: &str) -> Vec<&str> {
    match folder {
        "diffusion_models" => vec![folder, "unet", "unet_gguf"],
        "text_encoders" => vec![folder, "clip", "clip_gguf"],
        _ => vec![folder],
    }
}

impl Knowledge {
    /// What a server has of a model and of the one that it is put on. Of several precisions of a
    /// file one is enough, and a file that has everything is enough alone.
    #[must_use]
    pub fn stock(&self, model: &Model, shelves: &Shelves) -> Stock {
        let mut stock = own_stock(model, shelves);
        let base = model.base.as_deref().and_then(|base| self.model(base));
        if let Some(base) = base {
            let below = own_stock(base, shelves);
            stock.installed.extend(below.installed);
            stock.missing.extend(below.missing);
        }
        stock
    }
}

fn own_stock(model: &Model, shelves: &Shelves) -> Stock {
    let mut wholes = model.files.iter().filter(|file| file.whole);
    if let Some(whole) = wholes.find_map(|file| shelves.find(file)) {
        return Stock {
            installed: vec![whole],
            missing: vec![],
        };
    }
    let only_whole = model.files.iter().all(|file| file.whole);
    let mut stock = Stock::default();
    let mut seen: BTreeSet<(&str, Vec<String>)> = BTreeSet::new();
    for file in model.files.iter().filter(|file| only_whole || !file.whole) {
        if !seen.insert((&file.folder, file.part())) {
            continue;
        }
        match shelves.find(file) {
            Some(name) => stock.installed.push(name),
            None => stock.missing.push(file.path()),
        }
    }
    stock
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(model: &str, files: &[(&str, &str)]) -> Stock {
        let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (folder, name) in files {
            let names = listed.entry((*folder).to_owned()).or_default();
            names.push((*name).to_owned());
        }
        let knowledge = Knowledge::bundled();
        let model = knowledge.model(model).unwrap();
        knowledge.stock(model, &Shelves::of(listed))
    }

    #[test]
    fn another_precision_in_a_subfolder_counts() {
        let files = [
            ("unet_gguf", "z/z_image_turbo-Q4_K_M.gguf"),
            ("text_encoders", "qwen_3_4b_fp8_mixed.safetensors"),
        ];
        let stock = stock("Z-Image-Turbo", &files);
        assert_eq!(
            stock.installed,
            [
                "unet_gguf/z/z_image_turbo-Q4_K_M.gguf",
                "text_encoders/qwen_3_4b_fp8_mixed.safetensors"
            ]
        );
        assert_eq!(stock.missing, ["vae/ae.safetensors"]);
    }

    #[test]
    fn both_halves_of_a_model_are_needed() {
        let high = "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors";
        let stock = stock("Wan 2.2 T2V 14B", &[("diffusion_models", high)]);
        let low = "diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors";
        assert_eq!(stock.missing[0], low);
    }

    #[test]
    fn a_file_with_everything_is_enough() {
        let whole = ("checkpoints", "flux1-dev-fp8.safetensors");
        assert!(stock("FLUX.1-dev", &[whole]).is_complete());
        assert_eq!(stock("FLUX.1-dev", &[]).missing.len(), 4);
        assert_eq!(stock("Stable Diffusion XL", &[]).missing.len(), 1);
    }

    #[test]
    fn what_is_put_on_another_model_needs_that_one() {
        let redux = ("style_models", "flux1-redux-dev.safetensors");
        let stock = stock("FLUX.1 Redux", &[redux]);
        let base = "diffusion_models/flux1-dev.safetensors".to_owned();
        assert!(stock.missing.contains(&base), "{stock:?}");
    }
}
