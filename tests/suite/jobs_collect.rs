//! What jobs make is kept as soon as nodes report it.

use std::sync::Arc;
use std::time::Duration;

use massmediafactory::assets::{Asset, AssetOptions, Assets};
use massmediafactory::clock::Clock;
use massmediafactory::comfy::{End, Workflow};
use massmediafactory::ids::Ids;
use massmediafactory::jobs::{Finished, Jobs, Order, Origin};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::scripted::Scripted;

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    scripted: Scripted,
    jobs: Jobs,
    assets: Arc<Assets>,
    _dir: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let scripted = Scripted::start().await;
        let dir = tempfile::tempdir().unwrap();
        let options = AssetOptions::default();
        let assets = Assets::open(dir.path(), options, Clock::default(), Ids::default());
        let assets = Arc::new(assets.unwrap());
        let jobs = Jobs::new(scripted.comfy(), assets.clone(), "session".to_owned());
        Self {
            scripted,
            jobs,
            assets,
            _dir: dir,
        }
    }

    /// A job that runs.
    async fn running(&self) -> String {
        let order = Order {
            origin: Origin {
                parameters: json!({ "SEED": u64::MAX }).as_object().cloned().unwrap(),
                ..Origin::default()
            },
            ..Order::default()
        };
        let submitted = self.jobs.submit(&workflow(), order).await.unwrap();
        self.scripted.run_next();
        let data = json!({ "prompt_id": submitted.prompt_id, "timestamp": 1 });
        self.scripted.say("execution_start", &data);
        submitted.prompt_id
    }

    async fn until_kept(&self, prompt_id: &str, count: usize) -> Vec<Asset> {
        let kept = async {
            let mut again = interval(Duration::from_millis(5));
            loop {
                again.tick().await;
                let kept = self.jobs.kept(prompt_id).unwrap();
                if kept.len() >= count {
                    return kept;
                }
            }
        };
        timeout(PATIENCE, kept).await.expect("it is kept")
    }

    async fn wait(&self, prompt_id: &str) -> Arc<Finished> {
        let never = CancellationToken::new();
        let finished = self.jobs.wait(
            prompt_id,
            self.jobs.session(),
            Some(PATIENCE),
            &never,
            |_| {},
        );
        finished.await.unwrap()
    }
}

fn workflow() -> Workflow {
    let inputs = json!({ "text": "a hill", "seed": u64::MAX });
    Workflow::from_json(json!({ "9": { "class_type": "X", "inputs": inputs } })).unwrap()
}

fn pictures(names: &[&str]) -> Value {
    let file = |name: &&str| json!({ "filename": name, "subfolder": "", "type": "temp" });
    json!({ "images": names.iter().map(file).collect::<Vec<_>>() })
}

#[tokio::test]
async fn an_output_is_kept_while_its_job_still_runs() {
    let bench = Bench::new().await;
    let prompt_id = bench.running().await;
    bench.scripted.put_file("a.png", b"not yet a picture");
    bench
        .scripted
        .report(&prompt_id, "8", &pictures(&["a.png"]));
    let kept = bench.until_kept(&prompt_id, 1).await;

    // Its provenance is whole, though nobody knows yet how the job will end.
    assert_eq!(
        bench.assets.workflow(&kept[0]).unwrap(),
        workflow().into_json()
    );
    assert_eq!(kept[0].provenance.parameters["SEED"], json!(u64::MAX));
    assert_eq!(kept[0].session_id.as_deref(), Some("session"));
    assert_eq!(kept[0].prompt_preview, "a hill");

    // And nothing is fetched again.
    bench.scripted.remove_file("a.png");
    bench.scripted.set_busy(true);
    bench.scripted.end(&prompt_id);
    let finished = timeout(PATIENCE, bench.wait(&prompt_id)).await.unwrap();
    let ids: Vec<&str> = finished
        .outputs
        .iter()
        .map(|output| output.kept.as_ref().unwrap().node_id.as_deref().unwrap())
        .collect();
    assert_eq!(ids, ["8", "9"]);
    assert_eq!(
        finished.outputs[0].kept.as_ref().unwrap().asset_id,
        kept[0].asset_id
    );
}

#[tokio::test]
async fn what_a_job_had_made_before_the_server_died_is_told_with_its_loss() {
    let bench = Bench::new().await;
    let prompt_id = bench.running().await;
    bench.scripted.put_file("a.png", b"a picture");
    bench
        .scripted
        .report(&prompt_id, "8", &pictures(&["a.png"]));
    let kept = bench.until_kept(&prompt_id, 1).await;
    bench.scripted.world().running.clear();
    let finished = bench.wait(&prompt_id).await;
    assert_eq!(finished.outcome.end, End::Lost);
    let [output] = &finished.outputs[..] else {
        panic!("{finished:?}")
    };
    assert_eq!(output.kept.as_ref().unwrap().asset_id, kept[0].asset_id);
}

#[tokio::test]
async fn what_could_not_be_fetched_at_first_is_fetched_at_the_end() {
    let bench = Bench::new().await;
    let prompt_id = bench.running().await;
    bench
        .scripted
        .report(&prompt_id, "8", &pictures(&["late.png", "never.png"]));
    bench.scripted.asked("GET /view", 2).await;
    bench.scripted.put_file("late.png", b"a picture");
    bench.scripted.end(&prompt_id);
    let finished = bench.wait(&prompt_id).await;
    let kept: Vec<bool> = finished
        .outputs
        .iter()
        .map(|output| output.kept.is_ok())
        .collect();
    assert_eq!(kept, [true, false, true], "{finished:?}");
}

#[tokio::test]
async fn few_outputs_of_a_job_are_fetched_at_a_time() {
    let bench = Bench::new().await;
    let prompt_id = bench.running().await;
    let names: Vec<String> = (0..10).map(|n| format!("{n}.png")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        bench.scripted.put_file(name, name.as_bytes());
    }
    // Whatever else is asked once per server has been asked.
    bench
        .scripted
        .report(&prompt_id, "7", &pictures(&["0.png"]));
    bench.until_kept(&prompt_id, 1).await;
    bench.scripted.set_busy(true);
    bench.scripted.report(&prompt_id, "8", &pictures(&names));
    bench.scripted.asked("GET /view", 1 + 4).await;
    let fifth = bench.scripted.asked("GET /view", 1 + 5);
    assert!(timeout(Duration::from_millis(50), fifth).await.is_err());
    bench.scripted.set_busy(false);
    bench.until_kept(&prompt_id, 1 + names.len()).await;
}
