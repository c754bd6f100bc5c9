//! Queueing the runs of a batch, all before the first is waited for.

use std::iter::Enumerate;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::vec::IntoIter;

use rhai::EvalAltResult;
use serde_json::{Map, Value};

use super::batch::{Source, told};
use super::jobs::submit_nth;
use crate::batch::Orderer;
use crate::comfy::Workflow;
use crate::failure::{Code, Failure};
use crate::script::handles::WorkflowHandle;
use crate::script::host::Context;
use crate::script::spot::{Spot, Standing};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// How many are submitted at a time. A server that works on one job takes a while to hear of the
/// next, and all that it is sent by then it hears of at once.
const AT_ONCE: usize = 8;

/// One run on its way.
pub(super) enum Queued {
    Under(String),
    Failed(Failure),
}

/// A run that was built, as text: a thousand workflows take several times the room once they are
/// read.
struct Built {
    index: usize,
    json: String,
}

/// Builds all of them, then queues all in the order that costs least: each by its place in `sets`,
/// those first that can't be built. What is refused is told in its place; once the server is away
/// the rest is not tried.
pub(super) fn queue_all(
    context: &Context,
    source: &Source,
    sets: &[Value],
) -> Fallible<Vec<(usize, Queued)>> {
    let mut queued = Vec::with_capacity(sets.len());
    let mut built = Vec::with_capacity(sets.len());
    let mut orderer = Orderer::default();
    for (index, set) in sets.iter().enumerate() {
        let one = match set.as_object() {
            Some(set) => told(source.build(context, set))?,
            None => Err(Failure::new(
                Code::INVALID_PARAMS,
                "a set of parameters is an object of values by name",
            )),
        };
        match one {
            Ok(workflow) => {
                orderer.add(&workflow);
                let json = workflow.into_json().to_string();
                built.push(Some(Built { index, json }));
            }
            Err(failure) => queued.push((index, Queued::Failed(failure))),
        }
    }
    let mut groups = orderer.groups();
    // The first goes alone: whether the server is there at all need not be tried more than once.
    if let Some(first) = groups.first_mut()
        && first.len() > 1
    {
        let rest = first.split_off(1);
        groups.insert(1, rest);
    }
    let mut away = None;
    for group in groups {
        let group = group.into_iter().filter_map(|at| built[at].take());
        let group = Group::new(context, group.collect(), away);
        queued.extend(group.submit()?);
        away = group.into_away();
    }
    Ok(queued)
}

/// Runs whose order makes no difference, on their way to the server.
struct Group<'g> {
    context: &'g Context,
    left: Mutex<Enumerate<IntoIter<Built>>>,
    count: usize,
    /// Why the rest is not tried.
    away: Mutex<Option<Failure>>,
}

impl<'g> Group<'g> {
    fn new(context: &'g Context, runs: Vec<Built>, away: Option<Failure>) -> Self {
        Self {
            context,
            count: runs.len(),
            left: Mutex::new(runs.into_iter().enumerate()),
            away: Mutex::new(away),
        }
    }

    fn into_away(self) -> Option<Failure> {
        self.away
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits all, several at a time; one after the other where the user's hook is asked before.
    fn submit(&self) -> Fallible<Vec<(usize, Queued)>> {
        let wanted = self.count.min(AT_ONCE);
        let places = self.context.places.take(wanted);
        if places.count < 2 || self.context.host.jobs.is_asked_first() {
            return Ok(in_order(self.submit_rest()?));
        }
        let spot = Spot::present();
        let lane = || {
            let _standing = spot.clone().map(Standing::at);
            self.context.budget.begin();
            let submitted = self.submit_rest();
            self.context.budget.settle();
            submitted
        };
        let results = thread::scope(|scope| {
            let begun: Vec<_> = (0..places.count)
                .map(|_| thread::Builder::new().spawn_scoped(scope, lane))
                .collect();
            let joining = begun.into_iter().map(|begun| match begun {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|_| Err("an internal error stopped a submission".into())),
                Err(error) => Err(format!("no thread for a submission: {error}").into()),
            });
            // The time of those that wait for others is not counted twice.
            self.context
                .budget
                .pause(|| joining.collect::<Vec<Fallible<_>>>())
        });
        let queued = results.into_iter().collect::<Fallible<Vec<_>>>()?;
        Ok(in_order(queued.into_iter().flatten().collect()))
    }

    /// Submits one after the other until none is left. When something ends the batch, nothing more
    /// is begun.
    fn submit_rest(&self) -> Fallible<Vec<(usize, usize, Queued)>> {
        let mut queued = vec![];
        while let Some((nth, run)) = self.next() {
            let one = self.submit_one(&run).inspect_err(|_| self.stop())?;
            queued.push((nth, run.index, one));
        }
        Ok(queued)
    }

    fn submit_one(&self, run: &Built) -> Fallible<Queued> {
        if let Some(away) = &*lock(&self.away) {
            return Ok(Queued::Failed(away.clone()));
        }
        let nodes: Map<String, Value> =
            serde_json::from_str(&run.json).map_err(|error| error.to_string())?;
        let workflow = WorkflowHandle::new(Workflow::from_nodes(nodes));
        Ok(
            match told(submit_nth(self.context, &workflow, run.index))? {
                Ok(submitted) => Queued::Under(submitted.prompt_id),
                Err(failure) => {
                    if failure.code == Code::CONNECTION_ERROR {
                        *lock(&self.away) = Some(failure.clone());
                    }
                    Queued::Failed(failure)
                }
            },
        )
    }

    fn next(&self) -> Option<(usize, Built)> {
        lock(&self.left).next()
    }

    fn stop(&self) {
        lock(&self.left).by_ref().for_each(drop);
    }
}

fn in_order(mut queued: Vec<(usize, usize, Queued)>) -> Vec<(usize, Queued)> {
    queued.sort_by_key(|(nth, _, _)| *nth);
    let queued = queued.into_iter();
    queued.map(|(_, index, queued)| (index, queued)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
