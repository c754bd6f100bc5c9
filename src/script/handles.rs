//! What scripts hold while they build a workflow: the workflow, its nodes, and links to their
//! outputs. They are handles: passed on to another function, it is the same workflow that grows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{INT, ImmutableString};
use serde_json::{Value, json};

use super::made::MadeNodes;
use super::spot::Spot;
use crate::comfy::{Workflow, WorkflowError};

/// A workflow under construction, shared by all that hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkflowHandle {
    workflow: Arc<Mutex<Workflow>>,
    /// Where its nodes were made, by their ids.
    spots: Arc<Mutex<BTreeMap<String, Spot>>>,
}

impl WorkflowHandle {
    pub(super) fn new(workflow: Workflow) -> Self {
        Self {
            workflow: Arc::new(Mutex::new(workflow)),
            spots: Arc::default(),
        }
    }

    /// Notes where a node was made.
    pub(super) fn note(&self, id: &str, spot: Spot) {
        self.spots().insert(id.to_owned(), spot);
    }

    /// Gives the nodes other ids, those of `workflow.nodes()` in their order.
    pub(super) fn renumber(&self, ids: &[String]) -> Result<(), WorkflowError> {
        let names = |workflow: &Workflow| {
            let ids = workflow.nodes().map(|node| node.id.to_owned());
            ids.collect::<Vec<String>>()
        };
        let mut workflow = self.lock();
        let before = names(&workflow);
        workflow.renumber(ids)?;
        let after = names(&workflow);
        let mut spots = self.spots();
        let moved = before.iter().zip(after);
        let moved = moved.filter_map(|(before, after)| Some((after, spots.get(before)?.clone())));
        *spots = moved.collect();
        Ok(())
    }

    /// What is known of its nodes.
    pub(super) fn made(&self) -> MadeNodes {
        MadeNodes::of(&self.lock(), &self.spots())
    }

    fn spots(&self) -> MutexGuard<'_, BTreeMap<String, Spot>> {
        self.spots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workflow as it stands now.
    pub(super) fn snapshot(&self) -> Workflow {
        self.lock().clone()
    }

    /// The workflow, for the last who holds it without a copy.
    pub(super) fn into_workflow(self) -> Workflow {
        match Arc::try_unwrap(self.workflow) {
            Ok(workflow) => workflow
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            Err(shared) => shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// The workflow, to be read or changed in place.
    pub(super) fn lock(&self) -> MutexGuard<'_, Workflow> {
        self.workflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node of a workflow under construction.
#[derive(Clone, Debug)]
pub(super) struct NodeHandle {
    pub(super) workflow: WorkflowHandle,
    pub(super) id: ImmutableString,
}

impl NodeHandle {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// One output of a node.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: ImmutableString,
    pub(super) slot: INT,
}

impl Link {
    pub(super) fn to_json(&self) -> Value {
        json!([self.id.as_str(), self.slot])
    }
}
