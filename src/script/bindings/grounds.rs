//! What workflows are judged by: the connected server, or without it the classes of `ComfyUI` itself.

use std::sync::Arc;

use rhai::EvalAltResult;
use serde_json::Value;

use super::nodes::Known;
use crate::comfy::nodes::{BUNDLED_VERSION, NodeFacts};
use crate::comfy::validate::Rules;
use crate::preflight::{Files, Preflight, Report};
use crate::script::host::Context;
use crate::script::name_packs;

/// Classes, the server's way with them, and the files that it has.
pub(super) struct Grounds {
    facts: Arc<NodeFacts>,
    rules: Rules,
    files: Files,
    /// Where they are from, unless the server told them.
    source: Option<String>,
}

impl Grounds {
    /// The grounds to judge a workflow by. Facts are kept for some minutes, and people upload files
    /// without a sign: where one is missed, the server is asked anew.
    pub(super) fn of(context: &Context, nodes: &Value) -> Result<Self, Box<EvalAltResult>> {
        let known = Known::of(context)?;
        if known.source.is_some() {
            return Ok(Self {
                facts: known.facts,
                rules: Rules::of(BUNDLED_VERSION),
                files: Files::Foreign,
                source: known.source,
            });
        }
        let comfy = &context.host.comfy;
        let version = context.wait(comfy.version())?;
        let version = version.map(|version| version.to_string());
        let rules = version.as_deref().map(Rules::of);
        let mut grounds = Self {
            rules: rules.unwrap_or_else(|| Rules::guessed(&known.facts)),
            files: Files::now(&known.facts),
            facts: known.facts,
            source: None,
        };
        let report = grounds.judge(context, nodes);
        let mut findings = report.findings.iter();
        if findings.any(|one| one.kind == "custom_validation_failed") {
            grounds.facts = context.wait(comfy.refresh_node_facts())?;
            grounds.files = Files::now(&grounds.facts);
        }
        Ok(grounds)
    }

    pub(super) fn judge(&self, context: &Context, nodes: &Value) -> Report {
        let preflight = Preflight::new(&self.facts, context.generation.knowledge());
        let mut report = preflight
            .rules(self.rules.clone())
            .files(&self.files)
            .account(context.host.comfy.server().account_key().is_some())
            .inspect(nodes);
        name_packs(&context.generation.packs(), &mut report);
        report
    }

    /// A report as tools answer it, with what it is based on if the server could not be asked.
    pub(super) fn told(&self, context: &Context, report: &Report) -> Value {
        let mut told = report.to_json(&self.facts, context.generation.knowledge());
        if let Some(source) = &self.source {
            told["source"] = source.as_str().into();
        }
        told
    }
}
