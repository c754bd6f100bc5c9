//! A real `ComfyUI` on the CPU, with tiny random models, for the tests that must not believe a
//! simulator.
//!
//! It runs when `MMF_REAL_COMFYUI=1`; otherwise [`Rig::start`] and [`Rig::shared`] say on stderr
//! that the test is skipped and give `None`. The first run on a machine installs it (see
//! `tests/rig/setup.py`), which takes minutes; from then on a server is up in some 10 seconds.
//!
//! Every server has a base folder of its own and ends with the test process, even with one that
//! is killed: its standard input is the leash (see `tests/rig/server.py`).

use std::ffi::OsStr;
#[cfg(not(unix))]
use std::fs::copy as link;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
#[cfg(unix)]
use std::os::unix::fs::symlink as link;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// Set to `1` to run the tests that need a real `ComfyUI`.
pub(crate) const SWITCH: &str = "MMF_REAL_COMFYUI";

/// The models every rig has, by the names the loader nodes know them under.
pub(crate) mod models {
    /// For `CheckpointLoaderSimple`: model, text encoder and autoencoder in one.
    pub(crate) const CHECKPOINT: &str = "sd3_checkpoint_tiny.safetensors";
    /// For `UNETLoader`.
    pub(crate) const DIFFUSION_MODEL: &str = "sd3_tiny.safetensors";
    /// For `CLIPLoader` with type `sd3`.
    pub(crate) const TEXT_ENCODER: &str = "clip_l_tiny.safetensors";
    /// For `VAELoader`, a file in `models/vae`. The approximation `taesd3` is there as well.
    pub(crate) const VAE: &str = "sd3_vae_tiny.safetensors";
    /// For `LoraLoader`.
    pub(crate) const LORA: &str = "style_tiny.safetensors";
}

/// The number of trailing log lines shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

static SHARED: OnceCell<Option<Rig>> = OnceCell::const_new();

/// One running server with its base folder.
#[derive(Debug)]
pub(crate) struct Rig {
    setup: Setup,
    options: Vec<String>,
    base: TempDir,
    server: Server,
}

/// What `setup.py` answers: where the installed parts are.
#[derive(Clone, Debug, Deserialize)]
struct Setup {
    python: PathBuf,
    comfyui: PathBuf,
    models: PathBuf,
}

/// The process; killed when dropped.
#[derive(Debug)]
struct Server {
    process: Child,
    url: String,
}

impl Rig {
    /// Starts a server for one test alone: one that kills it, restarts it, or empties its queue.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with more `ComfyUI` options, such as `--cache-none`.
    pub(crate) async fn start_with(options: &[&str]) -> Option<Self> {
        if !is_wanted() {
            return None;
        }
        let options = options.iter().map(ToString::to_string).collect();
        let started = spawn_blocking(|| start_blocking(options)).await;
        match started.unwrap_or_else(|died| Err(died.to_string())) {
            Ok(rig) => Some(rig),
            Err(reason) => panic!("no real ComfyUI: {reason}"),
        }
    }

    /// The server that all tests of this process share, started by the first that asks. Others'
    /// prompts are in its queue and history too.
    pub(crate) async fn shared() -> Option<&'static Self> {
        SHARED.get_or_init(Self::start).await.as_ref()
    }

    /// What a script beside this file, run in ComfyUI's own Python, answers to a question: JSON in,
    /// JSON out. No server is needed for it.
    pub(crate) async fn ask(script: &'static str, question: Value) -> Option<Value> {
        if !is_wanted() {
            return None;
        }
        let asked = spawn_blocking(move || ask_blocking(script, &question)).await;
        match asked.unwrap_or_else(|died| Err(died.to_string())) {
            Ok(answer) => Some(answer),
            Err(reason) => panic!("{script} does not answer: {reason}"),
        }
    }

    /// The address, such as `http://127.0.0.1:41234`.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// The folder that `SaveImage` writes to.
    pub(crate) fn output_dir(&self) -> PathBuf {
        self.base.path().join("output")
    }

    /// The folder that `LoadImage` reads from.
    pub(crate) fn input_dir(&self) -> PathBuf {
        self.base.path().join("input")
    }

    /// The folder whose subfolders the loader nodes list.
    pub(crate) fn models_dir(&self) -> PathBuf {
        self.base.path().join("models")
    }

    /// Lets the `MmfHold` nodes with this `gate` go on.
    pub(crate) fn open_gate(&self, gate: &str) {
        let written = fs::write(self.input_dir().join("gates").join(gate), []);
        written.unwrap_or_else(|error| panic!("gate {gate} cannot be opened: {error}"));
    }

    /// All that the server has logged, over all its restarts.
    pub(crate) fn log(&self) -> String {
        read_log(self.base.path())
    }

    /// Ends the server as a crash does: at once, with its queue and history lost.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts the killed server again on the same port and base folder; one still running is
    /// killed first.
    pub(crate) async fn restart(mut self) -> Self {
        let restarted = spawn_blocking(move || {
            self.kill();
            let port = self.server.port().to_owned();
            self.server = Server::start(&self.setup, self.base.path(), &port, &self.options)?;
            Ok::<_, String>(self)
        });
        match restarted.await {
            Ok(Ok(rig)) => rig,
            Ok(Err(reason)) => panic!("ComfyUI did not come back: {reason}"),
            Err(died) => panic!("ComfyUI did not come back: {died}"),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("the end of ComfyUI's log:\n{}", tail(&self.log()));
        }
    }
}

