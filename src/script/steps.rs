//! The calls of a run that have an effect, counted, so that each is done once however often the run
//! is gone through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{Dynamic, EvalAltResult, Position};
use serde_json::{Value, json};

use super::host::{Context, caught, thrown};
use super::runs::{CallEnd, Done, Given, Intent, Journal};
use super::trace::innermost;
use super::value::{from_dynamic, to_dynamic};
use crate::failure::{Code, Failure};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Where a run stands in its journal.
#[derive(Debug)]
pub(super) struct Steps {
    journal: Arc<Journal>,
    /// What the numbers of these calls begin with.
    prefix: String,
    calls: AtomicU64,
    /// The call that goes on, and how many jobs it has submitted.
    present: Mutex<(String, u64)>,
}

impl Steps {
    /// The steps of a run, from its beginning.
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self::within(journal, String::new())
    }

    fn within(journal: Arc<Journal>, prefix: String) -> Self {
        Self {
            journal,
            prefix,
            calls: AtomicU64::new(0),
            present: Mutex::default(),
        }
    }

    /// The journal.
    pub(super) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Steps that go on beside others, one for each branch of a call.
    pub(super) fn branches(&self, count: usize) -> Vec<Self> {
        let call = self.next_call();
        (1..=count)
            .map(|branch| Self::within(self.journal.clone(), format!("{call}.{branch}.")))
            .collect()
    }

    /// The place of the next job of the call that goes on.
    pub(super) fn next_job(&self) -> String {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.1 += 1;
        format!("{}/{}", present.0, present.1)
    }

    /// The place of one job among those of the call that goes on, whichever is submitted first.
    pub(super) fn nth_job(&self, nth: usize) -> String {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{}/{nth}", present.0)
    }

    fn next_call(&self) -> String {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}{number}", self.prefix)
    }

    fn begin(&self) -> String {
        let call = self.next_call();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        *present = (call.clone(), 0);
        call
    }
}

impl Context {
    /// Does what has an effect outside of the script or is chance to it, or gives what came of it
    /// the first time. `given` are the arguments that decide what is done. What was interrupted is
    /// done again.
    pub(super) fn once(
        &self,
        of: &str,
        given: Value,
        work: impl FnOnce() -> Fallible<Dynamic>,
    ) -> Fallible<Dynamic> {
        let Some(steps) = &self.steps else {
            return work();
        };
        let call = steps.begin();
        let given = Given::of(given);
        if let Some(done) = steps.journal.done(&call) {
            if done.of != of || done.given != given {
                return Err(thrown(diverged(&done, of, &given)));
            }
            return match done.end {
                CallEnd::Gave(value) => Ok(to_dynamic(value)),
                CallEnd::Threw(value) => {
                    let value = to_dynamic(value);
                    Err(EvalAltResult::ErrorRuntime(value, Position::NONE).into())
                }
            };
        }
        let result = work();
        let end = match &result {
            Ok(value) => from_dynamic(value).ok().map(CallEnd::Gave),
            Err(error) => match &**error {
                EvalAltResult::ErrorRuntime(value, _) if !is_cancelled(value) => {
                    from_dynamic(value).ok().map(CallEnd::Threw)
                }
                // The script was stopped, or is wrong.
                _ => None,
            },
        };
        // What fails because the process ends has not failed.
        if let Some(end) = end.filter(|_| !self.stop.is_cancelled()) {
            let of = of.to_owned();
            let noted = steps.journal.note(Done {
                call,
                of,
                given,
                end,
            });
            noted.map_err(|error| thrown(Failure::from(error)))?;
        }
        result
    }

    /// The same run, once for each thing that goes on beside others.
    pub(super) fn branches(self: &Arc<Self>, count: usize) -> Vec<Arc<Self>> {
        let branch = |steps: Option<Steps>| {
            Arc::new(Self {
                steps: steps.map(Arc::new),
                beside: self.beside + 1,
                within: innermost().or(self.within),
                ..(**self).clone()
            })
        };
        match &self.steps {
            Some(steps) => steps
                .branches(count)
                .into_iter()
                .map(|steps| branch(Some(steps)))
                .collect(),
            None => (0..count).map(|_| branch(None)).collect(),
        }
    }

    /// Writes down under which id a job is about to be submitted.
    pub(super) fn intend(&self, place: &str, prompt_id: &str, attempt: u32) -> Fallible<Intent> {
        let intent = Intent {
            job: place.to_owned(),
            prompt_id: prompt_id.to_owned(),
            attempt,
        };
        if let Some(steps) = &self.steps {
            let noted = steps.journal.intend(intent.clone());
            noted.map_err(|error| thrown(Failure::from(error)))?;
        }
        Ok(intent)
    }

    /// Writes down that the server has a job.
    pub(super) fn arrive(&self, prompt_id: &str) -> Fallible<()> {
        let Some(steps) = &self.steps else {
            return Ok(());
        };
        let noted = steps.journal.arrive(prompt_id);
        noted.map_err(|error| thrown(Failure::from(error)))
    }
}

fn is_cancelled(thrown: &Dynamic) -> bool {
    caught(thrown).is_some_and(|failure| failure.code == Code::CANCELLED)
}

fn diverged(before: &Done, of: &str, given: &Given) -> Failure {
    let Done {
        call, given: had, ..
    } = before;
    let message = if before.of == of {
        format!(
            "the run was to be continued, and its call {call}, {of}, is now given {} and was given {} \
             before",
            given.brief, had.brief
        )
    } else {
        format!(
            "the run was to be continued, and its call {call} is now {of} and was {} before",
            before.of
        )
    };
    Failure::new(Code::custom("RUN_DIVERGED"), message)
        .hint(
            "call it anew; a run is gone through again from its beginning, so what its script does \
             may depend on its parameters and on what its calls gave, and on nothing else",
        )
        .detail("call", call.as_str())
        .detail("recorded", json!({ "of": before.of, "given": had.brief }))
        .detail("asked", json!({ "of": of, "given": given.brief }))
}
