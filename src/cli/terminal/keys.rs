//! Which keys are pressed. Without a terminal there are none, only the end of the input; where the
//! system's terminal gives lines alone, their first letters count.

use std::io::{IsTerminal, Read as _, stderr, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
#[cfg(unix)]
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[cfg(unix)]
use super::modes::{self, Modes};

/// How often it is looked whether the keys are someone else's for a while.
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(100);

/// The keys of the terminal until it is dropped.
pub(in crate::cli) struct Keys {
    pressed: UnboundedReceiver<char>,
    shared: Arc<Shared>,
}

struct Shared {
    is_terminal: bool,
    paused: AtomicBool,
    #[cfg(unix)]
    modes: Option<Modes>,
}

impl Keys {
    /// Takes the terminal over.
    pub(in crate::cli) fn take() -> Self {
        let is_terminal = stdin().is_terminal() && stderr().is_terminal();
        let shared = Arc::new(Shared {
            is_terminal,
            paused: AtomicBool::new(false),
            #[cfg(unix)]
            modes: is_terminal.then(Modes::take).flatten(),
        });
        let (sender, pressed) = unbounded_channel();
        let listening = shared.clone();
        let listen = move || listening.listen(&sender);
        // Nobody waits for it: a read of stdin can't be broken off.
        if let Err(error) = thread::Builder::new().name("mmf-keys".into()).spawn(listen) {
            tracing::warn!("keys are not heard: {error}");
        }
        Self { pressed, shared }
    }

    /// Whether there is somebody to press them.
    pub(in crate::cli) fn is_terminal(&self) -> bool {
        self.shared.is_terminal
    }

    /// The next key; `None` at the end of the input.
    pub(in crate::cli) async fn next(&mut self) -> Option<char> {
        self.pressed.recv().await
    }

    /// For those who need the terminal's lines for a while.
    pub(in crate::cli) fn lender(&self) -> Lender {
        Lender(self.shared.clone())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // The listener may sit in a read with its share of it.
        self.shared.lines();
    }
}

/// Lends the terminal out.
#[derive(Clone)]
pub(in crate::cli) struct Lender(Arc<Shared>);

impl Lender {
    /// Lines are read until the result is dropped, and keys are not heard.
    pub(in crate::cli) fn lend(&self) -> Lent {
        self.0.paused.store(true, Ordering::SeqCst);
        self.0.lines();
        Lent(self.0.clone())
    }
}

/// While it is held, no key is heard.
pub(in crate::cli) struct Lent(Arc<Shared>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.keys();
        self.0.paused.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    #[cfg(unix)]
    fn listen(&self, sender: &UnboundedSender<char>) {
        if self.modes.is_none() {
            return self.listen_to_lines(sender);
        }
        while !sender.is_closed() {
            if self.paused.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
                continue;
            }
            if !modes::is_typed(LOOK) {
                continue;
            }
            let typed = modes::typed();
            if typed.is_empty() {
                return;
            }
            for key in String::from_utf8_lossy(&typed).chars() {
                // Nobody listens any more when the command is over.
                let _ = sender.send(key);
            }
        }
    }

    #[cfg(not(unix))]
    fn listen(&self, sender: &UnboundedSender<char>) {
        self.listen_to_lines(sender);
    }

    /// Until the end of the input.
    fn listen_to_lines(&self, sender: &UnboundedSender<char>) {
        let mut line = String::new();
        while self.is_terminal && stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(key) = line.chars().next() {
                let _ = sender.send(key);
            }
            line.clear();
        }
        let mut rest = [0; 1024];
        while !self.is_terminal && stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
    }

    fn keys(&self) {
        #[cfg(unix)]
        self.modes.iter().for_each(Modes::keys);
    }

    fn lines(&self) {
        #[cfg(unix)]
        self.modes.iter().for_each(Modes::lines);
    }
}
