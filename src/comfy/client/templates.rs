//! The server's own templates, read when needed and kept for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::timeout;

use super::comfy::Comfy;
use crate::comfy::{ComfyError, ServedTemplate};

/// Templates change with the server's installation only.
const FRESH: Duration = Duration::from_secs(600);

/// The index is of about one MiB (of the package 0.1.123); whoever asks about models does not wait
/// longer for what is only a further source.
const PATIENCE: Duration = Duration::from_secs(4);

/// The templates that were read last; none if the server has no index.
#[derive(Default)]
pub(super) struct TemplatesCache(Mutex<Option<Known>>);

struct Known {
    templates: Option<Arc<[ServedTemplate]>>,
    read_at: Timestamp,
    outages: u64,
}

impl Comfy {
    /// The templates that the server offers. None, and no error, if it is away, has no index of them
    /// (it serves one with the package `comfyui-workflow-templates`), or takes too long to give it.
    pub async fn templates(&self) -> Option<Arc<[ServedTemplate]>> {
        if let Some(known) = self.known_templates() {
            return known;
        }
        let index = self.0.http.get_json::<Value>(["templates", "index.json"]);
        let read = match timeout(PATIENCE, index).await {
            Ok(Ok(index)) => Some(ServedTemplate::all_of(&index).into()),
            Ok(Err(error)) if error.is_outage() => return None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the server has no index of templates");
                None
            }
            Err(_) => return None,
        };
        let mut cache = self.0.templates.lock();
        *cache = Some(Known {
            templates: read.clone(),
            read_at: self.0.clock.now(),
            outages: self.0.http.outages(),
        });
        read
    }

    /// The graph of a template that the server offers; none if it has none of that name.
    pub async fn template_graph(&self, name: &str) -> Result<Option<Value>, ComfyError> {
        let file = format!("{name}.json");
        let http = &self.0.http;
        let request = http.get(["templates", file.as_str()]);
        let response = http.send(&request, |builder| builder).await?;
        match response.status() {
            StatusCode::OK => http.read_json(&request, response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(http.unexpected(&request, response).await),
        }
    }

    /// What was found out not long ago, be it that there are none.
    #[expect(
        clippy::option_option,
        reason = "that there are no templates is told apart from not knowing"
    )]
    fn known_templates(&self) -> Option<Option<Arc<[ServedTemplate]>>> {
        let now = self.0.clock.now();
        let cache = self.0.templates.lock();
        let known = cache.as_ref()?;
        let age = now.duration_since(known.read_at);
        let fresh = age < SignedDuration::try_from(FRESH).ok()?;
        let same = known.outages == self.0.http.outages();
        (fresh && same).then(|| known.templates.clone())
    }
}

impl TemplatesCache {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
