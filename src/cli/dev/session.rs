//! What was last seen of the script, and what was last good of it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::followed::Followed;
use super::told;
use crate::app::{App, Built, Found};
use crate::cli::facts::Facts;
use crate::cli::handed::with_placeholders;
use crate::cli::script_options::{DevOptions, parse_for};
use crate::cli::{Stopped, report};
use crate::comfy::Workflow;
use crate::knowledge::Knowledge;
use crate::script::{Diagnostic, Kind, ScriptError, Severity, Type, check};

/// What came of looking at the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Nothing that concerns it has changed.
    Same,
    /// It can be run.
    Good,
    /// Something is wrong with it, which was shown.
    Bad,
}

/// A version of the script that can be run, with the arguments for it.
#[derive(Clone)]
pub(super) struct Good {
    pub(super) found: Found,
    pub(super) arguments: Map<String, Value>,
    /// What it builds, if it is a template.
    workflow: Option<Workflow>,
    warnings: Vec<Diagnostic>,
    /// What else is to be said of it, once.
    notes: Vec<String>,
}

/// All that a change of which is to be looked at.
#[derive(PartialEq)]
struct Seen {
    script: Result<String, ScriptError>,
    knowledge: Arc<Knowledge>,
    faults: Vec<String>,
}

pub(super) struct Session {
    app: Arc<App>,
    facts: Facts,
    followed: Followed,
    words: Vec<String>,
    before: DevOptions,
    output: Option<PathBuf>,
    /// The seed that was drawn last, which takes the place of those that are given.
    seed: Option<u64>,
    seen: Option<Seen>,
    good: Option<Good>,
}

impl Session {
    pub(super) fn new(
        app: Arc<App>,
        facts: Facts,
        followed: Followed,
        words: Vec<String>,
        before: DevOptions,
    ) -> Self {
        Self {
            app,
            facts,
            followed,
            words,
            output: before.output.clone(),
            before,
            seed: None,
            seen: None,
            good: None,
        }
    }

    pub(super) fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub(super) fn good(&self) -> Option<Good> {
        self.good.clone()
    }

    /// Where what comes out is to be copied.
    pub(super) fn output(&self) -> Option<PathBuf> {
        self.output.clone()
    }

    /// Looks at the script as it is now, and shows what is new.
    pub(super) async fn look(&mut self) -> Looked {
        let found = self.followed.find(self.app.library());
        let generation = self.app.library().generation();
        let seen = Seen {
            script: found
                .as_ref()
                .map(|found| found.served.hash.clone())
                .map_err(Clone::clone),
            knowledge: generation.knowledge().clone(),
            faults: generation.facts_faults().map(ToString::to_string).collect(),
        };
        if self.seen.as_ref() == Some(&seen) {
            return Looked::Same;
        }
        for fault in &seen.faults {
            report::line(format_args!("error: {fault}"));
        }
        self.seen = Some(seen);
        self.facts.go_by(generation);
        match found {
            Ok(found) => self.take(found).await,
            Err(error) => self.refuse(Stopped::by_script(error)),
        }
    }

    /// Builds what was last good with another seed.
    pub(super) async fn draw_seed(&mut self) -> Looked {
        let Some(good) = &self.good else {
            return Looked::Same;
        };
        let params = &good.found.served.script.declaration.params;
        if !params.iter().any(|param| param.ty == Type::Seed) {
            report::note("it has no parameter of the type seed");
            return Looked::Same;
        }
        let found = good.found.clone();
        self.seed = Some(self.app.host().ids.seed());
        self.take(found).await
    }

    pub(super) fn show_workflow(&self) {
        let workflow = self.good.as_ref().and_then(|good| good.workflow.as_ref());
        match workflow {
            Some(workflow) => told::table(workflow),
            None => report::note("there is no workflow: it is no template, or never was good"),
        }
    }

    async fn take(&mut self, found: Found) -> Looked {
        match self.make(found).await {
            Ok(good) => {
                let before = self.good.replace(good);
                self.show(before).await;
                Looked::Good
            }
            Err(Bad::Stopped(stopped)) => self.refuse(stopped),
            Err(Bad::Mistakes(mistakes)) => {
                told::mistakes(&mistakes);
                self.keep()
            }
        }
    }

    fn refuse(&self, stopped: Stopped) -> Looked {
        told::stopped(stopped);
        self.keep()
    }

    fn keep(&self) -> Looked {
        if self.good.is_some() {
            report::line("the last good version stays");
        }
        Looked::Bad
    }

    /// Checks the script and builds its workflow.
    async fn make(&mut self, found: Found) -> Result<Good, Bad> {
        let script = found.served.script.clone();
        let source = script.source();
        let problems = check(&found.generation, &source, Some(&self.facts.nodes)).problems;
        let is_mistake = |problem: &Diagnostic| problem.severity == Severity::Error;
        let (mistakes, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(is_mistake);
        if !mistakes.is_empty() {
            return Err(Bad::Mistakes(
                mistakes.into_iter().chain(warnings).collect(),
            ));
        }
        let parsed = parse_for("dev", &script, &self.words, &self.before);
        let parsed = parsed.map_err(Stopped::from)?;
        self.output = parsed.options.output;
        let mut arguments = parsed.arguments;
        let params = script.declaration.params.iter();
        for param in params.filter(|param| param.ty == Type::Seed) {
            if let Some(seed) = self.seed {
                arguments.insert(param.name.clone(), seed.into());
            }
        }
        let (mut workflow, mut notes) = (None, vec![]);
        if script.key.kind == Kind::Template {
            let (given, open) = with_placeholders(&script.declaration, arguments.clone());
            let by_server = self.facts.are_live();
            let built = self.app.preview(found.clone(), given, by_server).await;
            let Built {
                workflow: built,
                exchanged,
                ..
            } = built.map_err(Stopped::by_script)?;
            notes.extend(told::open(&open));
            notes.extend(exchanged.iter().map(ToString::to_string));
            workflow = Some(built);
        }
        Ok(Good {
            found,
            arguments,
            workflow,
            warnings,
            notes,
        })
    }

    /// Shows what is new in what is good now.
    async fn show(&self, before: Option<Good>) {
        let Some(good) = &self.good else {
            return;
        };
        for note in &good.notes {
            let is_old = |before: &Good| before.notes.contains(note);
            if !before.as_ref().is_some_and(is_old) {
                report::note(format_args!("note: {note}"));
            }
        }
        told::mistakes(&good.warnings);
        let key = &good.found.served.script.key;
        let Some(workflow) = &good.workflow else {
            report::line(format_args!("{key}: nothing wrong"));
            return;
        };
        match before.as_ref().and_then(|before| before.workflow.as_ref()) {
            Some(before) => told::difference(before, workflow),
            None => told::summary(key, workflow),
        }
        told::findings(workflow, &self.facts);
        if self.facts.are_live() {
            let generation = &good.found.generation;
            told::memory(&self.app.estimate(generation, workflow).await);
        }
    }
}

/// Why a save is no good.
enum Bad {
    /// Mistakes that are seen without running it.
    Mistakes(Vec<Diagnostic>),
    /// It, or the arguments for it.
    Stopped(Stopped),
}

impl From<Stopped> for Bad {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}
