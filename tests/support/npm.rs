//! MCP clients from npm, if `MMF_NPM` names the folder that `tests/npm/setup.py` made.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Output;

use tokio::process::Command;
use tokio::time::timeout;

use super::mmf::PATIENCE;

/// The installed packages.
pub(crate) struct Npm(PathBuf);

impl Npm {
    /// The packages, or nothing and a word on stderr that `test` is skipped.
    pub(crate) fn installed(test: &str) -> Option<Self> {
        let found = std::env::var_os("MMF_NPM").map(|dir| Self(dir.into()));
        if found.is_none() {
            eprintln!(
                "{test}: skipped, set MMF_NPM to what tests/npm/setup.py prints to run it with clients from npm"
            );
        }
        found
    }

    /// Runs a script of a package of the protocol's own, in the folder `dir`, to its end.
    pub(crate) async fn run(
        &self,
        script: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Output {
        let packages = self.0.join("node_modules/@modelcontextprotocol");
        let run = Command::new(self.0.join("venv/bin/node"))
            .arg(packages.join(script))
            .args(args)
            .current_dir(&self.0)
            .kill_on_drop(true)
            .output();
        timeout(PATIENCE, run).await.expect("it ends").unwrap()
    }
}
