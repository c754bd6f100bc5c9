//! The server itself: one handler for both lifecycles of the protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelledNotificationParam, ErrorCode,
    Implementation, ListToolsResult, PaginatedRequestParams, RequestId, ServerCapabilities,
    ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler, ServiceExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Choice;
use super::catalog::Catalog;
use super::content;
use super::progress::Reporter;
use super::stdio::Stdio;
use crate::app::{App, Found};
use crate::failure::{Code, Failure};
use crate::script::arguments::nearest;
use crate::script::{Caller, Kind, Reply, ScriptError};

/// What an agent is told about the whole of it, once.
const INSTRUCTIONS: &str = "Runs ComfyUI workflows. The usual way: list_workflow_templates, \
    get_template, create_workflow_from_template, execute_workflow, wait_for_completion; every \
    output is an asset with an asset_id.";

/// Serves MCP over stdin and stdout until the client closes them.
pub async fn serve_stdio(app: Arc<App>, choice: Choice) -> Result<(), Failure> {
    let server = McpServer::start(app, choice);
    let (stdin, stdout) = rmcp::transport::stdio();
    let service = server
        .serve(Stdio::new(stdin, stdout))
        .await
        .map_err(|error| Failure::new(Code::CONNECTION_ERROR, format!("no MCP client: {error}")))?;
    service
        .waiting()
        .await
        .map_err(|error| Failure::new(Code::INTERNAL_ERROR, error.to_string()))?;
    Ok(())
}

/// The server, and what belongs to one session of it.
#[derive(Clone)]
pub(super) struct McpServer {
    app: Arc<App>,
    choice: Choice,
    catalog: Arc<ArcSwap<Catalog>>,
    /// Counts the changes of the catalog.
    version: watch::Receiver<u64>,
    /// The calls under way. A token of `rmcp`'s own is cancelled at the end of the connection, too,
    /// and a client that closes must not take the jobs on the server along.
    calls: Arc<Mutex<HashMap<RequestId, CancellationToken>>>,
}

impl McpServer {
    pub(super) fn start(app: Arc<App>, choice: Choice) -> Self {
        let catalog = Catalog::of(&app.library().generation(), &choice);
        let catalog = Arc::new(ArcSwap::from_pointee(catalog));
        let (sender, version) = watch::channel(0);
        tokio::spawn(follow(app.clone(), choice.clone(), catalog.clone(), sender));
        Self {
            app,
            choice,
            catalog,
            version,
            calls: Arc::default(),
        }
    }

    /// The same for a further client, whose requests are numbered on their own.
    pub(super) fn session(&self) -> Self {
        Self {
            calls: Arc::default(),
            ..self.clone()
        }
    }

    /// A tool that is offered.
    fn tool(&self, name: &str) -> Result<Found, ScriptError> {
        let tool = self.app.tool(name)?;
        if self.choice.includes(&tool.served) {
            return Ok(tool);
        }
        let catalog = self.catalog.load();
        let offered = catalog.tools.iter().map(|tool| &*tool.name);
        Err(ScriptError::Unknown {
            kind: Kind::Tool.as_str(),
            name: name.to_owned(),
            nearest: nearest(name, offered),
            other: None,
        })
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<RequestId, CancellationToken>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a client of the earlier lifecycle about each change until it is gone.
    fn tell_changes(&self, peer: Peer<RoleServer>) {
        let mut version = self.version.clone();
        tokio::spawn(async move {
            while version.changed().await.is_ok() {
                if peer.notify_tool_list_changed().await.is_err() {
                    return;
                }
            }
        });
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<Reply, ScriptError> {
        let tool = self.tool(&request.name)?;
        let reporter = context
            .meta
            .get_progress_token()
            .map(|token| Reporter::start(context.peer.clone(), token));
        let mut caller = Caller {
            cancel: CancellationToken::new(),
            ..Caller::default()
        };
        self.calls()
            .insert(context.id.clone(), caller.cancel.clone());
        if context.ct.is_cancelled() {
            // The word came before the call was noted, so nobody could pass it on.
            caller.cancel.cancel();
        }
        // Held until the answer: whoever closes the stream of a request cancels it.
        let _hung_up = is_alone(context).then(|| cancel_with(context, &caller));
        if let Some(reporter) = &reporter {
            caller.progress = reporter.sink();
        }
        let result = self
            .app
            .run(tool, request.arguments.unwrap_or_default(), caller)
            .await;
        self.calls().remove(&context.id);
        if let Some(reporter) = reporter {
            reporter.finish().await;
        }
        result
    }
}

/// Whether a request came over HTTP and belongs to no session, as in the lifecycle of 2026-07-28.
/// Then a client cancels it by closing the stream of its answer, and has no other way.
fn is_alone(context: &RequestContext<RoleServer>) -> bool {
    let http = context.extensions.get::<axum::http::request::Parts>();
    http.is_some_and(|http| !http.headers.contains_key("mcp-session-id"))
}

/// Cancels the call when its request is cancelled, for as long as the result is held.
fn cancel_with(context: &RequestContext<RoleServer>, caller: &Caller) -> AbortOnDropHandle<()> {
    let (request, call) = (context.ct.clone(), caller.cancel.clone());
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

/// Keeps the catalog in step with the scripts, and counts up when it really changed.
async fn follow(
    app: Arc<App>,
    choice: Choice,
    catalog: Arc<ArcSwap<Catalog>>,
    version: watch::Sender<u64>,
) {
    let mut generations = app.library().subscribe();
    while generations.changed().await.is_ok() {
        let next = Catalog::of(&app.library().generation(), &choice);
        if next != **catalog.load() {
            catalog.store(Arc::new(next));
            version.send_modify(|version| *version += 1);
        }
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.tell_changes(context.peer);
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        _context: NotificationContext<RoleServer>,
    ) {
        if gave_up_waiting(notification.reason.as_deref()) {
            return;
        }
        let call = notification
            .request_id
            .and_then(|id| self.calls().remove(&id));
        if let Some(call) = call {
            call.cancel();
        }
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: rmcp::service::SubscriptionContext) -> Result<(), ErrorData> {
        let mut version = self.version.clone();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = version.changed() => {
                    if changed.is_err() || context.sink().notify_tool_list_changed().await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(
            self.catalog.load().tools.clone(),
        ))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.catalog.load().get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = match self.call(request, &context).await {
            Ok(reply) => content::answer(reply),
            Err(error @ ScriptError::Unknown { .. }) => {
                return Err(ErrorData::new(
                    ErrorCode::INVALID_PARAMS,
                    error.to_string(),
                    None,
                ));
            }
            Err(error) => CallToolResult::structured_error(Failure::from(error).to_json()),
        };
        Ok(result.into())
    }
}
