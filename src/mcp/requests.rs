//! Requests that run a script: calls of tools, prompts, and reading resources.

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CreateTaskResult, GetPromptRequestParams, InputRequiredResult,
    InputResponses, ReadResourceRequestParams,
};
use rmcp::service::RequestContext;
use serde_json::{Map, Value};

use super::client::Client;
use super::progress::Reporter;
use super::run::{Course, Made, Run};
use super::server::McpServer;
use super::{long, tasks};
use crate::app::Found;
use crate::script::conversation::Level;
use crate::script::{Caller, ScriptError};

/// How a request ends.
pub(super) enum End {
    /// With what the script made.
    Made(Made),
    /// With a question.
    Asks(InputRequiredResult),
}

impl McpServer {
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
        let client = Client::of(context, self.session.level());
        let end = self.go_on(subject, run, &client).await;
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
    pub(super) async fn task(
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

    pub(super) async fn call(
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

    pub(super) async fn prompt(
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

    pub(super) async fn read(
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
}

/// Whether a request asks for pictures of the unfinished result.
fn wants_previews(context: &RequestContext<RoleServer>) -> bool {
    context.meta.get("mmf/previews") == Some(&Value::Bool(true))
}
