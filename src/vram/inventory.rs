//! What files there are on the server: their sizes, and their headers where they are here, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::header::Header;
use super::plan::Plan;
use crate::comfy::{Comfy, ComfyError, ModelFile};

/// Sizes of files in bytes, by folder and name.
pub type Sizes = HashMap<(String, String), u64>;

/// What is known of the files on the server.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Their sizes.
    pub sizes: Sizes,
    /// The headers of those that could be read.
    pub headers: HashMap<(String, String), Header>,
}

type Directories = BTreeMap<String, Vec<PathBuf>>;

impl Inventory {
    /// The files in the folders from which a workflow loads.
    pub async fn of(comfy: &Comfy, plan: &Plan) -> Self {
        let mut folders: BTreeSet<&str> = plan.files.iter().map(|file| file.folder).collect();
        if folders.contains("vae") {
            // Small ones go by a name there, and lie here.
            folders.insert("vae_approx");
        }
        let is_used = |name: &str| {
            let mut files = plan.files.iter();
            files.any(|file| {
                file.file == name || file.folder == "vae" && name.starts_with(&file.file)
            })
        };
        Self::in_folders(comfy, folders, is_used).await
    }

    /// The files in the folders of diffusion models, `name` among them.
    pub async fn of_model(comfy: &Comfy, name: &str) -> Self {
        let folders = ["checkpoints", "diffusion_models"];
        Self::in_folders(comfy, folders, |file| file == name).await
    }

    /// The files in these folders, with the headers of those that are used if the server is on this
    /// machine. A server that does not tell sizes (before 0.3.8, or none) leaves them to the table.
    async fn in_folders<'f>(
        comfy: &Comfy,
        folders: impl IntoIterator<Item = &'f str>,
        is_used: impl Fn(&str) -> bool,
    ) -> Self {
        let mut inventory = Self::default();
        let mut wanted = Vec::new();
        let directories = if comfy.server().is_local() {
            told(comfy.model_directories().await)
        } else {
            Directories::new()
        };
        for folder in folders {
            for file in told(comfy.model_sizes(folder).await) {
                if file.size == 0 {
                    continue;
                }
                let key = (folder.to_owned(), file.name.clone());
                inventory.sizes.insert(key.clone(), file.size);
                if is_used(&file.name)
                    && let Some(path) = path(&directories, folder, &file)
                {
                    wanted.push((key, path, file.size));
                }
            }
        }
        let read = tokio::task::spawn_blocking(|| {
            let headers = wanted.into_iter();
            let read = |(key, path, size): (_, PathBuf, u64)| Some((key, header(&path, size)?));
            headers.filter_map(read).collect()
        });
        // The runtime shuts down if it fails, and sizes do as well.
        inventory.headers = read.await.unwrap_or_default();
        inventory
    }
}

fn path(directories: &Directories, folder: &str, file: &ModelFile) -> Option<PathBuf> {
    let index = usize::try_from(file.path_index).ok()?;
    Some(directories.get(folder)?.get(index)?.join(&file.name))
}

/// The header of a file that is here, too. It is the server's own if it is as large: behind a tunnel
/// the same path may lead to something else.
fn header(path: &std::path::Path, size: u64) -> Option<Header> {
    let is_same = path.metadata().is_ok_and(|facts| facts.len() == size);
    if !is_same {
        return None;
    }
    Header::read(path).unwrap_or_else(|error| {
        tracing::debug!(%error, path = %path.display(), "no header can be read");
        None
    })
}

/// An answer that an old server may not have, and a broken one not give: what is not known of files
/// is left to the table.
fn told<T: Default>(answer: Result<T, ComfyError>) -> T {
    answer.unwrap_or_else(|error| {
        tracing::debug!(%error, "what files there are is not told");
        T::default()
    })
}
