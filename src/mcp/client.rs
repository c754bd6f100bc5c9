//! The client behind one request: what it can do, what it wants to hear, and its answers.
//!
//! In the earlier lifecycles the server asks it in the middle of a call; from 2026-07-28 on the
//! call ends with the question, and a further one brings the answer.
#![expect(
    deprecated,
    reason = "logging and sampling are on their way out of the protocol, and clients have them"
)]

use rmcp::RoleServer;
use rmcp::model::{
    ClientResult, CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest,
    LoggingLevel, LoggingMessageNotificationParam, ProtocolVersion, Role as WireRole,
    SamplingMessage, SamplingMessageContentBlock, ServerRequest,
};
use rmcp::service::{PeerRequestOptions, RequestContext, ServiceError};
use serde_json::Value;

use super::content;
use super::waiting::PATIENCE;
use crate::failure::{Code, Failure};
use crate::script::conversation::{Answer, Level, Message, Question, Role, Sample};

/// The client behind one request.
pub(super) struct Client<'a> {
    context: &'a RequestContext<RoleServer>,
    /// What it wants to hear of the log; nothing without one.
    level: Option<Level>,
}

impl<'a> Client<'a> {
    /// `session` is what a client of the earlier lifecycles asked to hear.
    pub(super) fn of(context: &'a RequestContext<RoleServer>, session: Level) -> Self {
        let asked = context.meta.log_level().map(level);
        let mut client = Self {
            context,
            level: asked,
        };
        if !client.is_asked_by_answers() {
            client.level = asked.or(Some(session));
        }
        client
    }

    /// Whether questions go out as the answer to the call.
    pub(super) fn is_asked_by_answers(&self) -> bool {
        let version = self.context.protocol_version();
        version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
    }

    pub(super) fn can_be_asked(&self) -> bool {
        let capabilities = self.context.client_capabilities();
        let elicitation = capabilities.and_then(|capabilities| capabilities.elicitation);
        // Neither of the two stands for forms, as it was before there were addresses to visit.
        elicitation.is_some_and(|modes| modes.form.is_some() || modes.url.is_none())
    }

    pub(super) fn lends_its_model(&self) -> bool {
        let capabilities = self.context.client_capabilities();
        capabilities.is_some_and(|capabilities| capabilities.sampling.is_some())
    }

    /// Shows a line of the log, if it wants to hear of such things.
    pub(super) async fn log(&self, level: Level, logger: String, data: Value) {
        if self.level.is_none_or(|least| level < least) {
            return;
        }
        let param =
            LoggingMessageNotificationParam::new(wire_level(level), data).with_logger(logger);
        // A client that is gone is noticed by its call.
        let _ = self.context.peer.notify_logging_message(param).await;
    }

    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let asked = elicitation(question)?;
        let answered = self
            .context
            .peer
            .create_elicitation_with_timeout(asked, Some(PATIENCE))
            .await;
        answer(question, answered.map_err(refused)?)
    }

    pub(super) async fn sample(&self, sample: Sample) -> Result<Option<String>, Failure> {
        let request = CreateMessageRequest::new(sampling(sample));
        let request = ServerRequest::CreateMessageRequest(request);
        let options = PeerRequestOptions::with_timeout(PATIENCE);
        let peer = &self.context.peer;
        let said = async {
            let sent = peer.send_request_with_option(request, options).await?;
            sent.await_response().await
        };
        match said.await.map_err(refused)? {
            ClientResult::CreateMessageResult(said) => Ok(Some(text(&said))),
            _ => Err(senseless("it is no message")),
        }
    }
}

/// A question as the answer to a call carries it.
pub(super) fn question(question: &Question) -> Result<InputRequest, Failure> {
    let request = ElicitRequest::new(elicitation(question)?);
    Ok(InputRequest::Elicitation(request))
}

/// A request to the client's model as the answer to a call carries it.
pub(super) fn request(sample: Sample) -> InputRequest {
    InputRequest::CreateMessage(CreateMessageRequest::new(sampling(sample)))
}

/// The answer that a further call brought.
pub(super) fn answered(question: &Question, brought: Value) -> Result<Answer, Failure> {
    let result = serde_json::from_value::<ElicitResult>(brought).map_err(senseless)?;
    answer(question, result)
}

/// What the client's model said, as a further call brought it.
pub(super) fn said(brought: Value) -> Result<Option<String>, Failure> {
    let result = serde_json::from_value::<CreateMessageResult>(brought).map_err(senseless)?;
    Ok(Some(text(&result)))
}

