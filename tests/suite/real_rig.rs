//! The rig itself: what the other real tests stand on.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use massmediafactory::sim::{Sim, SimOptions};
use notify::Watcher;
use reqwest::Client;
use serde_json::{Value, from_str, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::rig::{Rig, models};

/// Long enough for a cold first run beside other tests on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_diffusion_graph_makes_a_picture() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let loaders = json!({
        "model": {"class_type": "UNETLoader",
                  "inputs": {"unet_name": models::DIFFUSION_MODEL, "weight_dtype": "default"}},
        "clip": {"class_type": "CLIPLoader",
                 "inputs": {"clip_name": models::TEXT_ENCODER, "type": "sd3"}},
        "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "taesd3"}},
    });
    let first = picture(
        rig,
        &sampled(&loaders, ["model", "clip", "vae"], [0, 0, 0], "a hill", 7),
    )
    .await;
    let other = picture(
        rig,
        &sampled(&loaders, ["model", "clip", "vae"], [0, 0, 0], "a sea", 7),
    )
    .await;
    assert_eq!((first.width(), first.height()), (128, 128));
    assert_ne!(first, other, "the prompt should matter");
}

#[tokio::test]
async fn a_checkpoint_with_a_lora_and_a_vae_of_its_own_makes_another_picture() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let loaders = json!({
        "all": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": models::CHECKPOINT}},
        "lora": {"class_type": "LoraLoader",
                 "inputs": {"model": ["all", 0], "clip": ["all", 1], "lora_name": models::LORA,
                            "strength_model": 1.0, "strength_clip": 1.0}},
        "vae": {"class_type": "VAELoader", "inputs": {"vae_name": models::VAE}},
    });
    let plain = picture(
        rig,
        &sampled(&loaders, ["all", "all", "all"], [0, 1, 2], "a hill", 7),
    )
    .await;
    let styled = picture(
        rig,
        &sampled(&loaders, ["lora", "lora", "vae"], [0, 1, 0], "a hill", 7),
    )
    .await;
    let again = picture(
        rig,
        &sampled(&loaders, ["all", "all", "vae"], [0, 1, 0], "a hill", 7),
    )
    .await;
    assert_ne!(plain, styled);
    assert_eq!(
        plain, again,
        "the same seed and weights should give the same picture"
    );
}

#[tokio::test]
async fn a_gate_holds_a_job_open_until_the_test_says() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let graph = json!({"hold": {"class_type": "MmfHold", "inputs": {"gate": "open me"}}});
    let mut job = Job::submit(rig, &graph).await;
    job.executing(&json!("hold")).await;
    rig.open_gate("open me");
    assert_eq!(job.finished().await["status"]["status_str"], "success");
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port() {
    let Some(mut rig) = Rig::start().await else {
        return;
    };
    let url = rig.url().to_owned();
    rig.kill();
    assert!(client().get(format!("{url}/queue")).send().await.is_err());
    let rig = rig.restart().await;
    assert_eq!(rig.url(), url);
    assert_eq!(
        get(&rig, "/queue").await,
        json!({"queue_running": [], "queue_pending": []})
    );
}

