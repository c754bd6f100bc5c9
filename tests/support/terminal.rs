//! A program that somebody sits before, and what it has shown so far: on a real terminal, which
//! `script` of util-linux lends, or with all that it says in one pipe.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::mmf::{Mmf, PATIENCE};

pub(crate) struct Terminal {
    child: Child,
    shown: String,
    /// How much of that was waited for already.
    seen: usize,
}

impl Terminal {
    /// `None` where there is no terminal to be had.
    pub(crate) fn start(program: Mmf) -> Option<Self> {
        Self::of_shell(program, |line| line)
    }

    /// The same with what the shell does afterwards, Ctrl-C or not, such as `stty -a`.
    pub(crate) fn start_and_then(program: Mmf, then: &str) -> Option<Self> {
        Self::of_shell(program, |line| format!("trap : INT; {line}; {then}"))
    }

    fn of_shell(program: Mmf, script: impl FnOnce(String) -> String) -> Option<Self> {
        let program = program.into_command();
        let words = words(&program);
        let line: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let script = script(line.join(" "));
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--flush", "--command"])
            .args([&script, "/dev/null"])
            .env("SHELL", "/bin/sh");
        match spawn(&program, command) {
            Ok(terminal) => Some(terminal),
            Err(error) => {
                eprintln!("skipped: no `script` to lend a terminal: {error}");
                None
            }
        }
    }

    /// Without a terminal.
    pub(crate) fn piped(program: Mmf) -> Self {
        let program = program.into_command();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
            .args(words(&program));
        spawn(&program, command).unwrap()
    }

    /// Reads on until this is shown, behind what was waited for before.
    pub(crate) async fn shows(&mut self, text: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let read = timeout(PATIENCE, stdout.read(&mut bytes)).await;
            let Ok(read) = read else {
                panic!("{text:?} is not shown:\n{}", self.shown);
            };
            let read = read.unwrap();
            assert!(read > 0, "{text:?} is never shown:\n{}", self.shown);
            self.shown += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    /// All that was shown so far.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) async fn types(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// Nothing more will be typed.
    pub(crate) fn types_no_more(&mut self) {
        self.child.stdin.take();
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Reads what is left and waits for the end.
    pub(crate) async fn ends_with(&mut self, code: i32) {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut rest = vec![];
        let read = timeout(PATIENCE, stdout.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "it does not end:\n{}", self.shown);
        self.shown += &String::from_utf8_lossy(&rest);
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.shown);
    }
}

/// A command as a shell is told it.
fn words(program: &Command) -> Vec<String> {
    let program = program.as_std();
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    words
        .map(|word| word.to_str().unwrap().to_owned())
        .collect()
}

/// Starts `command` where and with what `program` is to be started.
fn spawn(program: &Command, mut command: Command) -> std::io::Result<Terminal> {
    let program = program.as_std();
    command
        .current_dir(program.get_current_dir().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ok(Terminal {
        child: command.spawn()?,
        shown: String::new(),
        seen: 0,
    })
}
