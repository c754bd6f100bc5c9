//! Which script made a workflow, remembered on the way from the script to the server.
//!
//! An agent builds a workflow with one call and submits it with the next, passing plain JSON. The
//! workflow's fingerprint ties the two together, and a note beside the prompt (in `extra_data`,
//! which `ComfyUI` keeps in queue and history) ties the job to its origin even when this process
//! is gone before the job is over.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assets::ScriptRef;
use crate::comfy::Workflow;

/// The key of the note in `extra_data`.
const NOTE: &str = "massmediafactory";

/// How many workflows are remembered between being built and being submitted.
const REMEMBERED: usize = 4096;

/// Who asked for a job, and with what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The script that built the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ScriptRef>,
    /// What the script was given.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The session that submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The asset of which this is a variation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerated_from: Option<String>,
    /// The assets that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_from: Vec<String>,
}

impl Origin {
    /// Writes the note into what is sent beside a prompt.
    pub(super) fn write(&self, extra_data: &mut Map<String, Value>) {
        if let Ok(note) = serde_json::to_value(self) {
            extra_data.insert(NOTE.to_owned(), note);
        }
    }

    /// Reads the note back; a job of somebody else's has none.
    pub(super) fn read(extra_data: &Value) -> Self {
        Self::deserialize(&extra_data[NOTE]).unwrap_or_default()
    }
}

/// Workflows by fingerprint with the scripts that built them; the oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    by_fingerprint: HashMap<String, Origin>,
    order: VecDeque<String>,
}

impl Remembered {
    pub(super) fn insert(&mut self, workflow: &Workflow, origin: Origin) {
        let fingerprint = workflow.fingerprint();
        if self
            .by_fingerprint
            .insert(fingerprint.clone(), origin)
            .is_none()
        {
            self.order.push_back(fingerprint);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.by_fingerprint.remove(&oldest);
            }
        }
    }

    pub(super) fn get(&self, workflow: &Workflow) -> Option<&Origin> {
        self.by_fingerprint.get(&workflow.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_note_beside_a_prompt_comes_back_from_the_history() {
        let origin = Origin {
            parameters: json!({ "SEED": u64::MAX }).as_object().cloned().unwrap(),
            session: Some("s".into()),
            ..Origin::default()
        };
        let mut extra_data = Map::new();
        origin.write(&mut extra_data);
        assert_eq!(Origin::read(&extra_data.into()), origin);
    }

    #[test]
    fn a_job_of_somebody_else_has_no_origin() {
        assert_eq!(
            Origin::read(&json!({ "client_id": "browser" })),
            Origin::default()
        );
        assert_eq!(Origin::read(&Value::Null), Origin::default());
    }
}
