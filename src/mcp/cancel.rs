//! The calls under way, and how a client ends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::RoleServer;
use rmcp::model::RequestId;
use rmcp::service::RequestContext;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The calls of one session. A token of `rmcp`'s own is cancelled at the end of the connection,
/// too, and a client that closes must not take the jobs on the server along.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<RequestId, CancellationToken>>>);

/// A call for as long as this is held.
pub(super) struct UnderWay {
    calls: Calls,
    id: RequestId,
    /// Whoever closes the stream of a request cancels it.
    _hung_up: Option<AbortOnDropHandle<()>>,
}

impl Calls {
    /// Notes that a request goes on until it is over or `cancel` is cancelled.
    pub(super) fn begin(
        &self,
        context: &RequestContext<RoleServer>,
        cancel: &CancellationToken,
    ) -> UnderWay {
        self.lock().insert(context.id.clone(), cancel.clone());
        if context.ct.is_cancelled() {
            // The word came before the call was noted, so nobody could pass it on.
            cancel.cancel();
        }
        UnderWay {
            calls: self.clone(),
            id: context.id.clone(),
            _hung_up: is_alone(context).then(|| cancel_with(context, cancel.clone())),
        }
    }

    /// Cancels a call because the client said so.
    pub(super) fn cancel(&self, id: &RequestId, reason: Option<&str>) {
        if gave_up_waiting(reason) {
            return;
        }
        if let Some(call) = self.lock().remove(id) {
            call.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
    }
}

/// Whether a request came over HTTP and belongs to no session, as in the lifecycle of 2026-07-28.
/// Then a client cancels it by closing the stream of its answer, and has no other way.
pub(super) fn is_alone(context: &RequestContext<RoleServer>) -> bool {
    let http = context.extensions.get::<axum::http::request::Parts>();
    http.is_some_and(|http| !http.headers.contains_key("mcp-session-id"))
}

/// Cancels the call when its request is cancelled, for as long as the result is held.
fn cancel_with(
    context: &RequestContext<RoleServer>,
    call: CancellationToken,
) -> AbortOnDropHandle<()> {
    let request = context.ct.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        request.cancelled().await;
        call.cancel();
    }))
}

/// Clients send the same notification when a person cancels and when their own time limit for a
/// request has passed (60 s in some). Then nobody asked for the job on the server to end. Only the
/// reason tells the two apart; the SDKs say "Request timed out" and "request timeout".
fn gave_up_waiting(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| {
        let reason = reason.to_ascii_lowercase();
        reason.contains("timed out") || reason.contains("timeout")
    })
}
