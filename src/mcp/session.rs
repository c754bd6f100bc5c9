//! What belongs to one client of an earlier lifecycle, from its greeting to its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::ErrorData;
use rmcp::model::ErrorCode;
use tokio_util::task::AbortOnDropHandle;

use super::cancel::Calls;
use super::changes::Versions;
use crate::script::conversation::Level;

/// The most resources that one client may be subscribed to: each is looked at every other second.
pub(super) const MOST_SUBSCRIPTIONS: usize = 64;

/// What a client of an earlier lifecycle set up, and its calls under way.
pub(super) struct Session {
    /// Under which its jobs are recorded; the process's own if it serves only one.
    pub(super) id: Option<Arc<str>>,
    pub(super) calls: Calls,
    /// How the lists stood when it began.
    pub(super) began: Versions,
    /// What it wants to hear of the log.
    level: Mutex<Level>,
    /// The resources that it is subscribed to.
    subscriptions: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
    /// Tells it about changes of the lists.
    telling: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            id: None,
            calls: Calls::default(),
            began: Versions::default(),
            level: Mutex::new(Level::Info),
            subscriptions: Mutex::default(),
            telling: Mutex::default(),
        }
    }
}

impl Session {
    pub(super) fn under(id: Arc<str>, began: Versions) -> Self {
        Self {
            id: Some(id),
            began,
            ..Self::default()
        }
    }

    pub(super) fn level(&self) -> Level {
        *locked(&self.level)
    }

    pub(super) fn set_level(&self, level: Level) {
        *locked(&self.level) = level;
    }

    /// Whoever told the client about changes before is stopped.
    pub(super) fn tells(&self, telling: AbortOnDropHandle<()>) {
        *locked(&self.telling) = Some(telling);
    }

    /// Subscribes to a resource; `tell` begins to tell the client about it.
    pub(super) fn subscribe(
        &self,
        uri: String,
        tell: impl FnOnce() -> AbortOnDropHandle<()>,
    ) -> Result<(), ErrorData> {
        let mut subscriptions = locked(&self.subscriptions);
        if subscriptions.len() >= MOST_SUBSCRIPTIONS && !subscriptions.contains_key(&uri) {
            let message = format!("{MOST_SUBSCRIPTIONS} subscriptions are the most: end one first");
            return Err(ErrorData::new(ErrorCode::INVALID_PARAMS, message, None));
        }
        subscriptions.insert(uri, tell());
        Ok(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        locked(&self.subscriptions).remove(uri);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
