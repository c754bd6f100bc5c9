//! Files that come from the server and go to it.

use std::io::{self, Read};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::comfy::Comfy;
use super::http::Request;
use super::pieces;
use crate::comfy::ComfyError;
use crate::comfy::output::{Folder, OutputFile};

/// A file on its way from the server.
pub struct Download {
    comfy: Comfy,
    request: Request,
    response: Response,
}

/// A file that the server has taken, under the name that it gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedFile {
    /// The file; its name differs from the one asked for if that was taken.
    #[serde(flatten)]
    pub file: OutputFile,
}

impl UploadedFile {
    /// What to set `LoadImage`'s `image` and its kin to.
    #[must_use]
    pub fn reference(&self) -> String {
        self.file.reference()
    }
}

impl Download {
    /// The type that the server says it is of; `application/octet-stream` for what browsers would
    /// run.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.response.headers().get(CONTENT_TYPE)?.to_str().ok()
    }

    /// Its size in bytes, if the server says.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.response
            .headers()
            .get(CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    /// Hands the file to blocking code as it arrives, so that it is never whole in memory. When the
    /// connection breaks in the middle, the reading fails, too.
    pub async fn read_with<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<T, ComfyError> {
        let (pieces, mut reader) = pieces::channel();
        let working = spawn_blocking(move || work(&mut reader));
        let arrived = loop {
            match self.chunk().await {
                Ok(Some(piece)) => {
                    if pieces.send(Ok(piece)).await.is_err() {
                        // The work has stopped at a mistake of its own.
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => {
                    let broken = io::Error::other(error.to_string());
                    // Whether or not the work still listens.
                    let _ = pieces.send(Err(broken)).await;
                    break Err(error);
                }
            }
        };
        drop(pieces);
        let worked = working.await;
        arrived?;
        worked.map_err(|error| ComfyError::Malformed {
            route: self.request.route().to_owned(),
            reason: error.to_string(),
        })
    }

    /// The next piece, none at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ComfyError> {
        self.comfy
            .0
            .http
            .chunk(&self.request, &mut self.response)
            .await
    }

    /// The whole file.
    pub async fn bytes(self) -> Result<Bytes, ComfyError> {
        self.comfy.0.http.read(&self.request, self.response).await
    }
}

impl Comfy {
    /// Fetches a file from one of the server's folders.
    pub async fn view(&self, file: &OutputFile) -> Result<Download, ComfyError> {
        self.fetch(file, None).await
    }

    /// Fetches a picture as the server re-encodes it: `webp;80` or `jpeg;90`.
    pub async fn view_preview(
        &self,
        file: &OutputFile,
        format: &str,
    ) -> Result<Download, ComfyError> {
        self.fetch(file, Some(format)).await
    }

    async fn fetch(
        &self,
        file: &OutputFile,
        preview: Option<&str>,
    ) -> Result<Download, ComfyError> {
        let http = &self.0.http;
        let mut request = http
            .get(["view"])
            .query("filename", &file.filename)
            .query("type", file.folder.as_str());
        if !file.subfolder.is_empty() {
            request = request.query("subfolder", &file.subfolder);
        }
        if let Some(format) = preview {
            request = request.query("preview", format);
        }
        let response = http.send(&request, |builder| builder).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
                let file = format!("{} [{}]", file.path(), file.folder.as_str());
                Err(ComfyError::NoSuchFile { file })
            }
            _ => {
                let response = http.expect_success(&request, response).await?;
                Ok(Download {
                    comfy: self.clone(),
                    request,
                    response,
                })
            }
        }
    }

    /// Where a browser finds a file of the server, without any headers.
    #[must_use]
    pub fn view_url(&self, file: &OutputFile) -> String {
        let mut url = self.server().route(["view"]);
        url.query_pairs_mut()
            .append_pair("filename", &file.filename)
            .append_pair("subfolder", &file.subfolder)
            .append_pair("type", file.folder.as_str());
        url.into()
    }

    /// Puts a file of any type into one of the server's folders. A file of that name with other
    /// contents is replaced if `overwrite`, and otherwise stays while the new one is renamed.
    pub async fn upload(
        &self,
        name: &str,
        bytes: impl Into<Bytes>,
        subfolder: &str,
        folder: Folder,
        overwrite: bool,
    ) -> Result<UploadedFile, ComfyError> {
        let http = &self.0.http;
        let request = http.post(["upload", "image"]);
        let bytes: Bytes = bytes.into();
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let part = Part::stream_with_length(bytes, size).file_name(name.to_owned());
        let mut form = Form::new()
            .part("image", part)
            .text("type", folder.as_str());
        if !subfolder.is_empty() {
            form = form.text("subfolder", subfolder.to_owned());
        }
        if overwrite {
            form = form.text("overwrite", "true");
        }
        let response = http
            .send(&request, |builder| builder.multipart(form))
            .await?;
        if response.status() == StatusCode::BAD_REQUEST {
            let body = http.read(&request, response).await?;
            let said = String::from_utf8_lossy(&body).trim().to_owned();
            let reason = if said.is_empty() {
                "the name leads out of the folder, or the file is empty".to_owned()
            } else {
                said
            };
            return Err(ComfyError::UploadRefused {
                name: name.to_owned(),
                reason,
            });
        }
        let response = http.expect_success(&request, response).await?;
        let answer: Value = http.read_json(&request, response).await?;
        let word = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        let filename = word("name");
        if filename.is_empty() {
            return Err(ComfyError::Malformed {
                route: request.route().to_owned(),
                reason: "it has no \"name\"".to_owned(),
            });
        }
        let file = OutputFile {
            filename,
            subfolder: word("subfolder"),
            folder,
        };
        Ok(UploadedFile { file })
    }
}
