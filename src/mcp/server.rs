//! The server itself: one handler for all lifecycles of the protocol.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CancelledNotificationParam, CompleteRequestParams, CompleteResult, CompletionInfo,
    CustomRequest, CustomResult, ErrorCode, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, GetTaskParams, GetTaskResult, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Reference,
    ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::cancel::is_alone;
use super::catalog::Catalog;
use super::changes::{self, Versions, Watched};
use super::refusal::{mixed_up, no_resource, not_understood, refused, unreadable};
use super::requests::End;
use super::run::Made;
use super::session::{MOST_SUBSCRIPTIONS, Session};
use super::stdio::Stdio;
use super::waiting::Waiting;
use super::{Choice, client, content, resources, tasks};
use crate::app::{App, Found};
use crate::failure::{Code, Failure};
use crate::script::arguments::nearest;
use crate::script::{Kind, ScriptError};

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
    pub(super) app: Arc<App>,
    choice: Choice,
    catalog: Arc<ArcSwap<Catalog>>,
    versions: watch::Receiver<Versions>,
    pub(super) waiting: Waiting,
    pub(super) session: Arc<Session>,
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
        let id = self.app.host().ids.ordered().into();
        let session = Session::under(id, *self.versions.borrow());
        Self {
            session: Arc::new(session),
            ..self.clone()
        }
    }

    /// The session that a request belongs to. Those without one have the process's in common.
    pub(super) fn session_of(&self, context: &RequestContext<RoleServer>) -> Option<Arc<str>> {
        let id = self.session.id.clone();
        id.filter(|_| !is_alone(context))
    }

    /// A tool that is offered.
    pub(super) fn tool(&self, name: &str) -> Result<Found, ScriptError> {
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
        let telling = tokio::spawn(changes::tell(
            self.session.began,
            self.versions.clone(),
            context.peer,
        ));
        self.session.tells(AbortOnDropHandle::new(telling));
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

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(not_understood(&request))
    }

    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.session.set_level(client::level(request.level));
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
        self.session.subscribe(request.uri, || {
            AbortOnDropHandle::new(tokio::spawn(changes::tell_updates(watched, context.peer)))
        })
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.session.unsubscribe(&request.uri);
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
