//! `mmf script check`: what is wrong with scripts, told as compilers do, without running anything.

use std::path::Path;

use serde_json::Value;

use crate::cli::args::Global;
use crate::cli::facts::Facts;
use crate::cli::report::{self, counted};
use crate::cli::script_args::ScriptCheckArgs;
use crate::cli::{Ended, Stopped};
use crate::failure::{Code, Failure};
use crate::script::{
    Diagnostic, Generation, Kind, ScriptError, Severity, Source, check as checked,
};

/// What was looked at, and what is wrong with it.
#[derive(Default)]
struct Found {
    scripts: usize,
    problems: Vec<Diagnostic>,
}

pub(super) async fn check(global: &Global, args: &ScriptCheckArgs) -> Result<Ended, Stopped> {
    let facts = Facts::choose(global, args.nodes.as_deref()).await?;
    let found = if args.scripts.is_empty() {
        Found::of_all(&facts)
    } else {
        Found::of_some(&facts, &args.scripts)?
    };
    if args.json {
        let told: Vec<Value> = found.problems.iter().map(Diagnostic::for_editors).collect();
        report::json(&told);
    } else {
        found.show(&facts);
    }
    let is_bad = |problem: &Diagnostic| args.strict || problem.severity == Severity::Error;
    Ok(if found.problems.iter().any(is_bad) {
        Ended::Invalid
    } else {
        Ended::Well
    })
}

impl Found {
    fn of_all(facts: &Facts) -> Self {
        let generation = facts.generation();
        let mut found = Self::default();
        for served in generation.all() {
            found.look_at(generation, &served.script.source(), facts);
        }
        for tests in generation.tests() {
            found.look_at(generation, tests, facts);
        }
        // What never was good is not served.
        for problem in generation.problems().values() {
            found.scripts += 1;
            found.problems.push(problem.clone());
        }
        found
    }

    fn of_some(facts: &Facts, named: &[String]) -> Result<Self, Stopped> {
        let mut found = Self::default();
        for name in named {
            if Path::new(name).extension().is_some_and(|it| it == "rhai") {
                let source = Source::in_file(Path::new(name)).map_err(|error| {
                    Failure::new(Code::NOT_FOUND, format!("{name} can't be read: {error}"))
                })?;
                found.look_at(facts.generation(), &source, facts);
            } else {
                found.look_at_named(name, facts)?;
            }
        }
        Ok(found)
    }

    /// All scripts of that name, of whatever kind, and their tests.
    fn look_at_named(&mut self, name: &str, facts: &Facts) -> Result<(), Stopped> {
        let generation = facts.generation();
        let before = self.scripts;
        for kind in Kind::ALL {
            match generation.get(kind, name) {
                Ok(served) => self.look_at(generation, &served.script.source(), facts),
                Err(ScriptError::Broken(problem)) => {
                    self.scripts += 1;
                    self.problems.push(*problem);
                }
                Err(_) => {}
            }
        }
        let beside = generation
            .tests()
            .filter(|it| it.key.tested() == Some(name));
        for tests in beside {
            self.look_at(generation, tests, facts);
        }
        if self.scripts == before {
            generation
                .find(&Kind::ALL, name)
                .map_err(Stopped::by_script)?;
        }
        Ok(())
    }

    fn look_at(&mut self, generation: &Generation, source: &Source, facts: &Facts) {
        self.scripts += 1;
        let checked = checked(generation, source, Some(&facts.nodes));
        self.problems.extend(checked.problems);
    }

    fn show(&self, facts: &Facts) {
        for problem in &self.problems {
            report::line(problem.render(report::result_colours()));
            report::line("");
        }
        let count = |severity| {
            let problems = self.problems.iter();
            problems.filter(|one| one.severity == severity).count()
        };
        let told: Vec<String> = [
            (count(Severity::Error), "error"),
            (count(Severity::Warning), "warning"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| counted(count, word))
        .collect();
        let told = if told.is_empty() {
            "nothing wrong".to_owned()
        } else {
            told.join(", ")
        };
        let scripts = counted(self.scripts, "script");
        report::line(format_args!("{told} in {scripts}, by {}", facts.origin));
    }
}
