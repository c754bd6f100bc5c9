//! What a batch or a sweep runs: a template, or a workflow that somebody drew.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::app::Found;
use crate::batch;
use crate::cli::args::Global;
use crate::cli::handed::{self, Asked};
use crate::cli::{Stopped, start};
use crate::comfy::Workflow;
use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::{
    Declaration, Generation, Kind, Param, ScriptError, Type, build_each_apart, missing_file,
};

/// What is run many times.
pub(super) struct Subject {
    pub(super) name: String,
    /// Of a workflow, its placeholders as parameters that take any value.
    pub(super) declaration: Declaration,
    /// The scripts around it.
    pub(super) generation: Arc<Generation>,
    /// What the tools are given.
    pub(super) workflow: Value,
    is_template: bool,
}

impl Subject {
    /// The template of a name or in a file, or the workflow in a file.
    pub(super) async fn named(global: &Global, named: &str) -> Result<Self, Stopped> {
        let library = start::library(global)?;
        let path = Path::new(named);
        let is_script = path.extension().is_some_and(|ending| ending == "rhai");
        if is_script || !path.is_file() {
            let found = if is_script {
                Found::in_file(&library, path)
            } else {
                Found::named(&library, named)
            };
            return Self::template(&found.map_err(Stopped::by_script)?);
        }
        let mut asked = Asked::new(global, None);
        let workflow = handed::workflow(global, named, &mut asked).await?.workflow;
        let params = batch::placeholders(&workflow).into_iter().map(Param::open);
        Ok(Self {
            name: named.to_owned(),
            declaration: Declaration {
                title: format!("Parameters are the placeholders of {named} and its inputs"),
                params: params.collect(),
                ..Declaration::default()
            },
            generation: library.generation(),
            workflow: workflow.into_json(),
            is_template: false,
        })
    }

    fn template(found: &Found) -> Result<Self, Stopped> {
        let script = &found.served.script;
        if script.key.kind != Kind::Template {
            let message = format!("{} is no template", script.key);
            let failure = Failure::new(Code::INVALID_PARAMS, message);
            let hint = "many runs are those of a template or a workflow; `mmf script list` shows the \
                        templates";
            return Err(failure.hint(hint).into());
        }
        Ok(Self {
            name: script.key.name.clone(),
            declaration: script.declaration.clone(),
            generation: found.generation.clone(),
            workflow: script.key.name.clone().into(),
            is_template: true,
        })
    }

    /// A cell of a table as its parameter wants it. Spreadsheets write TRUE.
    pub(super) fn cell(&self, name: &str, cell: &str) -> Value {
        let ty = self.declaration.param(name).map(|param| param.ty);
        match ty {
            Some(ty) if ty.is_text() => cell.into(),
            Some(Type::Bool) => read(&cell.trim().to_lowercase()).unwrap_or_else(|| cell.into()),
            Some(Type::Object | Type::Array | Type::Workflow) => {
                serde_json::from_str(cell).unwrap_or_else(|_| cell.into())
            }
            _ => read(cell.trim()).unwrap_or_else(|| cell.into()),
        }
    }

    /// What is to be said of a name that is none of the parameters.
    pub(super) fn unknown(&self, name: &str) -> Option<String> {
        // A workflow's inputs go by many names.
        if !self.is_template || self.declaration.param(name).is_some() {
            return None;
        }
        let names = self.declaration.params.iter();
        let nearest = nearest(name, names.map(|param| param.name.as_str()));
        Some(format!(
            "no parameter \"{name}\"{}",
            did_you_mean(nearest.as_deref())
        ))
    }

    /// What there is, for a hint.
    pub(super) fn names(&self) -> String {
        let names = self.declaration.params.iter();
        let names: Vec<&str> = names.map(|param| param.name.as_str()).collect();
        format!("the parameters are {}", names.join(", "))
    }

    /// The workflow of each set of parameters, or why there is none. Nothing is uploaded. What a
    /// plain workflow comes to, the server's own facts decide.
    pub(super) async fn built(
        &self,
        sets: Vec<Map<String, Value>>,
    ) -> Result<Vec<Result<Option<Workflow>, Failure>>, Stopped> {
        if !self.is_template {
            return Ok(sets.into_iter().map(|_| Ok(None)).collect());
        }
        let here = std::env::current_dir().unwrap_or_default();
        let missing = |set| missing_file(&self.declaration, &here, set);
        let missing: Vec<_> = sets.iter().map(missing).collect();
        let built = build_each_apart(self.generation.clone(), self.name.clone(), sets).await;
        let built = built.map_err(Stopped::by_script)?;
        let each = built.into_iter().zip(missing);
        Ok(each
            .map(|(built, missing)| match (built, missing) {
                (Err(error), _) => Err(Failure::from(error)),
                (Ok(_), Some(missing)) => Err(missing),
                (Ok(workflow), None) => Ok(Some(workflow)),
            })
            .collect())
    }

    /// The tool that runs it.
    pub(super) fn tool(&self, name: &str) -> Result<Found, ScriptError> {
        let served = self.generation.get(Kind::Tool, name)?.clone();
        Ok(Found {
            generation: self.generation.clone(),
            served,
        })
    }
}

/// A number, true or false.
fn read(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_number() || value.is_boolean()).then_some(value)
}
