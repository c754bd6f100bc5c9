//! Tests that need processes of their own: the test binary is started again with one test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Names the folder in which a started process works.
pub(crate) const DIR: &str = "MMF_TEST_DIR";

/// Names a started process, so that several can be told apart.
pub(crate) const NAME: &str = "MMF_TEST_NAME";

/// What stands before what a started process reports, since the test harness prints as well.
const MARK: &str = "reported ";

/// The test binary, running the one test `test` in a process of its own. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(test: &str, dir: &Path, name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                test,
                "--exact",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIR, dir)
            .env(NAME, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// The next thing the process reports; `None` when it has ended.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if let Some((_, report)) = line.split_once(MARK) {
                // A line cut short by the kill was not reported.
                return report.strip_suffix('\n').map(str::to_owned);
            }
            line.clear();
        }
        None
    }

    /// Kills the process as hard as the system can, and returns all that it had reported.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.rest()
    }

    /// Everything else it reports until it ends.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Tells the test that started this process.
pub(crate) fn report(what: &str) {
    println!("{MARK}{what}");
}

/// The folder and the name given by [`Process::start`]; `None` when a person runs all the ignored
/// tests, to which those that only other tests start have nothing to say.
pub(crate) fn given() -> Option<(PathBuf, String)> {
    let dir = std::env::var_os(DIR)?;
    Some((dir.into(), std::env::var(NAME).unwrap()))
}
