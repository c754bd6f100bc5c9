//! The inputs: from a terminal, with an editor, or from a pipe.

use std::borrow::Cow;
use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;
use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::io::{AsyncBufReadExt as _, BufReader, Stdin};

use super::brackets::is_open;
use super::complete::complete;
use super::history::History;
use super::world::World;
use crate::cli::report;
use crate::failure::{Code, Failure};

const PROMPT: &str = "mmf> ";

/// What comes next.
pub(super) enum Line {
    /// A whole input.
    Input(String),
    /// What was being typed was thrown away.
    Cancelled,
    /// There is no more.
    End,
}

type OwnEditor = Editor<Help, DefaultHistory>;

/// Where inputs come from.
pub(super) enum Lines {
    /// None while it is being typed in.
    Terminal(Option<Box<OwnEditor>>, History),
    Pipe(tokio::io::Lines<BufReader<Stdin>>),
}

impl Lines {
    pub(super) fn open(data_dir: &Path, world: &Arc<World>) -> Result<Self, Failure> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Ok(Self::Pipe(BufReader::new(tokio::io::stdin()).lines()));
        }
        let broken = |error: ReadlineError| {
            Failure::new(Code::INTERNAL_ERROR, format!("no line editor: {error}"))
        };
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .auto_add_history(false)
            .build();
        let mut editor = OwnEditor::with_config(config).map_err(broken)?;
        editor.set_helper(Some(Help(world.clone())));
        let (history, inputs) = History::open(data_dir);
        for input in inputs {
            editor.add_history_entry(input).map_err(broken)?;
        }
        Ok(Self::Terminal(Some(Box::new(editor)), history))
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(..))
    }

    pub(super) async fn next(&mut self) -> Line {
        match self {
            Self::Terminal(editor, history) => typed(editor, history).await,
            Self::Pipe(lines) => piped(lines).await,
        }
    }
}

/// Reading a line can't be broken off, so it is done beside the rest.
async fn typed(editor: &mut Option<Box<OwnEditor>>, history: &History) -> Line {
    let Some(mut lent) = editor.take() else {
        return Line::End;
    };
    let reading = tokio::task::spawn_blocking(move || {
        let line = lent.readline(PROMPT);
        (lent, line)
    });
    let Ok((lent, line)) = reading.await else {
        return Line::End;
    };
    let back = editor.insert(lent);
    match line {
        Ok(input) => {
            if !input.trim().is_empty() && back.add_history_entry(&input).unwrap_or(false) {
                history.add(&input);
            }
            Line::Input(input)
        }
        Err(ReadlineError::Interrupted) => Line::Cancelled,
        Err(ReadlineError::Eof) => Line::End,
        Err(error) => {
            report::note(format_args!("error: no more lines: {error}"));
            Line::End
        }
    }
}

async fn piped(lines: &mut tokio::io::Lines<BufReader<Stdin>>) -> Line {
    let mut input = String::new();
    loop {
        let Ok(Some(line)) = lines.next_line().await else {
            break;
        };
        input += &line;
        if !is_open(&input) {
            return Line::Input(input);
        }
        input.push('\n');
    }
    if input.is_empty() {
        Line::End
    } else {
        // The parser says what is missing.
        Line::Input(input)
    }
}

/// What helps while a line is typed.
pub(super) struct Help(Arc<World>);

impl Helper for Help {}

impl Hinter for Help {
    type Hint = String;
}

impl Highlighter for Help {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        if report::coloured() {
            Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m"))
        } else {
            Cow::Borrowed(prompt)
        }
    }
}

impl Validator for Help {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_open(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Completer for Help {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&line[..at], &*self.0))
    }
}
