//! `mmf dev`: a script while it is written. Each save is checked, built, compared with the one before
//! and judged; a key runs it.
//!
//! ```text
//! followed   the script, by name or file, and the changes that concern it
//! session    what was last seen of it, and what was last good
//! told       what is shown of a save
//! running    its run, beside which saves go on being seen
//! ```

mod followed;
mod running;
mod session;
mod told;

use std::future::pending;

use self::followed::Followed;
use self::running::Running;
use self::session::{Looked, Session};
use super::args::{DevArgs, Global};
use super::facts::Facts;
use super::run_args::{at_data_dir, merged};
use super::script_options::{DevOptions, parse_for, parse_roughly};
use super::start::{Asked, interrupts};
use super::terminal::keys::{Keys, Lender};
use super::terminal::picture::Protocol;
use super::{Ended, Stopped, report, start};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::script::{Library, ScriptError};

/// What the keys do.
const HELP: &str = "r runs it, s draws a new seed, w shows the workflow, q ends";

pub(super) async fn dev(global: &Global, args: &DevArgs) -> Result<Ended, Stopped> {
    let (name, words) = match args.words.as_slice() {
        [first, words @ ..] if !first.starts_with('-') => (first, words),
        _ => {
            let failure = Failure::new(Code::INVALID_PARAMS, "which script is to be followed?");
            let hint = "write mmf dev NAME [--PARAMETER VALUE]...; `mmf script list` shows what \
                        there is";
            return Err(failure.hint(hint).into());
        }
    };
    let followed = Followed::called(name);
    let library = start::library(&at_data_dir(global, words))?;
    let (options, further) = understood(&followed, &library, words, &args.options)?;
    drop(library);
    let global = merged(global, &further);
    // From here on a save is taken up.
    let app = start::app_for_author(&global, &Config::load(&global.overrides())?).await?;
    let facts = match &options.nodes {
        Some(nodes) => Facts::choose(&global, Some(nodes)).await?,
        None => Facts::of_app(&app).await?,
    };
    let changes = followed.changes(app.library())?;
    let pictures = Protocol::detect();
    let keys = Keys::take();
    if keys.is_terminal() {
        report::note(HELP);
    }
    let session = Session::new(
        app.into(),
        facts,
        followed,
        words.to_vec(),
        args.options.clone(),
    );
    let mut dev = Dev {
        run: options.run,
        pictures,
        lender: keys.lender(),
        session,
        running: None,
    };
    dev.follow(changes, keys).await;
    dev.session.app().tidy().await;
    Ok(Ended::Well)
}

/// The options among the words, as far as they can be told while the script may be broken.
fn understood(
    followed: &Followed,
    library: &Library,
    words: &[String],
    before: &DevOptions,
) -> Result<(DevOptions, Global), Stopped> {
    match followed.find(library) {
        Ok(found) => {
            let parsed = parse_for("dev", &found.served.script, words, before)?;
            Ok((parsed.options, parsed.global))
        }
        Err(ScriptError::Broken(_)) => Ok(parse_roughly(words, before)),
        Err(error) => Err(Stopped::by_script(error)),
    }
}

/// A script that is followed.
struct Dev {
    session: Session,
    running: Option<Running>,
    /// Whether each good save is run.
    run: bool,
    pictures: Option<Protocol>,
    lender: Lender,
}

impl Dev {
    /// Until the user ends it, or the input does.
    async fn follow(&mut self, mut changes: followed::Changes, mut keys: Keys) {
        let mut asked = interrupts();
        self.look().await;
        let mut ends = false;
        while !(ends && self.running.is_none()) {
            tokio::select! {
                biased;
                () = ended(&mut self.running) => self.running = None,
                asked = asked.recv() => match asked {
                    Some(Asked::ToStop) if self.running.is_some() && !ends => self.stop().await,
                    _ => return self.stop().await,
                },
                Some(()) = changes.recv() => self.look().await,
                key = keys.next(), if !ends => match key {
                    Some('q') => return self.stop().await,
                    Some(key) => self.pressed(key).await,
                    // What runs comes to its end.
                    None => ends = true,
                },
            }
        }
    }

    async fn look(&mut self) {
        let aside = self.running.as_ref().map(Running::aside);
        let looked = self.session.look().await;
        drop(aside);
        if looked == Looked::Good && self.run {
            self.start().await;
        }
    }

    async fn pressed(&mut self, key: char) {
        let aside = self.running.as_ref().map(Running::aside);
        match key {
            'r' => {
                drop(aside);
                self.start().await;
            }
            's' => {
                let looked = self.session.draw_seed().await;
                drop(aside);
                if looked == Looked::Good && self.run {
                    self.start().await;
                }
            }
            'w' => self.session.show_workflow(),
            'h' | '?' => report::note(HELP),
            _ => {}
        }
    }

    /// Runs what was last good, in the place of what runs.
    async fn start(&mut self) {
        self.stop().await;
        let Some(good) = self.session.good() else {
            report::note("nothing to run: there was no good version yet");
            return;
        };
        let app = self.session.app().clone();
        let output = self.session.output();
        let running = Running::start(app, good, output, self.pictures, self.lender.clone());
        self.running = Some(running);
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.cancel().await;
        }
    }
}

/// Waits for a run to end, if there is one.
async fn ended(running: &mut Option<Running>) {
    match running {
        Some(running) => running.ended().await,
        None => pending().await,
    }
}
