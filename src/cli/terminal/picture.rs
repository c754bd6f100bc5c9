//! Pictures on a terminal that can show them: by the protocol of kitty, by that of iTerm2, or as
//! sixels. Which one it speaks follows from the environment, or else from what it answers.

use std::env;
use std::fmt::Write as _;
use std::io::{Cursor, IsTerminal, stdin, stdout};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat, ImageResult};

use super::sixel::sixels;
use crate::cli::report;

/// What kitty takes of a picture at once, in characters.
const PIECE: usize = 4096;

/// How a terminal is sent a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Protocol {
    /// That of kitty, which Ghostty and Konsole speak, too.
    Kitty,
    /// That of iTerm2, which `WezTerm` and mintty speak, too.
    Iterm,
    /// Sixels: xterm, foot, Windows Terminal, tmux and others.
    Sixel,
}

impl Protocol {
    /// What the terminal at stdout speaks, if it is one that shows pictures. Has to be asked before
    /// keys are listened for, for the terminal answers as if it typed.
    pub(in crate::cli) fn detect() -> Option<Self> {
        if !stdout().is_terminal() {
            return None;
        }
        let told = Self::by_environment(|name| env::var(name).ok());
        told.or_else(|| stdin().is_terminal().then(Self::by_answer).flatten())
    }

    /// A terminal within another one passes on the variables of that, but not its pictures.
    fn by_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let is = |name: &str, values: &[&str]| {
            let value = variable(name).unwrap_or_default();
            values.iter().any(|one| value.contains(one))
        };
        if variable("TMUX").is_some() || is("TERM", &["tmux", "screen"]) {
            return None;
        }
        if is("TERM", &["kitty", "ghostty"])
            || is("TERM_PROGRAM", &["ghostty"])
            || variable("KITTY_WINDOW_ID").is_some()
            || variable("KONSOLE_VERSION").is_some()
        {
            return Some(Self::Kitty);
        }
        let speaks = ["iTerm", "WezTerm", "mintty"];
        (is("TERM_PROGRAM", &speaks) || is("LC_TERMINAL", &["iTerm2"])).then_some(Self::Iterm)
    }

    #[cfg(not(unix))]
    fn by_answer() -> Option<Self> {
        None
    }

    /// Asks for a picture of kitty's of one pixel, and then what kind of terminal it is, which all
    /// of them answer.
    #[cfg(unix)]
    fn by_answer() -> Option<Self> {
        use std::time::{Duration, Instant};

        use super::modes::{Modes, is_typed, typed};

        const PATIENCE: Duration = Duration::from_millis(300);

        let _modes = Modes::take()?;
        report::raw("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c");
        let deadline = Instant::now() + PATIENCE;
        let mut answer = String::new();
        while !is_whole(&answer) {
            let left = deadline.checked_duration_since(Instant::now())?;
            if !is_typed(left) {
                return None;
            }
            let more = typed();
            if more.is_empty() {
                return None;
            }
            answer += &String::from_utf8_lossy(&more);
        }
        Self::answered(&answer)
    }

    fn answered(answer: &str) -> Option<Self> {
        if answer.contains("_Gi=31;OK") {
            return Some(Self::Kitty);
        }
        let (_, attributes) = answer.split_once("\x1b[?")?;
        let attributes = attributes.trim_end_matches('c');
        let mut attributes = attributes.split(';').skip(1);
        attributes.any(|one| one == "4").then_some(Self::Sixel)
    }

    /// Shows a small picture, as a file of any format.
    pub(in crate::cli) fn show(self, file: &[u8]) {
        match image::load_from_memory(file).and_then(|picture| self.encode(&picture)) {
            Ok(text) => report::raw(&format!("{text}\n")),
            Err(error) => tracing::debug!(%error, "the picture can't be shown"),
        }
    }

    fn encode(self, picture: &DynamicImage) -> ImageResult<String> {
        match self {
            Self::Kitty => Ok(kitty(&png(picture)?)),
            Self::Iterm => Ok(iterm(&png(picture)?)),
            Self::Sixel => Ok(sixels(&picture.to_rgb8())),
        }
    }
}

/// Whether the terminal has said what it is.
fn is_whole(answer: &str) -> bool {
    let attributes = answer.split_once("\x1b[?");
    attributes.is_some_and(|(_, attributes)| attributes.contains('c'))
}

fn png(picture: &DynamicImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(vec![]);
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// `a=T`: shown at once; `f=100`: a PNG; `q=2`: without an answer; `m`: whether more follows.
fn kitty(png: &[u8]) -> String {
    let encoded = STANDARD.encode(png);
    let pieces = encoded.len().div_ceil(PIECE);
    let mut text = String::new();
    for nth in 0..pieces {
        let piece = &encoded[nth * PIECE..encoded.len().min((nth + 1) * PIECE)];
        let head = if nth == 0 { "a=T,f=100,q=2," } else { "" };
        let more = u8::from(nth + 1 < pieces);
        let _ = write!(text, "\x1b_G{head}m={more};{piece}\x1b\\");
    }
    text
}

fn iterm(png: &[u8]) -> String {
    let (size, encoded) = (png.len(), STANDARD.encode(png));
    format!("\x1b]1337;File=inline=1;preserveAspectRatio=1;size={size}:{encoded}\x07")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)]) -> Option<Protocol> {
        Protocol::by_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_terminal_is_known_by_what_it_calls_itself() {
        assert_eq!(by(&[("TERM", "xterm-kitty")]), Some(Protocol::Kitty));
        assert_eq!(by(&[("TERM", "xterm-ghostty")]), Some(Protocol::Kitty));
        assert_eq!(by(&[("KONSOLE_VERSION", "240802")]), Some(Protocol::Kitty));
        assert_eq!(by(&[("TERM_PROGRAM", "iTerm.app")]), Some(Protocol::Iterm));
        assert_eq!(by(&[("LC_TERMINAL", "iTerm2")]), Some(Protocol::Iterm));
        assert_eq!(by(&[("TERM", "xterm-256color")]), None);
        let within = [("TERM", "tmux-256color"), ("TERM_PROGRAM", "WezTerm")];
        assert_eq!(by(&within), None);
    }

    #[test]
    fn a_terminal_is_known_by_what_it_answers() {
        let kitty = "\x1b_Gi=31;OK\x1b\\\x1b[?62;c";
        assert!(is_whole(kitty) && !is_whole("\x1b_Gi=31;OK\x1b\\"));
        assert_eq!(Protocol::answered(kitty), Some(Protocol::Kitty));
        assert_eq!(
            Protocol::answered("\x1b[?63;1;4;22c"),
            Some(Protocol::Sixel)
        );
        assert_eq!(Protocol::answered("\x1b[?4;24;22c"), None);
        assert_eq!(Protocol::answered("\x1b[?1;2c"), None);
    }

    #[test]
    fn a_large_picture_goes_to_kitty_in_pieces_that_make_up_the_whole() {
        let file: Vec<u8> = (0..10_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let text = kitty(&file);
        let pieces: Vec<&str> = text.split("\x1b\\").filter(|it| !it.is_empty()).collect();
        assert!(pieces[0].starts_with("\x1b_Ga=T,f=100,q=2,m=1;"), "{text}");
        assert!(pieces.last().unwrap().starts_with("\x1b_Gm=0;"));
        let encoded = pieces.iter().map(|piece| piece.split_once(';').unwrap().1);
        let whole = STANDARD.decode(encoded.collect::<String>()).unwrap();
        assert_eq!(whole, file);
    }
}
