//! What scripts hold while they build a workflow: the workflow, its nodes, and links to their
//! outputs. They are handles: passed on to another function, it is the same workflow that grows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{INT, ImmutableString};
use serde_json::{Value, json};

use crate::comfy::Workflow;

/// A workflow under construction, shared by all that hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkflowHandle(Arc<Mutex<Workflow>>);

impl WorkflowHandle {
    pub(super) fn new(workflow: Workflow) -> Self {
        Self(Arc::new(Mutex::new(workflow)))
    }

    /// The workflow as it stands now.
    pub(super) fn snapshot(&self) -> Workflow {
        self.lock().clone()
    }

    /// The workflow, to be read or changed in place.
    pub(super) fn lock(&self) -> MutexGuard<'_, Workflow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
