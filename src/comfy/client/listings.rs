//! Which files a server has: from what is known of its loaders, or else from the lists of its folders.
//!
//! Templates are built many times in a row, so a list counts for some seconds. Files come without a
//! sign, so it doesn't count for longer: somebody who has just put a missing one there is believed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::comfy::Comfy;
use crate::comfy::model_name::is_model_file;
use crate::comfy::nodes::{INPUT_FOLDER, model_folder};
use crate::comfy::{ComfyError, MissingModel, Workflow};

/// How long a list counts.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// The files of a folder; none of one that the server doesn't know.
type Listing = Option<Arc<[String]>>;

/// The lists of one server.
#[derive(Default)]
pub(super) struct ListingsCache(Mutex<HashMap<String, (Timestamp, Listing)>>);

impl ListingsCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Listing)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Comfy {
    /// Whether the loaders of a folder are known to take a file. The server is not asked.
    #[must_use]
    pub fn is_known_to_offer(&self, folder: &str, file: &str) -> bool {
        let facts = self.fresh_facts();
        facts.is_some_and(|facts| facts.offered(folder).any(|offered| offered == file))
    }

    /// The files of a model folder as they were some seconds ago at most; none of a folder that the
    /// server doesn't know.
    pub async fn listing(&self, folder: &str) -> Result<Listing, ComfyError> {
        let now = self.0.clock.now();
        if let Some((read_at, listing)) = self.0.listings.lock().get(folder)
            && now.duration_since(*read_at) < FRESH
        {
            return Ok(listing.clone());
        }
        let listing = match self.models(folder).await {
            Err(ComfyError::NoSuchFolder { .. }) => None,
            files => Some(Arc::from(files?)),
        };
        let entry = (now, listing.clone());
        self.0.listings.lock().insert(folder.to_owned(), entry);
        Ok(listing)
    }

    /// The model files that a workflow names and the server has not got, each once. Loaders of custom
    /// nodes are not looked at: where theirs lie is not known.
    pub async fn missing_models(
        &self,
        workflow: &Workflow,
    ) -> Result<Vec<MissingModel>, ComfyError> {
        let mut missing: Vec<MissingModel> = vec![];
        for (id, input, file, folder) in loaded(workflow) {
            let is_told = |one: &MissingModel| one.file == file && one.folder == Some(folder);
            if self.is_known_to_offer(folder, file) || missing.iter().any(is_told) {
                continue;
            }
            let Some(files) = self.listing(folder).await? else {
                continue;
            };
            if !files.iter().any(|one| one == file) {
                let names = files.iter().map(String::as_str);
                missing.push(MissingModel::new(id, input, file, Some(folder), names));
            }
        }
        Ok(missing)
    }
}

/// Node, input, file and folder of every model file that a workflow loads. What loaders offer beside
/// files, such as `taesd3`, has no ending.
fn loaded(workflow: &Workflow) -> impl Iterator<Item = (&str, &str, &str, &'static str)> {
    workflow.nodes().flat_map(|node| {
        let class = node.class_type().unwrap_or_default();
        let inputs = node.inputs().into_iter().flatten();
        inputs.filter_map(move |(input, value)| {
            let file = value.as_str().filter(|file| is_model_file(file))?;
            let folder = model_folder(class, input).filter(|folder| *folder != INPUT_FOLDER)?;
            Some((node.id, input.as_str(), file, folder))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_loaded_are_files_of_known_loaders() {
        let workflow = json!({
            "1": { "class_type": "VAELoader", "inputs": { "vae_name": "taesd3" } },
            "2": { "class_type": "UNETLoader", "inputs": { "unet_name": "a.sft", "weight_dtype": "default" } },
            "3": { "class_type": "LoadImage", "inputs": { "image": "a.bin" } },
            "4": { "class_type": "Unheard", "inputs": { "unet_name": "b.sft" } },
        });
        let workflow = Workflow::from_json(workflow).unwrap();
        let all: Vec<_> = loaded(&workflow).collect();
        assert_eq!(all, [("2", "unet_name", "a.sft", "diffusion_models")]);
    }
}
