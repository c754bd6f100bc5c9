//! What memory a workflow needs on the server at hand. The facts and the figures answer without a
//! server, too; one that is there says more.

use std::time::Duration;

use tokio::time::timeout;

use super::Host;
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;
use crate::knowledge::Knowledge;
use crate::vram::{Estimate, Inventory, Machine, Observed, Plan, Question, shape};

/// How long a server that is there but slow is waited for: its word is only a further one.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What a server tells, if it does so soon.
pub(super) async fn soon<T>(told: impl Future<Output = T>) -> Option<T> {
    timeout(PATIENCE, told).await.ok()
}

/// Estimates a workflow.
pub(crate) async fn estimated(host: &Host, knowledge: &Knowledge, workflow: &Workflow) -> Estimate {
    let comfy = &host.comfy;
    let facts = soon(comfy.node_facts()).await.and_then(Result::ok);
    let facts = facts.unwrap_or_else(NodeFacts::bundled);
    let plan = Plan::of(workflow, &facts);
    let machine = machine(host).await;
    let is_there = machine.is_some();
    let machine = machine.unwrap_or_default();
    let inventory = soon(Inventory::of(comfy, &plan)).await.unwrap_or_default();
    let observed = observed(host, workflow, &machine);
    let mut estimate = crate::vram::estimate(&Question {
        plan: &plan,
        knowledge,
        inventory: &inventory,
        machine: &machine,
        observed: observed.as_ref(),
    });
    if !is_there {
        let note = "the server does not answer: what memory and which files it has";
        estimate.unknown.push(note.to_owned());
    }
    estimate
}

/// What a server works on; none if it does not say so soon.
pub(super) async fn machine(host: &Host) -> Option<Machine> {
    let stats = soon(host.comfy.system_stats()).await?.ok()?;
    Some(Machine::of(&stats))
}

/// What earlier runs took; what can't be read is merely not known.
fn observed(host: &Host, workflow: &Workflow, machine: &Machine) -> Option<Observed> {
    let observations = host.jobs.observations()?;
    let device = machine.device.as_deref()?;
    observations
        .of(&shape(workflow), device)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "what was observed can't be read");
            None
        })
}