#[tokio::test]
async fn another_server_on_the_port_is_never_taken_for_the_rig() {
    let Some(mut rig) = Rig::start().await else {
        return;
    };
    let addr = rig.url().strip_prefix("http://").expect("an address");
    let listen = addr.parse().expect("an address");
    rig.kill();
    let options = SimOptions {
        listen,
        ..SimOptions::default()
    };
    let _thief = Sim::start(options).await.expect("the port is free");
    let Err(died) = tokio::spawn(rig.restart()).await else {
        panic!("the simulator passed for ComfyUI");
    };
    let died = died.into_panic();
    let said = died.downcast_ref::<String>().expect("a message");
    assert!(said.contains("Address already in use"), "{said}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let outcome = tokio::spawn(Rig::start_with(&["--no-such-option"])).await;
    let said = match outcome {
        Ok(None) => return,
        Ok(Some(rig)) => panic!("it started:\n{}", rig.log()),
        Err(died) => died.into_panic(),
    };
    let said = said.downcast_ref::<String>().expect("a message");
    assert!(said.contains("--no-such-option"), "{said}");
}

#[tokio::test]
async fn a_server_ends_with_its_test_process_even_a_killed_one() {
    // Also makes sure that the other process finds everything installed.
    let Some(_installed) = Rig::shared().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut watch = Watch::on(folder.path());
    let entries = || std::fs::read_dir(folder.path()).expect("readable").count();
    let mut other = std::process::Command::new(std::env::current_exe().expect("this binary"))
        .args([
            "--exact",
            "suite::real_rig::a_diffusion_graph_makes_a_picture",
        ])
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("another test process");
    // Only what runs can clean up: a folder alone may still be without its server.
    let logs = || {
        let bases = std::fs::read_dir(folder.path())
            .expect("readable")
            .flatten();
        let log = |base: std::fs::DirEntry| base.path().join("comfyui.log").metadata();
        bases
            .filter_map(|base| log(base).ok())
            .any(|log| log.len() > 0)
    };
    watch.until("it has a server", logs).await;
    other.kill().expect("still running");
    other.wait().expect("killed");
    watch.until("its server is gone", || entries() == 0).await;
}

/// The graph from the loaders to a saved picture; `from` and `slots` say who gives the model, the
/// text encoder and the autoencoder.
fn sampled(loaders: &Value, from: [&str; 3], slots: [u8; 3], text: &str, seed: u64) -> Value {
    let [model, clip, vae] = [0, 1, 2].map(|part| json!([from[part], slots[part]]));
    let mut graph = json!({
        "yes": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": clip}},
        "no": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": clip}},
        "latent": {"class_type": "EmptySD3LatentImage",
                   "inputs": {"width": 128, "height": 128, "batch_size": 1}},
        "sampler": {"class_type": "KSampler",
                    "inputs": {"model": model, "positive": ["yes", 0], "negative": ["no", 0],
                               "latent_image": ["latent", 0], "seed": seed, "steps": 8, "cfg": 4.0,
                               "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}},
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": vae}},
        "save": {"class_type": "SaveImage",
                 "inputs": {"images": ["decode", 0], "filename_prefix": "rig"}},
    });
    for (id, node) in loaders.as_object().expect("a map of nodes") {
        graph[id] = node.clone();
    }
    graph
}

/// Runs the graph and reads the picture that its node `save` wrote.
async fn picture(rig: &Rig, graph: &Value) -> image::DynamicImage {
    let entry = Job::submit(rig, graph).await.finished().await;
    assert_eq!(entry["status"]["status_str"], "success", "{entry:#}");
    let name = entry["outputs"]["save"]["images"][0]["filename"]
        .as_str()
        .expect("a file name");
    image::open(rig.output_dir().join(name)).expect("a picture")
}

/// A job and the socket that hears of it.
struct Job<'r> {
    rig: &'r Rig,
    id: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl<'r> Job<'r> {
    async fn submit(rig: &'r Rig, graph: &Value) -> Self {
        let client = uuid::Uuid::new_v4().simple().to_string();
        let address = rig.url().replace("http://", "ws://");
        let connected = connect_async(format!("{address}/ws?clientId={client}")).await;
        let (socket, _) = connected.expect("a socket");
        let sent = self::client()
            .post(format!("{}/prompt", rig.url()))
            .json(&json!({"prompt": graph, "client_id": client}));
        let answer = sent.send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        let id = answer["prompt_id"]
            .as_str()
            .unwrap_or_else(|| panic!("refused: {answer:#}"))
            .to_owned();
        Self { rig, id, socket }
    }

    /// Waits until the job is at this node; at none, it is over and in the history.
    async fn executing(&mut self, node: &Value) {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await;
            let message = message
                .unwrap_or_else(|_| panic!("never at {node}; the log: {}", self.rig.log()))
                .expect("the server is there")
                .expect("a message");
            let Ok(Value::Object(message)) = message.to_text().map_or(Ok(Value::Null), from_str)
            else {
                continue;
            };
            let data = &message["data"];
            if message["type"] == "executing"
                && data["prompt_id"] == self.id
                && data["node"] == *node
            {
                return;
            }
        }
    }

    /// The history's entry, once the job is over.
    async fn finished(mut self) -> Value {
        self.executing(&Value::Null).await;
        get(self.rig, &format!("/history/{}", self.id)).await[&self.id].take()
    }
}

/// The changes in a folder.
struct Watch {
    changes: mpsc::UnboundedReceiver<()>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    fn on(folder: &Path) -> Self {
        let (tx, changes) = mpsc::unbounded_channel();
        let tell = move |_| {
            // Nobody listens any more when the test is over.
            let _ = tx.send(());
        };
        let mut watcher = notify::recommended_watcher(tell).expect("a watcher");
        watcher
            .watch(folder, notify::RecursiveMode::Recursive)
            .expect("a folder that can be watched");
        Self {
            changes,
            _watcher: watcher,
        }
    }

    async fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        while !is_so() {
            let change = timeout(PATIENCE, self.changes.recv()).await;
            change
                .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
                .expect("a watcher");
        }
    }
}

async fn get(rig: &Rig, path: &str) -> Value {
    let answer = client()
        .get(format!("{}{path}", rig.url()))
        .send()
        .await
        .expect("an answer");
    answer.json().await.expect("JSON")
}

fn client() -> Client {
    // Without a provider no client can be built; a second installation is refused, as it should be.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build();
    client.expect("a client")
}
