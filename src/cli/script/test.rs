//! `mmf script test`: scripts test themselves, on a simulator of this process.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, AppOptions};
use crate::cli::args::Global;
use crate::cli::report::{self, counted};
use crate::cli::script_args::ScriptTestArgs;
use crate::cli::{Ended, Stopped, start};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::script::{
    BrokenSuite, Caller, Diagnostic, Generation, Key, Layer, ScriptError, Source, Suite,
};
use crate::sim::SimOptions;

/// How a test ended.
struct Ran {
    name: String,
    seconds: f64,
    failure: Option<Diagnostic>,
}

pub(super) async fn test(global: &Global, args: &ScriptTestArgs) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let simulate = Some(SimOptions {
        step_delay: Duration::ZERO,
        ..start::simulator(global)
    });
    let folder = Folder::new()?;
    let scripts = Config {
        // Its own data, and yet the scripts at hand.
        publish_dir: None,
        script_folder: None,
        comfyui_output_dir: None,
        ..config
    };
    let begun = Instant::now();
    let options = AppOptions {
        simulate,
        ..AppOptions::default()
    };
    let shared = folder.config(&scripts, "shared");
    let app = App::start_with(&shared, scripts.script_roots(), options).await?;
    let generation = app.library().generation();
    let chosen = choose(&generation, args)?;
    let tests: usize = chosen.iter().map(|(_, tests)| tests.len()).sum();
    if !args.json {
        let scripts = counted(chosen.len(), "script");
        report::line(format_args!(
            "    Starting {} of {scripts}",
            counted(tests, "test")
        ));
    }
    let mut ran = vec![];
    for (suite, tests) in chosen {
        match suite {
            Ok(suite) => {
                for test in tests {
                    let beside = app.beside(&folder.config(&scripts, &ran.len().to_string()))?;
                    let one = run(&beside, &suite, &test).await;
                    one.tell(args.json);
                    ran.push(one);
                }
            }
            Err(broken) => {
                let one = Ran::broken(broken);
                one.tell(args.json);
                ran.push(one);
            }
        }
    }
    Ok(summary(&ran, begun.elapsed(), args.json))
}

/// A folder for what the tests make, removed at the end.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("mmf-test-").tempdir();
        made.map(Self).map_err(|error| {
            Failure::new(
                Code::CANNOT_CREATE_DIR,
                format!("no folder for what the tests make: {error}"),
            )
        })
    }

    fn config(&self, config: &Config, name: &str) -> Config {
        let folder = self.0.path().join(name);
        Config {
            project_dir: folder.join("project"),
            data_dir: folder.join("data"),
            ..config.clone()
        }
    }
}

type Chosen = (Result<Suite, BrokenSuite>, Vec<String>);

/// The tests that are asked for: of a script by its name, else those of the user's and the project's
/// scripts, and the built-in ones only if they are asked for.
fn choose(
    generation: &std::sync::Arc<Generation>,
    args: &ScriptTestArgs,
) -> Result<Vec<Chosen>, Failure> {
    let mut chosen = vec![];
    for suite in suites(generation, args)? {
        let is_named = |name: &String| *name == subject(&suite).name || is_file(name);
        let is_named = args.names.iter().any(is_named);
        if !is_named && !args.built_in && layer(&suite) == Layer::BuiltIn {
            continue;
        }
        let mut tests = match &suite {
            Ok(suite) => suite.tests.clone(),
            Err(_) => vec![],
        };
        if !is_named && !args.names.is_empty() {
            // A name may also be a part of that of a test.
            tests.retain(|test| args.names.iter().any(|name| test.contains(&**name)));
            if tests.is_empty() {
                continue;
            }
        }
        chosen.push((suite, tests));
    }
    if chosen.is_empty() && !args.names.is_empty() {
        let message = format!("no tests of {}", args.names.join(", "));
        return Err(Failure::new(Code::NOT_FOUND, message)
            .hint("write fn test_...() in the script, or a file NAME_test.rhai beside it"));
    }
    Ok(chosen)
}

