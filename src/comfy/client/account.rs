//! The account of comfy.org that pays for partner nodes, which run on other companies' machines.
//!
//! Someone who works in the editor is signed in there; a prompt from elsewhere brings a key. It is a
//! secret, so it goes only with prompts that have such a node, and only to the server for which it was
//! configured. Servers since 0.3.68 keep it out of queue and history (`SENSITIVE_EXTRA_DATA_KEYS`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::comfy::Comfy;
use crate::comfy::nodes::{NodeClass, NodeFacts};
use crate::comfy::{ComfyError, Workflow};

/// The key in `extra_data` under which partner nodes look for it (the hidden input
/// `API_KEY_COMFY_ORG`, in `execution.py` of 0.3.75).
const KEY: &str = "api_key_comfy_org";

/// What to do where there is none.
pub const ACCOUNT_HELP: &str = "make a key at platform.comfy.org and set COMFY_ORG_API_KEY or [comfyui] comfy_org_api_key in your config.toml";

/// Which classes run elsewhere, of those that had to be asked about.
#[derive(Default)]
pub(super) struct PartnersCache(Mutex<HashMap<String, bool>>);

impl PartnersCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Comfy {
    /// The first class of a workflow that runs elsewhere, for credits, as far as that is known
    /// without asking the server.
    #[must_use]
    pub fn partner_class<'a>(&self, workflow: &'a Workflow) -> Option<&'a str> {
        let mut classes = classes(workflow);
        classes.find(|class| self.known_partner(class) == Some(true))
    }

    /// The same, asking the server about classes that are not known.
    pub async fn find_partner_class(
        &self,
        workflow: &Workflow,
    ) -> Result<Option<String>, ComfyError> {
        if !self.has_partner(workflow).await? {
            return Ok(None);
        }
        let mut classes = classes(workflow);
        let class = classes.find(|class| self.known_partner(class) == Some(true));
        Ok(class.map(str::to_owned))
    }

    /// All classes of a workflow that run elsewhere, for credits, each once, in order of their names.
    pub async fn find_partner_classes(
        &self,
        workflow: &Workflow,
    ) -> Result<Vec<String>, ComfyError> {
        self.learn(workflow).await?;
        let mut found: Vec<String> = classes(workflow)
            .filter(|class| self.known_partner(class) == Some(true))
            .map(str::to_owned)
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Puts the key of the account beside a workflow that needs it, unless one is there already.
    pub(super) async fn sign(
        &self,
        workflow: &Workflow,
        extra_data: &mut Map<String, Value>,
    ) -> Result<(), ComfyError> {
        let Some(key) = self.server().account_key() else {
            return Ok(());
        };
        if !extra_data.contains_key(KEY) && self.has_partner(workflow).await? {
            extra_data.insert(KEY.to_owned(), key.into());
        }
        Ok(())
    }

    async fn has_partner(&self, workflow: &Workflow) -> Result<bool, ComfyError> {
        if self.partner_class(workflow).is_none() {
            self.learn(workflow).await?;
        }
        Ok(self.partner_class(workflow).is_some())
    }

    /// Asks the server about the classes that are not known.
    async fn learn(&self, workflow: &Workflow) -> Result<(), ComfyError> {
        let mut unknown: Vec<&str> = classes(workflow)
            .filter(|class| self.known_partner(class).is_none())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let facts = self.facts_about(unknown.clone()).await?;
        let mut partners = self.0.partners.lock();
        for class in unknown {
            let known = facts.iter().find_map(|facts| facts.class(class));
            let is_partner = known.is_some_and(NodeClass::is_api_node);
            partners.insert(class.to_owned(), is_partner);
        }
        Ok(())
    }

    fn known_partner(&self, class: &str) -> Option<bool> {
        let of = |facts: Arc<NodeFacts>| facts.class(class).map(NodeClass::is_api_node);
        self.fresh_facts()
            .and_then(of)
            .or_else(|| of(NodeFacts::bundled()))
            .or_else(|| self.0.partners.lock().get(class).copied())
    }
}

fn classes(workflow: &Workflow) -> impl Iterator<Item = &str> {
    workflow.nodes().filter_map(|node| node.class_type())
}
