//! Tests that scripts have of themselves: functions `test_...` without parameters, in the script or in
//! a file `NAME_test.rhai` beside it. Those in a script are as pure as the script; those beside it may
//! call everything.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Map;

use super::compile::is_test;
use super::host::Context;
use super::run::{call_function, carry};
use super::{
    Caller, Diagnostic, Generation, Key, Kind, Layer, Runner, Script, ScriptError, Served, Source,
    engine,
};

/// The tests of one script, or of one file.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The script that is tested.
    pub subject: Key,
    /// Where it comes from.
    pub layer: Layer,
    /// The file that has the tests.
    pub path: PathBuf,
    /// Their names, in the order in which they stand there.
    pub tests: Vec<String>,
    generation: Arc<Generation>,
    served: Served,
}

/// A file of tests that does not compile.
#[derive(Clone, Debug)]
pub struct BrokenSuite {
    /// The script that is to be tested.
    pub subject: Key,
    /// Where it comes from.
    pub layer: Layer,
    /// What is wrong.
    pub problem: Box<Diagnostic>,
}

impl Suite {
    /// All tests of a generation: those within each script, then those beside it.
    #[must_use]
    pub fn all(generation: &Arc<Generation>) -> Vec<Result<Self, BrokenSuite>> {
        let within = generation.all().filter(|it| it.script.testing.is_some());
        let within =
            within.map(|served| Ok(Self::of(served.script.key.clone(), generation, served)));
        let beside = generation
            .tests()
            .map(|file| Self::beside(generation, file));
        let mut suites: Vec<_> = within.chain(beside).collect();
        suites.sort_by_key(|suite| match suite {
            Ok(suite) => suite.subject.clone(),
            Err(broken) => broken.subject.clone(),
        });
        suites
    }

    /// The tests in a script that may lie anywhere.
    pub fn in_file(generation: &Generation, source: &Source) -> Result<Self, BrokenSuite> {
        Self::beside(generation, source)
    }

    fn of(subject: Key, generation: &Arc<Generation>, served: &Served) -> Self {
        let script = &served.script;
        Self {
            subject,
            layer: script.layer,
            path: script.path.clone(),
            tests: tests_of(script),
            generation: generation.clone(),
            served: served.clone(),
        }
    }

    /// A file of tests is compiled as a library: it has functions and may call everything.
    fn beside(generation: &Generation, file: &Source) -> Result<Self, BrokenSuite> {
        let subject = subject(file);
        let source = as_compiled(file);
        let with_it = Arc::new(generation.with(&source));
        match with_it.get(source.key.kind, &source.key.name) {
            Ok(served) => Ok(Self::of(subject, &with_it, served)),
            Err(error) => Err(BrokenSuite {
                subject,
                layer: file.layer,
                problem: match error {
                    ScriptError::Broken(problem) => problem,
                    other => Diagnostic::of_file(other.to_string(), file.path.clone()).into(),
                },
            }),
        }
    }

    /// Runs one test against the services of a runner; it fails by throwing.
    pub async fn run(
        &self,
        runner: &Runner,
        test: &str,
        caller: Caller,
    ) -> Result<(), ScriptError> {
        let (generation, served) = (self.generation.clone(), self.served.clone());
        let test = test.to_owned();
        let work = move |script: &Script, context: &Arc<Context>| call(script, context, &test);
        runner
            .on_own_thread(generation, served, Map::new(), caller, work)
            .await
    }
}

fn call(script: &Script, context: &Arc<Context>, test: &str) -> Result<(), ScriptError> {
    let script = Script {
        ast: script.whole().clone(),
        ..script.clone()
    };
    let libraries = context.generation.libraries_of(&script);
    let pure = script.key.kind.is_pure();
    let mut engine = engine::testing(&context.budget, libraries, pure);
    carry(&mut engine, context);
    let gave = call_function(&engine, &context.generation, &script, test, vec![]);
    gave.map(|_| ())
}

/// A source as it is compiled: a file of tests as a library, whatever it tests.
pub(super) fn as_compiled(source: &Source) -> Source {
    if source.key.tested().is_none() {
        return source.clone();
    }
    Source {
        key: Key {
            kind: Kind::Lib,
            name: source.key.name.clone(),
        },
        ..source.clone()
    }
}

fn subject(file: &Source) -> Key {
    let Key { kind, name } = &file.key;
    Key {
        kind: *kind,
        name: file.key.tested().unwrap_or(name).to_owned(),
    }
}

fn tests_of(script: &Script) -> Vec<String> {
    let functions = script.whole().iter_fn_def();
    let tests = functions.filter(|it| is_test(&it.name, it.params.len()));
    let mut placed: Vec<(usize, String)> = tests
        .map(|it| {
            let line = it.body.start_position().line();
            (line.unwrap_or_default(), it.name.to_string())
        })
        .collect();
    placed.sort();
    placed.into_iter().map(|(_, name)| name).collect()
}
