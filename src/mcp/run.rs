//! A script under way for a client: what it says goes out, what it asks is answered.
//!
//! The script runs on a thread of its own and speaks through a channel; everything that goes to
//! the client goes out from the task of its request, because over HTTP the request's stream is
//! the way to the client.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::model::InputRequest;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::client::{self, Client};
use crate::failure::Failure;
use crate::script::conversation::{Answer, Level, Message, Question, Sample};
use crate::script::reply::Resource;
use crate::script::{Caller, Conversation, Progress, Reply, ScriptError};

/// What a script made.
pub(super) enum Made {
    Reply(Reply),
    Messages(Vec<Message>),
    Contents(Vec<Resource>),
}

/// A script under way.
pub(super) struct Run {
    work: BoxFuture<'static, Result<Made, ScriptError>>,
    said: mpsc::UnboundedReceiver<Said>,
    audience: Arc<Audience>,
    cancel: CancellationToken,
}

/// How far a run came within one request.
pub(super) enum Course {
    Over(Result<Made, ScriptError>),
    /// It can't go on before the client has answered.
    Waits(Box<Run>, Box<InputRequest>, Open),
}

/// What a script says.
enum Said {
    Log(Level, String, Value),
    Asked(Open),
}

/// A question that is open, with the way to whoever asked.
pub(super) enum Open {
    Question(Question, oneshot::Sender<Result<Answer, Failure>>),
    Sample(Sample, oneshot::Sender<Result<Option<String>, Failure>>),
}

impl Run {
    /// Begins a script that is called by whom `work` is given, in a session.
    pub(super) fn begin<W>(session: Option<Arc<str>>, work: impl FnOnce(Caller) -> W) -> Self
    where
        W: Future<Output = Result<Made, ScriptError>> + Send + 'static,
    {
        let (sender, said) = mpsc::unbounded_channel();
        let audience = Arc::new(Audience::default());
        let cancel = CancellationToken::new();
        let caller = Caller {
            cancel: cancel.clone(),
            progress: audience.sink(),
            conversation: Arc::new(Voice(sender)),
            session,
            ..Caller::default()
        };
        Self {
            work: work(caller).boxed(),
            said,
            audience,
            cancel,
        }
    }

    /// Cancelled when the client wants the run to end.
    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Who hears of the progress of the run; each request has listeners of its own.
    pub(super) fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// Goes on until the script is over, or has a question that ends the request.
    pub(super) async fn go_on(mut self, client: &Client<'_>) -> Course {
        loop {
            let said = tokio::select! {
                biased;
                Some(said) = self.said.recv() => said,
                result = &mut self.work => {
                    self.say_the_rest(client).await;
                    return Course::Over(result);
                }
            };
            let open = match said {
                Said::Log(level, logger, data) => {
                    client.log(level, logger, data).await;
                    continue;
                }
                Said::Asked(open) => open,
            };
            if !open.can_be_answered_by(client) {
                open.answer_for_nobody();
            } else if client.is_asked_by_answers() {
                match open.request() {
                    Ok(request) => return Course::Waits(Box::new(self), Box::new(request), open),
                    Err(failure) => open.fail(failure),
                }
            } else {
                // The script may be cancelled while the client thinks.
                tokio::select! {
                    () = open.ask(client) => {}
                    result = &mut self.work => return Course::Over(result),
                }
            }
        }
    }

    async fn say_the_rest(&mut self, client: &Client<'_>) {
        while let Ok(said) = self.said.try_recv() {
            if let Said::Log(level, logger, data) = said {
                client.log(level, logger, data).await;
            }
        }
    }
}

impl Open {
    fn can_be_answered_by(&self, client: &Client<'_>) -> bool {
        match self {
            Self::Question(..) => client.can_be_asked(),
            Self::Sample(..) => client.lends_its_model(),
        }
    }

    pub(super) fn answer_for_nobody(self) {
        // A script that was stopped meanwhile waits for nothing any more; so below.
        match self {
            Self::Question(_, reply) => drop(reply.send(Ok(Answer::Unsupported))),
            Self::Sample(_, reply) => drop(reply.send(Ok(None))),
        }
    }

    fn fail(self, failure: Failure) {
        match self {
            Self::Question(_, reply) => drop(reply.send(Err(failure))),
            Self::Sample(_, reply) => drop(reply.send(Err(failure))),
        }
    }

    fn request(&self) -> Result<InputRequest, Failure> {
        match self {
            Self::Question(question, _) => client::question(question),
            Self::Sample(sample, _) => Ok(client::request(sample.clone())),
        }
    }

    async fn ask(self, client: &Client<'_>) {
        match self {
            Self::Question(question, reply) => drop(reply.send(client.ask(&question).await)),
            Self::Sample(sample, reply) => drop(reply.send(client.sample(sample).await)),
        }
    }

    /// Passes on the answer that a further request brought.
    pub(super) fn answer(self, brought: Value) {
        match self {
            Self::Question(question, reply) => {
                let answered = client::answered(&question, brought);
                drop(reply.send(answered));
            }
            Self::Sample(_, reply) => drop(reply.send(client::said(brought))),
        }
    }
}

/// Passes on to the request of the moment what a script says of its progress.
#[derive(Default)]
pub(super) struct Audience(Mutex<Option<Sink>>);

type Sink = Arc<dyn Fn(Progress) + Send + Sync>;

impl Audience {
    /// Sets who listens from now on.
    pub(super) fn is(&self, listener: Option<Sink>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = listener;
    }

    fn sink(self: &Arc<Self>) -> Sink {
        let audience = self.clone();
        Arc::new(move |progress| {
            let listener = audience.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(listener) = &*listener {
                listener(progress);
            }
        })
    }
}

/// A script's end of the channel. The other end is gone when the client was given a handle to go on
/// with: from then on there is nobody to ask.
struct Voice(mpsc::UnboundedSender<Said>);

impl Voice {
    async fn asked<T>(
        &self,
        open: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Open,
        nobody: T,
    ) -> Result<T, Failure> {
        let (sender, answer) = oneshot::channel();
        if self.0.send(Said::Asked(open(sender))).is_err() {
            return Ok(nobody);
        }
        answer.await.unwrap_or(Ok(nobody))
    }
}

impl Conversation for Voice {
    fn log(&self, level: Level, logger: &str, data: Value) {
        // Nobody listens any more when the client is gone.
        let _ = self.0.send(Said::Log(level, logger.to_owned(), data));
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.asked(|reply| Open::Question(question, reply), Answer::Unsupported)
            .boxed()
    }

    fn sample(&self, sample: Sample) -> BoxFuture<'_, Result<Option<String>, Failure>> {
        self.asked(|reply| Open::Sample(sample, reply), None)
            .boxed()
    }
}
