//! The model files that the server has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::future::try_join_all;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::comfy::Comfy;
use crate::comfy::ComfyError;

/// A model file with its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// The path below the folder, with the server's own separators: what loaders list.
    pub name: String,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    /// When it was last changed, in seconds since 1970.
    #[serde(default)]
    pub modified: Option<f64>,
    /// Which of the folder's directories it lies in.
    #[serde(default, rename = "pathIndex")]
    pub path_index: u32,
}

impl Comfy {
    /// The names of the model folders, such as `checkpoints`.
    pub async fn model_folders(&self) -> Result<Vec<String>, ComfyError> {
        self.0.http.get_json(["models"]).await
    }

    /// The files of a model folder, spelled as loaders list them.
    pub async fn models(&self, folder: &str) -> Result<Vec<String>, ComfyError> {
        self.in_folder(["models", folder]).await
    }

    /// The files of all model folders, by folder.
    pub async fn all_models(&self) -> Result<BTreeMap<String, Vec<String>>, ComfyError> {
        let folders = self.model_folders().await?;
        let listed = folders.into_iter().map(|folder| async {
            let files = match self.models(&folder).await {
                // A folder that only custom code knows how to list has nothing for others.
                Err(ComfyError::NoSuchFolder { .. }) => Vec::new(),
                files => files?,
            };
            Ok((folder, files))
        });
        Ok(try_join_all(listed).await?.into_iter().collect())
    }

    /// The files of a model folder with their sizes (0.3.8 and later).
    pub async fn model_sizes(&self, folder: &str) -> Result<Vec<ModelFile>, ComfyError> {
        self.in_folder(["experiment", "models", folder]).await
    }

    /// The directories of all model folders on the server's machine (0.3.8 and later).
    pub async fn model_directories(&self) -> Result<BTreeMap<String, Vec<PathBuf>>, ComfyError> {
        #[derive(Deserialize)]
        struct Folder {
            name: String,
            #[serde(default)]
            folders: Vec<PathBuf>,
        }
        let http = &self.0.http;
        let folders: Vec<Folder> = http.get_json(["experiment", "models"]).await?;
        let folders = folders.into_iter();
        Ok(folders
            .map(|folder| (folder.name, folder.folders))
            .collect())
    }

    async fn in_folder<T: DeserializeOwned, const N: usize>(
        &self,
        path: [&str; N],
    ) -> Result<T, ComfyError> {
        let http = &self.0.http;
        let request = http.get(path);
        let response = http.send(&request, |builder| builder).await?;
        if response.status() == StatusCode::NOT_FOUND {
            let folder = path.last().copied().unwrap_or_default().to_owned();
            return Err(ComfyError::NoSuchFolder { folder });
        }
        let response = http.expect_success(&request, response).await?;
        http.read_json(&request, response).await
    }
}
