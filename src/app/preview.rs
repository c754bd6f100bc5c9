//! For those who write scripts: what a template would be run as, without running it, and inputs that
//! are no script yet.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::{App, Built, Found};
use crate::comfy::Workflow;
use crate::script::repl::{Made, Repl};
use crate::script::{
    Caller, Generation, MadeNodes, ScriptError, build_apart, estimated, name_models, named,
};
use crate::vram::Estimate;

impl App {
    /// Builds a template's workflow as [`App::build`] does, but uploads nothing: media keep the names
    /// that were given. Model files get the names that they have on the server, if that is to be asked.
    pub async fn preview(
        &self,
        found: Found,
        given: Map<String, Value>,
        by_server: bool,
    ) -> Result<Built, ScriptError> {
        let script = &found.served.script;
        let named = named(&given);
        let mut parameters = script.arguments(given)?;
        let mut exchanged = vec![];
        if by_server {
            let declaration = &script.declaration;
            let comfy = &self.host().comfy;
            exchanged = name_models(comfy, declaration, &named, &mut parameters).await;
        }
        let name = script.key.name.clone();
        Ok(Built {
            workflow: build_apart(found.generation, name, parameters).await?,
            exchanged,
            // It is not run.
            nodes: MadeNodes::default(),
        })
    }

    /// Evaluates an input of a conversation, or the functions of a script's file.
    pub async fn evaluate(
        &self,
        repl: Arc<Mutex<Repl>>,
        text: &str,
        file: Option<&Path>,
        caller: Caller,
    ) -> Result<Made, ScriptError> {
        let generation = self.library().generation();
        self.runner
            .evaluate(repl, &generation, text, file, caller)
            .await
    }

    /// What memory a workflow needs on the server at hand.
    pub async fn estimate(&self, generation: &Generation, workflow: &Workflow) -> Estimate {
        estimated(self.host(), generation.knowledge(), workflow).await
    }
}
