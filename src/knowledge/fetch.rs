//! Where files that are not there are to be had, and how large they are.

use crate::comfy::MissingModel;

use super::{File, Knowledge, Model};

impl Knowledge {
    /// Adds to missing files what is known of them. Many models share a file, each graph with a place
    /// of its own for it: that of the model counts of which most is missing, then the most usual one.
    pub fn locate(&self, missing: &mut [MissingModel]) {
        let wanted: Vec<(String, Option<&str>)> = missing
            .iter()
            .map(|one| (one.file.clone(), one.folder))
            .collect();
        let sharing = |model: &Model| {
            let has = |(name, folder): &&(String, Option<&str>)| {
                files_of(model).any(|file| is_that(file, name, *folder))
            };
            wanted.iter().filter(has).count()
        };
        for one in missing {
            let known: Vec<(&Model, &File)> = self.known_files(&one.file, one.folder).collect();
            let usual = |file: &File| {
                let same = known.iter().filter(|(_, other)| other.from == file.from);
                same.count()
            };
            let best = known
                .iter()
                .rev()
                .max_by_key(|(model, file)| (file.from.is_some(), sharing(model), usual(file)));
            let Some((model, file)) = best else {
                continue;
            };
            one.url = file.url();
            one.gib = file.size_gib();
            if one.gib.is_none() {
                one.download_gb = model.download_gb;
            }
        }
    }

    /// The files of that name, and whose they are.
    fn known_files<'a>(
        &'a self,
        name: &'a str,
        folder: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Model, &'a File)> {
        let all = self
            .models
            .iter()
            .flat_map(|model| files_of(model).map(move |file| (model, file)));
        all.filter(move |(_, file)| is_that(file, name, folder))
    }
}

/// The files of a model and of all ways to run it.
fn files_of(model: &Model) -> impl Iterator<Item = &File> {
    let ways = model.variants.iter().flat_map(|way| &way.files);
    model.files.iter().chain(ways)
}

fn is_that(file: &File, name: &str, folder: Option<&str>) -> bool {
    file.is_called(name) && folder.is_none_or(|folder| file.folder == folder)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn located(knowledge: &Knowledge, file: &str, input: &str, class: &str) -> MissingModel {
        let errors = json!({ "1": { "class_type": class, "errors": [{
            "type": "value_not_in_list",
            "extra_info": { "input_name": input, "received_value": file },
        }] } });
        let mut missing = MissingModel::among(&errors, &[]);
        knowledge.locate(&mut missing);
        missing.remove(0)
    }

    #[test]
    fn a_missing_file_is_told_with_its_address_and_its_size() {
        let knowledge = Knowledge::bundled();
        let file = "sub/flux2_dev_fp8mixed.safetensors";
        let found = located(&knowledge, file, "unet_name", "UNETLoader");
        let address = "https://huggingface.co/Comfy-Org/flux2-dev/resolve/main/split_files/\
                       diffusion_models/flux2_dev_fp8mixed.safetensors";
        assert_eq!(found.url.as_deref(), Some(address));
        assert_eq!((found.gib, found.download_gb), (Some(33.02), None));
        let file = "our_own.safetensors";
        let found = located(&knowledge, file, "unet_name", "UNETLoader");
        assert_eq!(
            (found.url, found.gib, found.download_gb),
            (None, None, None)
        );
    }

    #[test]
    fn where_no_source_has_the_size_that_of_the_whole_is_told() {
        let model = r#"
            [[model]]
            name = "Fox"
            family = "sdxl"
            category = "image_gen"
            released = "2026-11-01"
            source = "ours"
            download_gb = 7.0
            files = [{ folder = "checkpoints", name = "fox.safetensors", from = "https://fox/1" }]
        "#;
        let knowledge: Knowledge = toml::from_str(model).unwrap();
        let found = located(
            &knowledge,
            "fox.safetensors",
            "ckpt_name",
            "CheckpointLoaderSimple",
        );
        assert_eq!((found.gib, found.download_gb), (None, Some(7.0)));
        assert_eq!(found.url.as_deref(), Some("https://fox/1"));
    }

    #[test]
    fn nearly_every_official_file_says_where_it_is_from() {
        let knowledge = Knowledge::bundled();
        let silent: Vec<&str> = knowledge
            .files()
            .filter(|file| file.url().is_none())
            .map(|file| file.name.as_str())
            .collect();
        let unsaid = [
            "v1-5-pruned-emaonly-fp16.safetensors",
            "Phantom-Wan-14B_fp16.safetensors",
            "FLUX.1-dev-ControlNet-Union-Pro-2.0.safetensors",
            "diffusion_pytorch_model_promax.safetensors",
        ];
        assert_eq!(silent, unsaid);
    }
}
