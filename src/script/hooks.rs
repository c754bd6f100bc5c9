//! Hooks: scripts of the user's that are called for each job, `scripts/hooks/NAME.rhai`.
//!
//! They are held to the limits of every run, may use the bindings, and may not put jobs on the
//! server themselves, so that no hook calls hooks. One that can't be read refuses every job: a
//! policy that is not enforced is worse than none.

use std::sync::Arc;
use std::time::Duration;

use rhai::Dynamic;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::explain::wrong_result;
use super::handles::WorkflowHandle;
use super::host::Context;
use super::run::{call_function, engine_of};
use super::value::to_dynamic;
use super::{Caller, Entry, Key, Kind, Runner, Script, ScriptError};
use crate::comfy::Workflow;
use crate::failure::{Code, Failure};
use crate::jobs::{Hooked, Hooks, Moment};

/// How long a hook may take in all: whoever submits or waits for a job waits for it, too.
const LIMIT: Duration = Duration::from_secs(60);

/// The hooks among the scripts of a host.
#[derive(Debug)]
pub struct ScriptHooks(Runner);

impl ScriptHooks {
    /// The hooks that this runner can run.
    #[must_use]
    pub fn new(runner: Runner) -> Self {
        Self(runner)
    }

    async fn call<T: Send + 'static>(
        &self,
        moment: Moment,
        work: impl FnOnce(&Script, &Arc<Context>) -> Result<T, ScriptError> + Send + 'static,
    ) -> Result<T, Failure> {
        let generation = self.0.host().library.generation();
        let served = generation.get(Kind::Hook, moment.as_str())?.clone();
        let caller = Caller::default();
        let running = self
            .0
            .on_own_thread(generation, served, Map::new(), caller, work);
        match timeout(LIMIT, running).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(Failure::new(
                Code::TIMEOUT,
                format!("it took more than {} seconds", LIMIT.as_secs()),
            )),
        }
    }
}

impl Hooks for ScriptHooks {
    fn has(&self, moment: Moment) -> bool {
        let generation = self.0.host().library.generation();
        let found = generation.get(Kind::Hook, moment.as_str());
        !matches!(found, Err(ScriptError::Unknown { .. }))
    }

    fn before_submit(&self, workflow: Workflow, job: Value) -> Hooked<'_, Workflow> {
        let work = move |script: &Script, context: &Arc<Context>| {
            let handle = WorkflowHandle::new(workflow);
            let arguments = vec![Dynamic::from(handle.clone()), to_dynamic(job)];
            let made = call(script, context, Moment::BeforeSubmit, arguments)?;
            if made.is_unit() {
                return Ok(handle.snapshot());
            }
            match made.clone().try_cast::<WorkflowHandle>() {
                Some(other) => Ok(other.snapshot()),
                None => Err(wrong_result(script, "return a workflow or nothing", &made)),
            }
        };
        Box::pin(self.call(Moment::BeforeSubmit, work))
    }

    fn after(&self, moment: Moment, job: Value, end: Value) -> Hooked<'_, ()> {
        let work = move |script: &Script, context: &Arc<Context>| {
            let arguments = vec![to_dynamic(job), to_dynamic(end)];
            call(script, context, moment, arguments).map(|_| ())
        };
        Box::pin(self.call(moment, work))
    }
}

fn call(
    script: &Script,
    context: &Arc<Context>,
    moment: Moment,
    arguments: Vec<Dynamic>,
) -> Result<Dynamic, ScriptError> {
    let engine = engine_of(script, context);
    let name = moment.as_str();
    call_function(&engine, &context.generation, script, name, arguments)
}

impl Key {
    /// The function that is called.
    pub(super) fn entry(&self) -> Option<Entry> {
        self.kind.entry().or_else(|| {
            self.moment().map(|moment| Entry {
                name: moment.as_str(),
                params: match moment {
                    Moment::BeforeSubmit => &["prompt", "job"],
                    Moment::AfterComplete => &["job", "outputs"],
                    Moment::OnError => &["job", "failure"],
                },
            })
        })
    }

    /// The moment at which a hook is called; none for a script of another kind or name.
    fn moment(&self) -> Option<Moment> {
        let mut moments = Moment::ALL.into_iter();
        moments.find(|moment| self.kind == Kind::Hook && moment.as_str() == self.name)
    }
}
