//! What every command begins with.

use std::io::IsTerminal;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use super::args::{Command, Global};
use super::report;
use crate::app::{App, AppOptions};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::script::{Caller, Library};
use crate::sim::{Faults, SimOptions, remove_own_folders};

/// More workers than this only cost memory: the work is waiting, and scripts have threads of
/// their own.
const MAX_WORKERS: usize = 4;

/// Exit code of a command that the user interrupted, as shells have it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Sends the log to stderr. `MMF_LOG` overrules the command line.
pub(super) fn logging(verbose: u8, command: &Command) {
    let default = match verbose {
        // It shows what is wrong with the script in its own way.
        0 if matches!(command, Command::Dev(_)) => {
            "warn,script=info,massmediafactory::script::library=off"
        }
        0 => "warn,script=info",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("MMF_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where stderr is closed there is nobody to tell that it is.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, MAX_WORKERS))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::INTERNAL_ERROR, format!("no threads: {error}")))
}

/// The scripts alone, for finding out what the rest of a command line means.
pub(super) fn library(global: &Global) -> Result<Library, Failure> {
    let config = Config::load(&global.overrides())?;
    Ok(Library::load(config.script_roots()).within(config.limits))
}

/// The app as the command line asks for it.
pub(super) async fn app(global: &Global, serves: bool) -> Result<App, Failure> {
    app_of(global, &Config::load(&global.overrides())?, serves).await
}

/// The app of a configuration that was loaded already; one that serves stays for others.
pub(super) async fn app_of(global: &Global, config: &Config, serves: bool) -> Result<App, Failure> {
    let options = AppOptions {
        watch: serves,
        upkeep: serves,
        ..AppOptions::default()
    };
    app_with(global, config, options).await
}

/// The same for whoever writes scripts: their changes are taken up.
pub(super) async fn app_for_author(global: &Global, config: &Config) -> Result<App, Failure> {
    let options = AppOptions {
        watch: true,
        ..AppOptions::default()
    };
    app_with(global, config, options).await
}

async fn app_with(
    global: &Global,
    config: &Config,
    mut options: AppOptions,
) -> Result<App, Failure> {
    let withheld = config.withheld.iter().filter(|_| !global.sim);
    for said in withheld.chain(&config.ignored) {
        tracing::warn!("{said}");
    }
    options.simulate = global.sim.then(|| simulator(global));
    App::start(config, options).await
}

/// The simulator as the command line asks for it.
pub(super) fn simulator(global: &Global) -> SimOptions {
    SimOptions {
        faults: Faults::new(global.faults.clone()),
        ..SimOptions::default()
    }
}

/// Cancels a caller's script, and with it the script's job, when the user presses Ctrl-C. Whoever
/// presses it again doesn't want to wait for that.
pub(super) fn cancel_on_interrupt(caller: &Caller) {
    let cancel = caller.cancel.clone();
    let asked = asked_to_end();
    tokio::spawn(async move {
        if !asked.await {
            return;
        }
        // Listened for before the user is told that it can be pressed.
        let again = async {
            if tokio::signal::ctrl_c().await.is_ok() {
                remove_own_folders();
                std::process::exit(INTERRUPTED);
            }
        };
        let cancelling = async {
            report::note("cancelling ... (Ctrl-C again to leave at once)");
            cancel.cancel();
        };
        tokio::join!(biased; again, cancelling);
    });
}

/// What the user or a process manager asks of a command that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Ctrl-C: to leave what goes on.
    ToStop,
    /// SIGTERM: to end.
    ToEnd,
}

/// Tells each time that it is asked for something; from then on Ctrl-C ends nothing by itself.
pub(super) fn interrupts() -> mpsc::UnboundedReceiver<Asked> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(tell_interrupts(sender));
    receiver
}

#[cfg(unix)]
async fn tell_interrupts(sender: mpsc::UnboundedSender<Asked>) {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    loop {
        let asked = tokio::select! {
            _ = interrupt.recv() => Asked::ToStop,
            _ = terminate.recv() => Asked::ToEnd,
        };
        if sender.send(asked).is_err() {
            return;
        }
    }
}

#[cfg(not(unix))]
async fn tell_interrupts(sender: mpsc::UnboundedSender<Asked>) {
    while tokio::signal::ctrl_c().await.is_ok() && sender.send(Asked::ToStop).is_ok() {}
}

/// Waits for Ctrl-C or, as process managers send it, SIGTERM; false where signals can't be heard.
/// Listens from the call on, not only once it is waited for.
#[cfg(unix)]
pub(super) fn asked_to_end() -> impl Future<Output = bool> {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return false;
        };
        tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        }
    }
}

/// Waits for Ctrl-C; false where signals can't be heard.
#[cfg(not(unix))]
pub(super) async fn asked_to_end() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
