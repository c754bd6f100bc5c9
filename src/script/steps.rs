//! The calls of a run that have an effect, counted, so that each is done once however often the run
//! is gone through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{Dynamic, EvalAltResult, Position};

use super::host::{Context, caught, thrown};
use super::runs::{CallEnd, Done, Intent, Journal};
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
    /// Does what has an effect outside of the script, or gives what came of it the first time.
    /// What was interrupted is done again.
    pub(super) fn once(
        &self,
        of: &str,
        work: impl FnOnce() -> Fallible<Dynamic>,
    ) -> Fallible<Dynamic> {
        let Some(steps) = &self.steps else {
            return work();
        };
        let call = steps.begin();
        if let Some(done) = steps.journal.done(&call) {
            if done.of != of {
                return Err(thrown(diverged(&call, &done.of, of)));
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
            let noted = steps.journal.note(Done { call, of, end });
            noted.map_err(|error| thrown(Failure::from(error)))?;
        }
        result
    }

    /// The same run, once for each thing that goes on beside others.
    pub(super) fn branches(self: &Arc<Self>, count: usize) -> Vec<Arc<Self>> {
        let branch = |steps: Option<Steps>| {
            Arc::new(Self {
                steps: steps.map(Arc::new),
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
    pub(super) fn intend(&self, place: &str, prompt_id: &str, attempt: u32) -> Fallible<()> {
        let Some(steps) = &self.steps else {
            return Ok(());
        };
        let intent = Intent {
            job: place.to_owned(),
            prompt_id: prompt_id.to_owned(),
            attempt,
        };
        let noted = steps.journal.intend(intent);
        noted.map_err(|error| thrown(Failure::from(error)))
    }
}

fn is_cancelled(thrown: &Dynamic) -> bool {
    caught(thrown).is_some_and(|failure| failure.code == Code::CANCELLED)
}

fn diverged(call: &str, before: &str, now: &str) -> Failure {
    let message = format!(
        "the run was to be continued, and its call {call} is now {now} and was {before} before"
    );
    Failure::new(Code::custom("RUN_DIVERGED"), message).hint(
        "a run is gone through again from its beginning: what it does may depend on its parameters \
         and on what its calls gave, and on nothing else",
    )
}
