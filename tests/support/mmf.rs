//! The program under test, started as a person, a shell script or an agent starts it.
//!
//! Every test has a [`Home`] of its own: a project folder to stand in and a data folder. Nothing
//! of the machine's own configuration reaches the program.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use massmediafactory::sim::{Fault, Faults, Sim, SimOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The address of a server that is not there: port 1 of this machine.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";

/// The program: the one that `MMF_BIN` names (a release build, say), or the one cargo built
/// beside these tests.
pub(crate) fn binary() -> OsString {
    std::env::var_os("MMF_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_mmf").into())
}

/// Folders for one test: a project and the program's data. Removed when dropped.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("mmf-home-").tempdir();
        let home = Self { dir: dir.unwrap() };
        std::fs::create_dir(home.project()).unwrap();
        home
    }

    /// The folder in which the program is started.
    pub(crate) fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// The folder of assets and of the user's own scripts.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a file of the project, with the folders above it.
    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.project().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the user's own settings.
    pub(crate) fn settings(&self, text: &str) {
        let folder = self.dir.path().join(".config/massmediafactory");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// The program with arguments. Until told otherwise it looks for ComfyUI where none is.
    pub(crate) fn mmf<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Mmf {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.project());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["COMFY", "MMF_", "XDG_"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                command.env_remove(&*name);
            }
        }
        command
            .env_remove("COLUMNS")
            .env("HOME", self.dir.path())
            .env("MMF_DATA_DIR", self.data())
            .env("COMFYUI_URL", NOWHERE)
            .kill_on_drop(true);
        Mmf { command }
    }
}

/// A call of the program that is being put together.
pub(crate) struct Mmf {
    command: Command,
}

impl Mmf {
    /// Points it at a server.
    pub(crate) fn server(mut self, url: &str) -> Self {
        self.command.env("COMFYUI_URL", url);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The command, for those who start it their own way.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Starts it, with all three streams as pipes.
    pub(crate) fn spawn(mut self) -> Child {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.command.spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) async fn run(mut self) -> Ran {
        self.command.stdin(Stdio::null());
        Ran::of(
            timeout(PATIENCE, self.command.output())
                .await
                .expect("it ends")
                .unwrap(),
        )
    }
}

impl From<Command> for Mmf {
    fn from(command: Command) -> Self {
        Self { command }
    }
}

/// What a finished call left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Waits for the end of a started call.
    pub(crate) async fn end(child: Child) -> Self {
        Self::of(
            timeout(PATIENCE, child.wait_with_output())
                .await
                .expect("it ends")
                .unwrap(),
        )
    }

    /// Passes on only what ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The result: all of stdout is one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "stdout is not JSON: {error}\n{}\n{}",
                self.stdout, self.stderr
            )
        })
    }
}

/// A simulated ComfyUI on which these things go wrong, with steps that take no time.
pub(crate) async fn sim(faults: &[&str]) -> Sim {
    sim_with_steps(Duration::ZERO, faults).await
}

/// A simulated ComfyUI whose sampling steps take this long.
pub(crate) async fn sim_with_steps(step_delay: Duration, faults: &[&str]) -> Sim {
    let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let options = SimOptions {
        step_delay,
        faults: Faults::new(faults),
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}
