//! A ComfyUI in a process of its own, simulated or real, that can be killed and comes back where it
//! was: on its port and with its folders, its queue and history lost.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::mmf::{Home, PATIENCE};
use super::rig::Rig;
use super::sim::http;

/// A ComfyUI that can be killed.
pub(crate) enum Killable {
    /// The simulator.
    Simulated {
        home: Home,
        url: String,
        process: Box<Child>,
    },
    /// The real one; nothing only while it is started again.
    Real(Option<Box<Rig>>),
}

impl Killable {
    pub(crate) async fn simulated() -> Self {
        let home = Home::new();
        let (process, url) = simulator(&home, "127.0.0.1:0").await;
        Self::Simulated { home, url, process }
    }

    /// Nothing unless tests on a real one are wanted.
    pub(crate) async fn real() -> Option<Self> {
        let rig = Rig::start().await?;
        Some(Self::Real(Some(Box::new(rig))))
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Simulated { url, .. } => url,
            Self::Real(rig) => rig.as_ref().unwrap().url(),
        }
    }

    pub(crate) async fn kill(&mut self) {
        match self {
            Self::Simulated { process, .. } => process.kill().await.unwrap(),
            Self::Real(rig) => rig.as_mut().unwrap().kill(),
        }
    }

    pub(crate) async fn restart(&mut self) {
        match self {
            Self::Simulated { home, url, process } => {
                let listen = url.trim_start_matches("http://");
                *process = simulator(home, listen).await.0;
            }
            Self::Real(rig) => {
                let killed = rig.take().unwrap();
                *rig = Some(Box::new(killed.restart().await));
            }
        }
    }

    /// What it answers to a request.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = http().get(format!("{}{path}", self.url())).send().await;
        serde_json::from_slice(&answer.unwrap().bytes().await.unwrap()).unwrap()
    }

    /// Has it forget what ran before.
    pub(crate) async fn clear_history(&self) {
        let url = format!("{}/history", self.url());
        let cleared = http()
            .post(url)
            .json(&json!({ "clear": true }))
            .send()
            .await;
        cleared.unwrap().error_for_status().unwrap();
    }
}

async fn simulator(home: &Home, listen: &str) -> (Box<Child>, String) {
    let dir = home.data().join("comfyui");
    std::fs::create_dir_all(&dir).unwrap();
    let dir = dir.to_str().unwrap();
    let mut process = home.mmf(["sim", "--listen", listen, "--dir", dir]).spawn();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let url = timeout(PATIENCE, lines.next_line()).await.unwrap();
    let url = url.unwrap().expect("it tells its address");
    (Box::new(process), url)
}
