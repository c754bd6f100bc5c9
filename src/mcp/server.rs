//! The server itself: one handler for all lifecycles of the protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CancelledNotificationParam, CompleteRequestParams, CompleteResult, CompletionInfo,
    CreateTaskResult, ErrorCode, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
    GetTaskParams, GetTaskResult, Implementation, InputRequiredResult, InputResponses,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, PromptMessage, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Reference, ServerCapabilities, ServerConfig, SubscribeRequestParams,
    SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::cancel::{Calls, is_alone};
use super::catalog::Catalog;
use super::changes::{self, Versions, Watched};
use super::client::{self, Client};
use super::progress::Reporter;
use super::run::{Course, Made, Run};
use super::stdio::Stdio;
use super::waiting::Waiting;
use super::{Choice, content, long, resources, tasks};
use crate::app::{App, Found};
use crate::failure::{Code, Failure};
use crate::script::arguments::nearest;
use crate::script::conversation::Level;
use crate::script::{Caller, Kind, ScriptError};

/// What an agent is told about the whole of it, once.
const INSTRUCTIONS: &str = "Runs ComfyUI workflows. The usual way: list_workflow_templates, \
    get_template, create_workflow_from_template, execute_workflow, wait_for_completion; every \
    output is an asset with an asset_id.";

/// The most resources that one client may be subscribed to: each is looked at every other second.
const MOST_SUBSCRIPTIONS: usize = 64;

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
    versions: watch::Receiver<Versions>,
    waiting: Waiting,
    session: Arc<Session>,
}

/// What a client of an earlier lifecycle set up, and its calls under way.
struct Session {
    /// Under which its jobs are recorded; the process's own if it serves only one.
    id: Option<Arc<str>>,
    calls: Calls,
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
            level: Mutex::new(Level::Info),
            subscriptions: Mutex::default(),
            telling: Mutex::default(),
        }
    }
}

/// How a request ends.
enum End {
    /// With what the script made.
    Made(Made),
    /// With a question.
    Asks(InputRequiredResult),
}

impl McpServer {
    pub(super) fn start(app: Arc<App>, choice: Choice) -> Self {
        // Before the catalog is made: what changes meanwhile is followed, too.
        let generations = app.library().subscribe();
        let catalog = Catalog::of(&app.library().generation(), &choice);
        let catalog = Arc::new(ArcSwap::from_pointee(catalog));
        let (sender, versions) = watch::channel(Versions::default());
        tokio::spawn(changes::follow(
            app.clone(),
            choice.clone(),
            generations,
            catalog.clone(),
            sender,
        ));
        Self {
            waiting: Waiting::new(app.host().ids.clone()),
            app,
            choice,
            catalog,
            versions,
            session: Arc::default(),
        }
    }

    /// The same for a further client, whose requests are numbered on their own.
    pub(super) fn session(&self) -> Self {
        let session = Session {
            id: Some(self.app.host().ids.ordered().into()),
            ..Session::default()
        };
        Self {
            session: Arc::new(session),
            ..self.clone()
        }
    }

