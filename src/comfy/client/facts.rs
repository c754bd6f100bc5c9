//! What the server's node classes are, read when needed and kept while it is likely to be true.
//!
//! The answer can be larger than 100 MiB, so it is parsed while it arrives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::comfy::Comfy;
use crate::comfy::nodes::{NodeFacts, Replacement};
use crate::comfy::{ComfyError, Rejection};

/// Model files come and go without a sign; after this time facts are read anew.
const FRESH: Duration = Duration::from_secs(600);

/// The facts of one server.
#[derive(Default)]
pub(super) struct FactsCache {
    known: Mutex<Option<Known>>,
    /// Held while reading, so that many who need facts read them once.
    reading: tokio::sync::Mutex<()>,
}

struct Known {
    facts: Arc<NodeFacts>,
    read_at: Timestamp,
    outages: u64,
    doubted: bool,
}

impl FactsCache {
    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest facts, fresh or not, without asking the server.
    pub(super) fn at_hand(&self) -> Option<Arc<NodeFacts>> {
        self.known().as_ref().map(|known| Arc::clone(&known.facts))
    }

    /// Has them read anew the next time if the server's complaint shows that they may have
    /// changed: a class or a choice was accepted here that it does not know.
    pub(super) fn doubt(&self, rejection: &Rejection) {
        let signs = ["missing_node_type", "invalid_prompt", "value_not_in_list"];
        if signs.iter().any(|sign| rejection.names(sign))
            && let Some(known) = self.known().as_mut()
        {
            known.doubted = true;
        }
    }
}

impl Comfy {
    /// What the server's node classes are. Kept for ten minutes, and read anew when they may have
    /// changed: after the server was away and after it refused a class or a choice. If that fails,
    /// the latest ones that could be read are still given, and the log tells why they are old.
    pub async fn node_facts(&self) -> Result<Arc<NodeFacts>, ComfyError> {
        if let Some(fresh) = self.fresh_facts() {
            return Ok(fresh);
        }
        let _reading = self.0.facts.reading.lock().await;
        if let Some(fresh) = self.fresh_facts() {
            return Ok(fresh);
        }
        match self.read_facts().await {
            Ok(facts) => Ok(facts),
            Err(error) => {
                let old = self.0.facts.at_hand().ok_or_else(|| error.clone())?;
                tracing::warn!(%error, "the node classes can't be read anew, using those of before");
                Ok(old)
            }
        }
    }

    /// Reads the node classes now. If that fails, those read before stay in use.
    pub async fn refresh_node_facts(&self) -> Result<Arc<NodeFacts>, ComfyError> {
        let _reading = self.0.facts.reading.lock().await;
        self.read_facts().await
    }

    /// What is known of these classes without reading all: from the latest facts, and from the
    /// server for classes that are not in those. A class that the server can't tell of is left
    /// out; the error is that the server is away.
    pub(super) async fn facts_about(
        &self,
        classes: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<Arc<NodeFacts>>, ComfyError> {
        let at_hand = self.0.facts.at_hand();
        let mut found = Vec::from_iter(at_hand.clone());
        for class in classes {
            if at_hand
                .as_ref()
                .is_some_and(|all| all.class(class).is_some())
            {
                continue;
            }
            let request = self.0.http.get(["object_info", class]);
            let answer = self.0.http.bytes(&request, |builder| builder).await;
            match answer.map(|body| NodeFacts::read(&body[..])) {
                Ok(Ok(facts)) => found.push(Arc::new(facts)),
                Ok(Err(error)) => tracing::warn!(class, %error, "a node class can't be read"),
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => tracing::warn!(class, %error, "a node class can't be read"),
            }
        }
        Ok(found)
    }

    /// Those of some classes that the server has.
    pub async fn those_there(&self, classes: &[String]) -> Result<Vec<String>, ComfyError> {
        let names: Vec<&str> = classes.iter().map(String::as_str).collect();
        let facts = self.facts_about(names).await?;
        let is_there = |class: &&String| facts.iter().any(|facts| facts.class(class).is_some());
        Ok(classes.iter().filter(is_there).cloned().collect())
    }

    pub(super) fn fresh_facts(&self) -> Option<Arc<NodeFacts>> {
        let now = self.0.clock.now();
        let outages = self.0.http.outages();
        let known = self.0.facts.known();
        let known = known.as_ref()?;
        let age = now.duration_since(known.read_at);
        let fresh = age < SignedDuration::try_from(FRESH).ok()?;
        (fresh && !known.doubted && known.outages == outages).then(|| Arc::clone(&known.facts))
    }

    async fn read_facts(&self) -> Result<Arc<NodeFacts>, ComfyError> {
        let http = &self.0.http;
        let outages = http.outages();
        let request = http.get(["object_info"]);
        let response = http.send(&request, |builder| builder).await?;
        let response = http.expect_success(&request, response).await?;
        http.refuse_web_page(&request, &response)?;
        let mut facts = http
            .parse_while_reading(&request, response, NodeFacts::read)
            .await?;
        if let Some(replacements) = self.replacements().await {
            facts = facts.with_replacements(replacements);
        }
        let facts = Arc::new(facts);
        *self.0.facts.known() = Some(Known {
            facts: Arc::clone(&facts),
            read_at: self.0.clock.now(),
            outages,
            doubted: false,
        });
        Ok(facts)
    }

    /// What the server says of old classes (from 0.14 on); none if it says nothing.
    async fn replacements(&self) -> Option<Vec<Replacement>> {
        let request = self.0.http.get(["node_replacements"]);
        let answer: Value = self.0.http.json(&request, |builder| builder).await.ok()?;
        answer.is_object().then(|| Replacement::read_all(&answer))
    }
}