fn suites(
    generation: &std::sync::Arc<Generation>,
    args: &ScriptTestArgs,
) -> Result<Vec<Result<Suite, BrokenSuite>>, Failure> {
    if !args.names.iter().any(|name| is_file(name)) {
        return Ok(Suite::all(generation));
    }
    let mut suites = vec![];
    for name in &args.names {
        let source = Source::in_file(Path::new(name)).map_err(|error| {
            Failure::new(Code::NOT_FOUND, format!("{name} can't be read: {error}"))
        })?;
        suites.push(Suite::in_file(generation, &source));
    }
    Ok(suites)
}

fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == "rhai")
}

fn subject(suite: &Result<Suite, BrokenSuite>) -> &Key {
    match suite {
        Ok(suite) => &suite.subject,
        Err(broken) => &broken.subject,
    }
}

fn layer(suite: &Result<Suite, BrokenSuite>) -> Layer {
    match suite {
        Ok(suite) => suite.layer,
        Err(broken) => broken.layer,
    }
}

async fn run(app: &App, suite: &Suite, test: &str) -> Ran {
    let begun = Instant::now();
    let result = app.test(suite, test, Caller::default()).await;
    Ran {
        name: format!("{}  {test}", shown(&suite.subject)),
        seconds: begun.elapsed().as_secs_f64(),
        failure: result.err().map(|error| problem(&error, suite)),
    }
}

/// Why a test failed, at its place.
fn problem(error: &ScriptError, suite: &Suite) -> Diagnostic {
    let place = error.diagnostic().cloned();
    place.unwrap_or_else(|| Diagnostic::of_file(error.to_string(), suite.path.clone()))
}

fn shown(key: &Key) -> String {
    let folder = key.kind.folder();
    let folder = folder.strip_prefix("scripts/").unwrap_or(folder);
    format!("{folder}/{}", key.name)
}

impl Ran {
    fn broken(broken: BrokenSuite) -> Self {
        Self {
            name: shown(&broken.subject),
            seconds: 0.0,
            failure: Some(*broken.problem),
        }
    }

    fn tell(&self, json: bool) {
        if json {
            return;
        }
        let (word, colour) = match &self.failure {
            None => ("PASS", "\x1b[1;32m"),
            Some(_) => ("FAIL", "\x1b[1;31m"),
        };
        let (colour, end) = if report::result_colours() {
            (colour, "\x1b[0m")
        } else {
            ("", "")
        };
        let Self { name, seconds, .. } = self;
        report::line(format_args!(
            "        {colour}{word}{end} [{seconds:8.3}s] {name}"
        ));
        if let Some(failure) = &self.failure {
            report::line(format_args!(
                "\n{}\n",
                failure.render(report::result_colours())
            ));
        }
    }

    fn to_json(&self) -> Value {
        let (script, test) = self.name.split_once("  ").unwrap_or((&self.name, ""));
        json!({
            "script": script,
            "test": test,
            "passed": self.failure.is_none(),
            "seconds": self.seconds,
            "problem": self.failure.as_ref().map(Diagnostic::for_editors),
        })
    }
}

fn summary(ran: &[Ran], took: Duration, json: bool) -> Ended {
    let failed = ran.iter().filter(|one| one.failure.is_some()).count();
    let passed = ran.len() - failed;
    if json {
        let tests: Vec<Value> = ran.iter().map(Ran::to_json).collect();
        report::json(&json!({ "passed": passed, "failed": failed, "tests": tests }));
    } else {
        report::line(format_args!(
            "     Summary [{:8.3}s] {} run: {passed} passed, {failed} failed",
            took.as_secs_f64(),
            counted(ran.len(), "test"),
        ));
        let failures = ran.iter().filter(|one| one.failure.is_some());
        for one in failures {
            report::line(format_args!("        FAIL {}", one.name));
        }
    }
    if failed == 0 {
        Ended::Well
    } else {
        Ended::Failed
    }
}