fn senseless(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::INVALID_PARAMS,
        format!("the client's answer makes no sense: {error}"),
    )
}

fn refused(error: ServiceError) -> Failure {
    match error {
        ServiceError::McpError(error) => Failure::new(
            Code::TOOL_ERROR,
            format!("the client refused: {}", error.message),
        ),
        ServiceError::Timeout { .. } => Failure::new(Code::TIMEOUT, "nobody answered the question"),
        other => Failure::new(
            Code::CONNECTION_ERROR,
            format!("the client did not answer: {other}"),
        ),
    }
}

fn elicitation(question: &Question) -> Result<ElicitRequestParams, Failure> {
    let schema = serde_json::from_value(Value::Object(question.schema.clone()));
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: question.message.clone(),
        requested_schema: schema.map_err(|_| {
            Failure::new(
                Code::INVALID_PARAMS,
                "no client can make a form of the question",
            )
            .hint("its fields are strings, numbers, booleans, or lists of strings to choose from")
        })?,
    })
}

fn answer(question: &Question, result: ElicitResult) -> Result<Answer, Failure> {
    match result.action {
        ElicitationAction::Accept => match result.content {
            Some(Value::Object(content)) => question.accept(content),
            None => question.accept(serde_json::Map::new()),
            Some(other) => Err(senseless(format_args!("{other} is no form"))),
        },
        ElicitationAction::Decline => Ok(Answer::Decline),
        // Whatever else there will be, it is no answer.
        _ => Ok(Answer::Cancel),
    }
}

fn sampling(sample: Sample) -> CreateMessageRequestParams {
    let messages = sample.messages.into_iter().map(message).collect();
    let mut params = CreateMessageRequestParams::new(messages, sample.max_tokens);
    params.system_prompt = sample.system;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a temperature has a digit or two"
    )]
    let temperature = sample.temperature.map(|temperature| temperature as f32);
    params.temperature = temperature;
    params
}

fn message(message: Message) -> SamplingMessage {
    let blocks = message.content.into_iter().map(content::block);
    // Models are lent text, pictures and sounds; what else there is goes as the words for it.
    let blocks = blocks.map(
        |block| match SamplingMessageContentBlock::try_from(block.clone()) {
            Ok(block) => block,
            Err(_) => {
                SamplingMessageContentBlock::text(serde_json::to_string(&block).unwrap_or_default())
            }
        },
    );
    let mut blocks: Vec<_> = blocks.collect();
    // Before 2025-11-25 a message was a single block, and most are.
    match (blocks.pop(), blocks.is_empty()) {
        (Some(only), true) => SamplingMessage::new(role(message.role), only),
        (last, _) => {
            blocks.extend(last);
            SamplingMessage::new_multiple(role(message.role), blocks)
        }
    }
}

fn text(result: &CreateMessageResult) -> String {
    let blocks = result.message.content.iter();
    let texts = blocks.filter_map(|block| block.as_text());
    let texts: Vec<&str> = texts.map(|block| block.text.as_str()).collect();
    texts.join("\n")
}

/// Who says something, in the words of the protocol.
pub(super) fn role(role: Role) -> WireRole {
    match role {
        Role::User => WireRole::User,
        Role::Assistant => WireRole::Assistant,
    }
}

/// A level as the client names it.
pub(super) fn level(level: LoggingLevel) -> Level {
    match level {
        LoggingLevel::Debug => Level::Debug,
        LoggingLevel::Info => Level::Info,
        LoggingLevel::Notice => Level::Notice,
        LoggingLevel::Warning => Level::Warning,
        LoggingLevel::Error => Level::Error,
        LoggingLevel::Critical => Level::Critical,
        LoggingLevel::Alert => Level::Alert,
        LoggingLevel::Emergency => Level::Emergency,
    }
}

fn wire_level(level: Level) -> LoggingLevel {
    match level {
        Level::Debug => LoggingLevel::Debug,
        Level::Info => LoggingLevel::Info,
        Level::Notice => LoggingLevel::Notice,
        Level::Warning => LoggingLevel::Warning,
        Level::Error => LoggingLevel::Error,
        Level::Critical => LoggingLevel::Critical,
        Level::Alert => LoggingLevel::Alert,
        Level::Emergency => LoggingLevel::Emergency,
    }
}