    /// The session that a request belongs to. Those without one have the process's in common.
    fn session_of(&self, context: &RequestContext<RoleServer>) -> Option<Arc<str>> {
        let id = self.session.id.clone();
        id.filter(|_| !is_alone(context))
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

    /// Begins what a request asks for, or takes it up again with the answers that it brings.
    fn begin(
        &self,
        subject: &str,
        (state, responses): (Option<String>, Option<InputResponses>),
        begin: impl FnOnce() -> Result<Run, ScriptError>,
    ) -> Result<Run, ScriptError> {
        match state {
            Some(state) => {
                let responses = responses.unwrap_or_default();
                let run = self.waiting.take_up(subject, &state, responses);
                run.map_err(ScriptError::Arguments)
            }
            None => begin(),
        }
    }

    /// Runs a script as far as it comes within one request.
    async fn drive(
        &self,
        subject: &str,
        run: Run,
        context: &RequestContext<RoleServer>,
    ) -> Result<End, ScriptError> {
        let _under_way = self.session.calls.begin(context, run.cancel());
        let reporter = context
            .meta
            .get_progress_token()
            .map(|token| Reporter::start(context.peer.clone(), token, wants_previews(context)));
        let audience = run.audience().clone();
        audience.is(reporter.as_ref().map(Reporter::sink));
        let level = *self
            .session
            .level
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let end = self.go_on(subject, run, &Client::of(context, level)).await;
        audience.is(None);
        if let Some(reporter) = reporter {
            reporter.finish().await;
        }
        end
    }

    async fn go_on(
        &self,
        subject: &str,
        mut run: Run,
        client: &Client<'_>,
    ) -> Result<End, ScriptError> {
        loop {
            let (asking, request, question) = match run.go_on(client).await {
                Course::Over(result) => return result.map(End::Made),
                Course::Waits(run, request, question) => (run, request, question),
            };
            match self.waiting.keep(subject, *asking, *request, question) {
                Ok(asks) => return Ok(End::Asks(asks)),
                Err(returned) => {
                    let (asking, question) = *returned;
                    question.answer_for_nobody();
                    run = asking;
                }
            }
        }
    }

    /// A task in place of an answer, for a tool that takes long and a client that knows tasks.
    async fn task(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<CreateTaskResult, ScriptError>> {
        let tool = self.tool(&request.name).ok()?;
        if !long::is_long(&tool, request.arguments.as_ref()) || !long::knows_tasks(context) {
            return None;
        }
        let client = Client::of(context, Level::Info);
        if long::asks(&tool) && (client.can_be_asked() || client.lends_its_model()) {
            return None;
        }
        let arguments = request.arguments.clone().unwrap_or_default();
        let session = self.session_of(context);
        let created = tasks::create(&self.app, tool, arguments, session).await;
        Some(created.map(|(created, run)| {
            // In the lifecycle of 2026-07-28 a server says nothing that it was not asked for.
            if context.meta.protocol_version().is_none() {
                let (app, peer) = (self.app.clone(), context.peer.clone());
                tokio::spawn(async move { tasks::tell_end(&app, run, peer).await });
            }
            created
        }))
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<End, ScriptError> {
        let subject = format!("tool {}", request.name);
        let tool = self.tool(&request.name)?;
        let app = self.app.clone();
        let is_long = long::is_long(&tool, request.arguments.as_ref());
        let previews = wants_previews(context);
        let arguments = request.arguments.unwrap_or_default();
        let session = self.session_of(context);
        let begin = || {
            Ok(Run::begin(session, |caller| async move {
                let caller = Caller {
                    previews,
                    patience: long::patience(app.call_limit()),
                    ..caller
                };
                let reply = if is_long {
                    long::call(&app, tool, arguments, caller).await
                } else {
                    app.run(tool, arguments, caller).await
                };
                reply.map(Made::Reply)
            }))
        };
        let answers = (request.request_state, request.input_responses);
        let run = self.begin(&subject, answers, begin)?;
        self.drive(&subject, run, context).await
    }

    async fn prompt(
        &self,
        request: GetPromptRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<End, ScriptError> {
        let subject = format!("prompt {}", request.name);
        let prompt = self.app.prompt(&request.name)?;
        let app = self.app.clone();
        let arguments = request.arguments.unwrap_or_default();
        let session = self.session_of(context);
        let begin = || {
            Ok(Run::begin(session, |caller| async move {
                let messages = app.messages(prompt, arguments, caller).await;
                messages.map(Made::Messages)
            }))
        };
        let answers = (request.request_state, request.input_responses);
        let run = self.begin(&subject, answers, begin)?;
        self.drive(&subject, run, context).await
    }

    async fn read(
        &self,
        request: ReadResourceRequestParams,
        (resource, variables): (Found, Map<String, Value>),
        context: &RequestContext<RoleServer>,
    ) -> Result<End, ScriptError> {
        let subject = format!("resource {}", request.uri);
        let app = self.app.clone();
        let uri = request.uri;
        let session = self.session_of(context);
        let begin = || {
            Ok(Run::begin(session, |caller| async move {
                let contents = app.read(resource, &uri, variables, caller).await;
                contents.map(Made::Contents)
            }))
        };
        let answers = (request.request_state, request.input_responses);
        let run = self.begin(&subject, answers, begin)?;
        self.drive(&subject, run, context).await
    }

    /// The script whose arguments are to be completed.
    fn completed(&self, reference: &Reference) -> Result<Found, ErrorData> {
        match reference {
            Reference::Prompt(prompt) => self.app.prompt(&prompt.name).map_err(refused),
            Reference::Resource(resource) => {
                let generation = self.app.library().generation();
                let served = generation.of_kind(Kind::Resource).find(|served| {
                    let uri = served.script.uri.as_ref();
                    uri.is_some_and(|uri| uri.as_str() == resource.uri)
                });
                let served = served.cloned();
                served
                    .map(|served| Found { generation, served })
                    .ok_or_else(|| no_resource(&resource.uri))
            }
            _ => Err(ErrorData::invalid_params(
                "nothing that can be completed",
                None,
            )),
        }
    }
}

/// A failure as an error of the protocol, where the answer has no place for it.
fn refused(error: ScriptError) -> ErrorData {
    let unknown = matches!(error, ScriptError::Unknown { .. });
    let is_of_arguments = unknown || matches!(error, ScriptError::Arguments(_));
    let failure = Failure::from(error);
    let code = if is_of_arguments || failure.code == Code::INVALID_PARAMS {
        ErrorCode::INVALID_PARAMS
    } else {
        ErrorCode::INTERNAL_ERROR
    };
    let data = (!unknown).then(|| failure.to_json());
    ErrorData::new(code, failure.message, data)
}

/// The same for the reading of a resource: only there is something not found a code of its own.
fn unreadable(error: ScriptError) -> ErrorData {
    let mut refusal = refused(error);
    let said = refusal
        .data
        .as_ref()
        .and_then(|data| data["error"].as_str());
    if let Some("NOT_FOUND" | "ASSET_NOT_FOUND_OR_EXPIRED" | "SOURCE_NOT_FOUND") = said {
        refusal.code = ErrorCode::RESOURCE_NOT_FOUND;
    }
    refusal
}

fn no_resource(uri: &str) -> ErrorData {
    ErrorData::resource_not_found(
        format!("no resource at {uri}"),
        Some(json!({ "uri": uri, "hint": "resources/templates/list shows the addresses" })),
    )
}

fn mixed_up() -> ErrorData {
    ErrorData::internal_error("the script made something else than was asked for", None)
}

/// Whether a request asks for pictures of the unfinished result.
fn wants_previews(context: &RequestContext<RoleServer>) -> bool {
    context.meta.get("mmf/previews") == Some(&Value::Bool(true))
}

#[expect(
    deprecated,
    reason = "logging and subscriptions of the earlier lifecycles, whose clients are many"
)]
impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let telling = tokio::spawn(changes::tell(self.versions.clone(), context.peer));
        let telling = AbortOnDropHandle::new(telling);
        *self
            .session
            .telling
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(telling);
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        _context: NotificationContext<RoleServer>,
    ) {
        if let Some(id) = notification.request_id {
            let reason = notification.reason.as_deref();
            self.session.calls.cancel(&id, reason);
        }
    }

    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let mut level = self
            .session
            .level
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *level = client::level(request.level);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let mut accepted = requested.clone();
        if let Some(uris) = &mut accepted.resource_subscriptions {
            uris.retain(|uri| self.app.resource(uri).is_some());
            uris.truncate(MOST_SUBSCRIPTIONS);
        }
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        changes::listen(self.app.clone(), self.versions.clone(), context).await;
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.app.resource(&request.uri).is_none() {
            return Err(no_resource(&request.uri));
        }
        let watched = Watched::new(self.app.clone(), request.uri.clone()).await;
        let mut subscriptions = self
            .session
            .subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if subscriptions.len() >= MOST_SUBSCRIPTIONS && !subscriptions.contains_key(&request.uri) {
            let message = format!("{MOST_SUBSCRIPTIONS} subscriptions are the most: end one first");
            return Err(ErrorData::new(ErrorCode::INVALID_PARAMS, message, None));
        }
        let telling = tokio::spawn(changes::tell_updates(watched, context.peer));
        subscriptions.insert(request.uri, AbortOnDropHandle::new(telling));
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let subscriptions = &self.session.subscriptions;
        subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&request.uri);
        Ok(())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.catalog.load().tools.clone();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&self.app, &request.task_id)
            .await
            .map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::get(&self.app, &request.task_id).await?;
        let message = "the task waits for no input";
        Err(ErrorData::new(ErrorCode::INVALID_PARAMS, message, None))
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.app, &request.task_id).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.catalog.load().get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = match self.task(&request, &context).await {
            Some(Ok(task)) => return Ok(CallToolResponse::Task(task)),
            Some(Err(error)) => Err(error),
            None => self.call(request, &context).await,
        };
        let result = match result {
            Ok(End::Made(Made::Reply(reply))) => content::answer(reply),
            Ok(End::Asks(asks)) => return Ok(asks.into()),
            Ok(End::Made(_)) => return Err(mixed_up()),
            Err(error @ ScriptError::Unknown { .. }) => return Err(refused(error)),
            Err(error) => CallToolResult::structured_error(Failure::from(error).to_json()),
        };
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = self.catalog.load().prompts.clone();
        Ok(ListPromptsResult::with_all_items(prompts))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let description = self.catalog.load().description_of(&request.name);
        match self.prompt(request, &context).await.map_err(refused)? {
            End::Made(Made::Messages(messages)) => {
                let messages = messages.into_iter().flat_map(content::messages);
                let messages: Vec<PromptMessage> = messages.collect();
                let mut result = GetPromptResult::new(messages);
                result.description = description;
                Ok(result.into())
            }
            End::Asks(asks) => Ok(asks.into()),
            End::Made(_) => Err(mixed_up()),
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        resources::list(&self.app, cursor.as_deref()).await
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = self.catalog.load().templates.clone();
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let found = self.app.resource(&request.uri);
        let found = found.ok_or_else(|| no_resource(&request.uri))?;
        match self
            .read(request, found, &context)
            .await
            .map_err(unreadable)?
        {
            End::Made(Made::Contents(contents)) => {
                let contents = contents.into_iter().map(content::contents).collect();
                Ok(ReadResourceResult::new(contents).into())
            }
            End::Asks(asks) => Ok(asks.into()),
            End::Made(_) => Err(mixed_up()),
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let found = self.completed(&request.r#ref)?;
        let others = request.context.and_then(|context| context.arguments);
        let others: Map<String, Value> = others
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let argument = request.argument;
        let completion = self
            .app
            .complete(&found, &argument.name, &argument.value, &others)
            .await;
        let more = completion.total > completion.values.len();
        let total = u32::try_from(completion.total).ok();
        let info = CompletionInfo::with_pagination(completion.values, total, more)
            .map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(info))
    }
}