impl Server {
    /// Starts the server and returns when it answers requests. With port `"0"` it takes a free one.
    fn start(setup: &Setup, base: &Path, port: &str, options: &[String]) -> Result<Self, String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_file(base));
        let mut process = Command::new(&setup.python)
            .arg(rig_file("server.py"))
            .args([
                setup.comfyui.as_os_str(),
                base.as_os_str(),
                OsStr::new(port),
            ])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_err(|error| format!("its log cannot be opened: {error}"))?)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", setup.python.display()))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            // A server that dies closes its end, which reads as an empty line.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let url = line
            .trim_end()
            .strip_prefix("ready ")
            .unwrap_or_default()
            .to_owned();
        let mut server = Self { process, url };
        if server.url.is_empty() {
            server.kill();
            return Err(format!(
                "it ended before it was ready:\n{}",
                tail(&read_log(base))
            ));
        }
        Ok(server)
    }

    fn port(&self) -> &str {
        self.url.rsplit(':').next().unwrap_or_default()
    }

    fn kill(&mut self) {
        // Both fail only when it has ended and been waited for already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_wanted() -> bool {
    let wanted = std::env::var_os(SWITCH).is_some_and(|value| value == "1");
    if !wanted {
        eprintln!("skipped: set {SWITCH}=1 to run this on a real ComfyUI");
    }
    wanted
}

/// Once per process, so that a machine that lacks something says so once and not per test.
fn setup() -> Result<Setup, String> {
    static SETUP: OnceLock<Result<Setup, String>> = OnceLock::new();
    SETUP.get_or_init(set_up).clone()
}

fn ask_blocking(script: &str, question: &Value) -> Result<Value, String> {
    let setup = setup()?;
    let mut process = Command::new(&setup.python)
        .arg(rig_file(script))
        .arg(&setup.comfyui)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut stdin) = process.stdin.take() {
        let asked = stdin.write_all(question.to_string().as_bytes());
        asked.map_err(|error| error.to_string())?;
    }
    let output = process
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(answer.lines().last().unwrap_or_default()).map_err(|error| {
        format!(
            "{error}\n{}",
            tail(&String::from_utf8_lossy(&output.stderr))
        )
    })
}

fn start_blocking(options: Vec<String>) -> Result<Rig, String> {
    let setup = setup()?;
    let base = tempfile::Builder::new().prefix("mmf-rig-").tempdir();
    let base = base.map_err(|error| format!("no temporary folder: {error}"))?;
    fill(base.path(), &setup)
        .map_err(|error| format!("its base folder cannot be filled: {error}"))?;
    let server = Server::start(&setup, base.path(), "0", &options)?;
    Ok(Rig {
        setup,
        options,
        base,
        server,
    })
}

/// Installs what is missing; a second at most when nothing is.
fn set_up() -> Result<Setup, String> {
    let output = Command::new("python3")
        .arg(rig_file("setup.py"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("python3 cannot be started: {error}"))?;
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("its setup failed ({}), see above", output.status));
    }
    serde_json::from_str(answer.lines().last().unwrap_or_default())
        .map_err(|error| format!("setup.py answered {answer:?}: {error}"))
}

/// Lays out a base folder, the models as links to the ones made once per machine.
fn fill(base: &Path, setup: &Setup) -> std::io::Result<()> {
    for folder in [
        "custom_nodes",
        "input/gates",
        "models",
        "output",
        "temp",
        "user",
        "web",
    ] {
        fs::create_dir_all(base.join(folder))?;
    }
    for folder in fs::read_dir(&setup.models)? {
        let folder = folder?;
        if folder.file_type()?.is_dir() {
            let target = base.join("models").join(folder.file_name());
            link_files(&folder.path(), &target)?;
        }
    }
    link_files(&rig_file("nodes"), &base.join("custom_nodes"))?;
    link_files(
        &setup.comfyui.join("custom_nodes"),
        &base.join("custom_nodes"),
    )
}

fn link_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            link(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn rig_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/rig")
        .join(name)
}

fn log_file(base: &Path) -> PathBuf {
    base.join("comfyui.log")
}

fn read_log(base: &Path) -> String {
    let read = fs::read(log_file(base));
    read.map_or_else(
        |error| format!("unreadable: {error}"),
        |log| String::from_utf8_lossy(&log).into_owned(),
    )
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
