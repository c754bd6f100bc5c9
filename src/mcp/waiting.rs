//! Scripts that wait for an answer between two requests, in the lifecycle of 2026-07-28.
//!
//! The client gets an id that nobody can guess; the request that brings it back takes the script
//! up again where it stood. A script that nobody comes back for ends after a while; its jobs on
//! the server go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{InputRequest, InputRequests, InputRequiredResult, InputResponses};

use super::run::{Open, Run};
use crate::failure::{Code, Failure};
use crate::ids::Ids;

/// How long a question stays open: people look at pictures before they choose.
pub(super) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How many scripts wait at once. Each holds a thread.
const MOST: usize = 32;

/// The name of the one question that is open at a time.
const QUESTION: &str = "question";

/// The scripts that wait.
#[derive(Clone)]
pub(super) struct Waiting {
    open: Arc<Mutex<HashMap<String, Entry>>>,
    ids: Ids,
}

struct Entry {
    /// What was called: an answer must not reach another script.
    subject: String,
    run: Run,
    question: Open,
}

impl Waiting {
    pub(super) fn new(ids: Ids) -> Self {
        Self {
            open: Arc::default(),
            ids,
        }
    }

    /// Keeps a script until its client comes back, and gives the answer that makes it do so. The
    /// script is given back with its question if too many wait already.
    pub(super) fn keep(
        &self,
        subject: &str,
        run: Run,
        request: InputRequest,
        question: Open,
    ) -> Result<InputRequiredResult, Box<(Run, Open)>> {
        let mut open = self.lock();
        if open.len() >= MOST {
            drop(open);
            tracing::warn!("{subject} asks nobody: {MOST} scripts wait for answers already");
            return Err(Box::new((run, question)));
        }
        let state = self.ids.random();
        let entry = Entry {
            subject: subject.to_owned(),
            run,
            question,
        };
        open.insert(state.clone(), entry);
        drop(open);
        self.forget_later(state.clone());
        let requests = InputRequests::from([(QUESTION.to_owned(), request)]);
        Ok(InputRequiredResult::new(Some(requests), Some(state)))
    }

    /// Takes a script up again with the answers that a request brought.
    pub(super) fn take_up(
        &self,
        subject: &str,
        state: &str,
        mut responses: InputResponses,
    ) -> Result<Run, Failure> {
        let answer = responses.remove(QUESTION).ok_or_else(|| {
            Failure::new(
                Code::INVALID_PARAMS,
                "the answer to the question is missing",
            )
            .hint(format!(
                "send it as \"{QUESTION}\" among the inputResponses"
            ))
        })?;
        let mut open = self.lock();
        let is_it = open
            .get(state)
            .is_some_and(|entry| entry.subject == subject);
        let entry = is_it.then(|| open.remove(state)).flatten();
        let Entry { run, question, .. } = entry.ok_or_else(|| {
            Failure::new(Code::TIMEOUT, "the question is not open any more")
                .hint("call it again from the beginning")
        })?;
        question.answer(answer);
        Ok(run)
    }

    fn forget_later(&self, state: String) {
        let open = Arc::downgrade(&self.open);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if let Some(open) = open.upgrade() {
                let forgotten = open
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&state);
                if let Some(entry) = forgotten {
                    tracing::info!("{} is given up: nobody answered", entry.subject);
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
