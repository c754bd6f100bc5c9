//! What a terminal can do beside lines: single keys, and pictures.
//!
//! ```text
//! keys      which keys are pressed
//! modes     the terminal without its line editing, and back (Unix)
//! picture   pictures in the protocols of kitty and iTerm2, and as sixels
//! sixel     the last of them, written out
//! ```

pub(super) mod keys;
#[cfg(unix)]
mod modes;
pub(super) mod picture;
mod sixel;
