//! `mmf repl`: scripting tried out, an input after the other.
//!
//! ```text
//! lines      the inputs: from a terminal with an editor, or from a pipe
//! brackets   whether an input goes on
//! complete   what a beginning may be completed to; world: the names that there are
//! history    what was typed before
//! shown      what an input came to
//! ```

mod brackets;
mod complete;
mod history;
mod lines;
mod shown;
mod world;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedReceiver;

use self::lines::{Line, Lines};
use self::world::World;
use super::args::Global;
use super::facts::Facts;
use super::progress::Display;
use super::start::{Asked, interrupts};
use super::{Ended, Stopped, ask, report, start};
use crate::app::App;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::script::repl::{Made, Repl, documented};
use crate::script::{Caller, ScriptError};

/// Exit code of a command that the user interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

const HELP: &str = "\
Type an expression or statements; variables, functions and imports stay.
  let g = templates::build(\"sd3_txt2img\", #{ PROMPT: \"a red fox\" });
  comfy::run(g)
An input goes on while a bracket is open. Tab completes, Ctrl-C cancels what runs.
  :type EXPRESSION   what kind of value it gives
  :doc NAME          a function, or all of a namespace: signature and what it does
  :load FILE         the functions, constants and imports of a script
  :help, :quit";

/// The words that are no scripting.
pub(super) const COMMANDS: [&str; 5] = [":doc", ":help", ":load", ":quit", ":type"];

pub(super) async fn repl(global: &Global) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let app = start::app_for_author(global, &config).await?;
    let facts = Facts::of_app(&app).await?;
    let asked = interrupts();
    let mut session = Session {
        world: Arc::new(World::new(app.library().clone(), facts.nodes.clone())),
        repl: Arc::default(),
        app,
        asked,
        failed: false,
    };
    let mut lines = Lines::open(&config.data_dir, &session.world)?;
    let is_terminal = lines.is_terminal();
    if is_terminal {
        let server = &facts.origin;
        report::note(format_args!(
            "on {server}; :help tells what there is, :quit ends"
        ));
    }
    session.converse(&mut lines).await;
    session.app.tidy().await;
    Ok(if session.failed && !is_terminal {
        Ended::Invalid
    } else {
        Ended::Well
    })
}

struct Session {
    app: App,
    repl: Arc<Mutex<Repl>>,
    world: Arc<World>,
    asked: UnboundedReceiver<Asked>,
    /// Whether any input failed.
    failed: bool,
}

impl Session {
    async fn converse(&mut self, lines: &mut Lines) {
        loop {
            let names = {
                let repl = self.repl.lock().unwrap_or_else(PoisonError::into_inner);
                repl.names(&self.app.library().generation())
            };
            self.world.set_names(names);
            let line = tokio::select! {
                line = lines.next() => line,
                // At the editor, Ctrl-C is a key; this is a pipe's end or a process manager.
                _ = self.asked.recv() => return,
            };
            let input = match line {
                Line::Input(input) => input,
                Line::Cancelled => continue,
                Line::End => return,
            };
            let input = input.trim();
            if matches!(input, ":quit" | ":q") {
                return;
            }
            if let Err(stopped) = self.answer(input).await {
                self.failed = true;
                tell(stopped);
            }
        }
    }

    async fn answer(&mut self, input: &str) -> Result<(), Stopped> {
        let Some(command) = input.strip_prefix(':') else {
            if !input.is_empty() {
                let made = self.evaluate(input, None).await?;
                shown::show(&self.app, &made);
            }
            return Ok(());
        };
        let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        match command {
            "help" | "h" => report::line(HELP),
            "type" => {
                let made = self.evaluate(rest, None).await?;
                report::line(made.ty);
            }
            "doc" => document(rest)?,
            "load" => self.load(Path::new(rest)).await?,
            _ => {
                let message = format!("there is no :{command}");
                let failure = Failure::new(Code::INVALID_PARAMS, message);
                return Err(failure.hint(COMMANDS.join(", ")).into());
            }
        }
        Ok(())
    }

    async fn load(&mut self, file: &Path) -> Result<(), Stopped> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("{} can't be read: {error}", file.display());
            Failure::new(Code::NOT_FOUND, message).hint(":load takes the path of a script")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        self.evaluate(text, Some(file)).await?;
        report::note(format_args!("loaded {}", file.display()));
        Ok(())
    }

    /// Evaluates an input; Ctrl-C cancels it, and pressed again ends all.
    async fn evaluate(&mut self, text: &str, file: Option<&Path>) -> Result<Made, Stopped> {
        let display = Display::start();
        let caller = Caller {
            progress: display.sink(),
            conversation: ask::someone(&display),
            ..Caller::default()
        };
        let cancel = caller.cancel.clone();
        // What was asked for before concerns what was before.
        while self.asked.try_recv().is_ok() {}
        let evaluating = self.app.evaluate(self.repl.clone(), text, file, caller);
        tokio::pin!(evaluating);
        let made = loop {
            tokio::select! {
                made = &mut evaluating => break made,
                Some(_) = self.asked.recv() => {
                    if cancel.is_cancelled() {
                        std::process::exit(INTERRUPTED);
                    }
                    cancel.cancel();
                }
            }
        };
        display.finish();
        made.map_err(|error| match error {
            ScriptError::Cancelled => Failure::new(Code::CANCELLED, "cancelled").into(),
            error => Stopped::by_script(error),
        })
    }
}

fn tell(stopped: Stopped) {
    match stopped {
        Stopped::Usage(error) => drop(report::usage(&error)),
        Stopped::Failed(failure, at) => drop(report::failed(&failure, at.as_deref())),
        Stopped::Reported(_) => {}
    }
}

fn document(name: &str) -> Result<(), Failure> {
    let found = documented(name);
    if found.is_empty() {
        let message = format!("nothing is written about \"{name}\"");
        let hint = ":doc takes a function or a namespace, such as comfy::run or comfy";
        return Err(Failure::new(Code::NOT_FOUND, message).hint(hint));
    }
    for (signature, about) in found {
        report::line(signature);
        if !about.is_empty() {
            report::line(format_args!("    {about}"));
        }
    }
    Ok(())
}
