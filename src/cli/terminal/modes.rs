//! A terminal that gives each key at once and shows none of them.
//!
//! Lines go out as ever and Ctrl-C stays a signal: only the editing of lines is off. So all else
//! that writes and listens need not know of it.

use std::io::stdin;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal at stdin. What it was before comes back when this is dropped.
#[derive(Debug)]
pub(super) struct Modes {
    before: Termios,
}

impl Modes {
    /// `None` where stdin is no terminal.
    pub(super) fn take() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let modes = Self { before };
        modes.keys();
        Some(modes)
    }

    /// Each key at once.
    pub(super) fn keys(&self) {
        let mut modes = self.before.clone();
        modes
            .local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        set(&modes);
    }

    /// Lines, as it was before.
    pub(super) fn lines(&self) {
        set(&self.before);
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.lines();
    }
}

fn set(modes: &Termios) {
    // A terminal that is gone needs no modes.
    let _ = tcsetattr(stdin(), OptionalActions::Now, modes);
}

/// Waits so long for something to be typed; says whether it was.
pub(super) fn is_typed(wait: Duration) -> bool {
    let stdin = stdin();
    let mut stdin = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec::try_from(wait).ok();
    poll(&mut stdin, wait.as_ref()).is_ok_and(|ready| ready > 0)
}

/// What was typed, past the buffer that others read lines from; nothing at the end.
pub(super) fn typed() -> Vec<u8> {
    let mut bytes = [0; 256];
    let read = rustix::io::read(stdin(), &mut bytes).unwrap_or_default();
    bytes[..read].to_vec()
}
