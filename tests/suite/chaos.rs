//! Whatever is killed, and whenever: a sweep and a pipeline end as if nothing had happened.
//!
//! In each round the server (`mmf serve`), its socket and ComfyUI are killed at random moments
//! while a sweep of 50 and a pipeline of three stages go on beside each other. What came of them
//! is held against a round in which nothing was killed. Moments are counted in submissions and
//! messages on the wire between the two, not in seconds. `MMF_CHAOS_SEED` repeats a round that
//! failed, `MMF_CHAOS_ROUNDS` makes more of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::time::{interval, timeout};

use crate::support::cutter::Cutter;
use crate::support::killable::Killable;
use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, PATIENCE};
use crate::support::strike::{Chance, Strike, Victim};

/// How many rounds there are if nothing else is said: so many as every run of the tests can bear.
const ROUNDS: u64 = 2;

/// The same on a real ComfyUI, which takes long to start again.
const REAL_ROUNDS: u64 = 1;

/// Runs of the sweep.
const RUNS: usize = 50;

/// All jobs of a round.
const JOBS: usize = RUNS + 3;

/// A call is answered with a handle at once, so that every run is one that is written down.
const SETTINGS: &str = "[mcp]\ncall_limit_seconds = 0.01\n";

#[tokio::test]
async fn nothing_is_lost_doubled_or_mislabelled_whatever_is_killed() {
    chaos(Killable::simulated().await, ROUNDS).await;
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_mislabelled_on_a_real_comfyui_either() {
    if let Some(comfy) = Killable::real().await {
        chaos(comfy, REAL_ROUNDS).await;
    }
}

async fn chaos(mut comfy: Killable, rounds: u64) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|it| it.parse::<u64>().unwrap())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("MMF_CHAOS_SEED").unwrap_or(now.as_secs());
    let rounds = number("MMF_CHAOS_ROUNDS").unwrap_or(rounds);
    let calm = Round::begin(&comfy, 0).await.play(&mut comfy, &[]).await;
    calm.check_alone();
    eprintln!("undisturbed: {:?} prompts and messages", calm.passed);
    for round in 0..rounds {
        let seed = seed + round;
        let strikes = Strike::some(&mut Chance(seed), calm.passed);
        eprintln!("MMF_CHAOS_SEED={seed} MMF_CHAOS_ROUNDS=1 strikes {strikes:?}");
        let round = Round::begin(&comfy, seed).await;
        round.play(&mut comfy, &strikes).await.check(&calm);
    }
}

/// A folder of its own, in which a sweep and a pipeline go on.
struct Round {
    home: Home,
    wire: Cutter,
    client: Option<McpClient>,
    log: Arc<Mutex<String>>,
    /// Tools with their arguments, in the order in which they are called.
    calls: Vec<(&'static str, Value)>,
}

impl Round {
    async fn begin(comfy: &Killable, seed: u64) -> Self {
        comfy.clear_history().await;
        let home = Home::new();
        home.write(".mmf/config.toml", SETTINGS);
        let mut calls = vec![
            ("execute_parameter_sweep", sweep()),
            ("execute_pipeline_stages", stages()),
        ];
        if seed % 2 == 1 {
            calls.reverse();
        }
        let wire = Cutter::to(comfy.url()).await;
        let mut round = Self {
            home,
            wire,
            client: None,
            log: Arc::default(),
            calls,
        };
        round.start().await;
        round
    }

    /// Starts a server and calls what it knows nothing of.
    async fn start(&mut self) {
        let mut client = McpClient::start(&self.home, &self.wire.url()).await;
        let (log, mut lines) = (self.log.clone(), client.take_log());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                writeln!(log.lock().unwrap(), "{line}").unwrap();
            }
        });
        let begun = self.records();
        for (tool, arguments) in &self.calls {
            if !begun.contains_key(*tool) {
                client.begin(tool, arguments.clone()).await;
            }
        }
        self.client = Some(client);
    }

    /// What is written of the runs, by their tools.
    fn records(&self) -> BTreeMap<String, Value> {
        let entries = std::fs::read_dir(self.home.data().join("runs"));
        let paths = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path());
        let records = paths.filter(|path| path.extension().is_some_and(|it| it == "json"));
        records
            .map(|path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap())
            .map(|record| (record["tool"].as_str().unwrap().to_owned(), record))
            .collect()
    }

    async fn until_over(&self) {
        let mut again = interval(Duration::from_millis(10));
        loop {
            again.tick().await;
            let records = self.records();
            if records.len() == self.calls.len()
                && records.values().all(|record| record["status"] != "working")
            {
                return;
            }
        }
    }

    /// Goes on to the end while this is killed.
    async fn play(mut self, comfy: &mut Killable, strikes: &[Strike]) -> Played {
        for strike in strikes {
            tokio::select! {
                () = self.wire.hold_at(strike.moment) => {}
                () = self.until_over() => break,
            }
            self.strike(comfy, strike.victim).await;
        }
        self.wire.release();
        let over = timeout(5 * PATIENCE, self.until_over()).await;
        assert!(
            over.is_ok(),
            "it does not end: {:#?}\n{}",
            self.records(),
            self.log.lock().unwrap()
        );
        let restarted = strikes
            .iter()
            .any(|strike| matches!(strike.victim, Victim::Comfy | Victim::ServerAndComfy));
        Played::gather(self, comfy, restarted).await
    }

    async fn strike(&mut self, comfy: &mut Killable, victim: Victim) {
        writeln!(self.log.lock().unwrap(), "--- {victim:?} is killed").unwrap();
        let kills_server = matches!(victim, Victim::Server | Victim::ServerAndComfy);
        if kills_server && let Some(client) = self.client.take() {
            client.kill().await;
        }
        match victim {
            Victim::Server => {}
            Victim::Socket => {
                self.wire.cut_sockets();
            }
            Victim::Comfy | Victim::ServerAndComfy => {
                comfy.kill().await;
                self.wire.take_away();
                comfy.restart().await;
                self.wire.put_back().await;
            }
        }
        self.wire.release();
        if kills_server {
            self.start().await;
        }
    }
}

/// Every combination of ten seeds and five scales.
fn sweep() -> Value {
    json!({
        "workflow": "sd3_txt2img",
        "sweep_params": {
            "SEED": (0..10).collect::<Vec<u64>>(),
            "CFG": [1.5, 2.5, 3.5, 4.5, 5.5],
        },
        "fixed_params": { "PROMPT": "a fox", "STEPS": 2, "WIDTH": 64, "HEIGHT": 64 },
    })
}

/// Paints, inverts, halves.
fn stages() -> Value {
    let step = |class: &str, more: Value| {
        let mut inputs = json!({ "image": ["1", 0] });
        inputs
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        json!({
            "1": { "class_type": "LoadImage", "inputs": { "image": "{{PICTURE}}" } },
            "2": { "class_type": class, "inputs": inputs },
            "3": { "class_type": "SaveImage", "inputs": { "images": ["2", 0], "filename_prefix": "stage" } },
        })
    };
    let handed_on = json!({ "images": "PICTURE" });
    json!({
        "stages": [
            { "name": "paint", "workflow": "sd3_txt2img", "output_mapping": handed_on },
            { "name": "invert", "workflow": step("ImageInvert", json!({})), "output_mapping": handed_on },
            { "name": "halve", "workflow": step("ImageScaleBy", json!({ "upscale_method": "nearest-exact", "scale_by": 0.5 })) },
        ],
        "params": { "PROMPT": "a hill", "SEED": 77, "STEPS": 12, "WIDTH": 64, "HEIGHT": 64 },
    })
}

/// What came of a round.
struct Played {
    log: Arc<Mutex<String>>,
    passed: (u64, u64),
    restarted: bool,
    swept: Value,
    staged: Value,
    /// The pictures by what they are a result of.
    pictures: BTreeMap<String, image::RgbaImage>,
    /// The assets by what they are a result of, with all that is known of them.
    assets: BTreeMap<String, Value>,
    listed: Vec<Value>,
    jobs: Vec<Value>,
    history: Map<String, Value>,
    queue: Value,
}

impl Played {
    async fn gather(mut round: Round, comfy: &Killable, restarted: bool) -> Self {
        let mut client = round.client.take().unwrap();
        let passed = round.wire.passed();
        let mut answers = BTreeMap::new();
        for (tool, record) in round.records() {
            let arguments = json!({ "prompt_id": record["run_id"] });
            let answer = client.call_raw("wait_for_completion", arguments).await;
            assert!(
                answer["isError"] != true,
                "{tool}: {answer:#}\n{}",
                round.log.lock().unwrap()
            );
            answers.insert(tool, answer["structuredContent"].clone());
        }
        let listed = client.call("list_assets", json!({ "limit": 500 })).await;
        let swept = answers.remove("execute_parameter_sweep").unwrap();
        let staged = answers.remove("execute_pipeline_stages").unwrap();
        let (mut pictures, mut assets) = (BTreeMap::new(), BTreeMap::new());
        for (of, asset_id) in made(&swept, &staged) {
            let arguments = json!({ "asset_id": asset_id });
            let asset = client.call("get_asset_metadata", arguments).await;
            let bytes = std::fs::read(asset["path"].as_str().unwrap()).unwrap();
            assert_eq!(asset["blake3"], blake3::hash(&bytes).to_hex().as_str());
            let picture = image::load_from_memory(&bytes).unwrap().to_rgba8();
            assert!(pictures.insert(of.clone(), picture).is_none(), "{of} twice");
            assets.insert(of, asset);
        }
        let limit = "1000";
        let jobs = round.home.mmf(["jobs", "--json", "--limit", limit]).run();
        let jobs = jobs.await.exits(0).json()["jobs"].take();
        let history = comfy.get("/history").await.as_object().cloned().unwrap();
        Self {
            log: round.log.clone(),
            passed,
            restarted,
            swept,
            staged,
            pictures,
            assets,
            listed: listed["assets"].as_array().cloned().unwrap(),
            jobs: jobs.as_array().cloned().unwrap(),
            history,
            queue: comfy.get("/queue").await,
        }
    }

    /// That it is what such a round has to be, and what was killed left nothing behind.
    #[track_caller]
    fn check_alone(&self) {
        let log = self.log.lock().unwrap();
        assert_eq!(self.swept["completed"], RUNS, "{:#}\n{log}", self.swept);
        assert_eq!(self.swept["results"].as_object().unwrap().len(), RUNS);
        assert_eq!(
            self.staged["status"], "completed",
            "{:#}\n{log}",
            self.staged
        );
        for (key, result) in self.swept["results"].as_object().unwrap() {
            assert_eq!(result["status"], "completed", "{result:#}");
            let said = &result["parameters"];
            let own = format!("CFG={},SEED={}", said["CFG"], said["SEED"]);
            assert_eq!(*key, own, "{result:#}");
            let asset = &self.assets[key];
            let ran = &asset["provenance"]["parameters"];
            assert_eq!((&ran["SEED"], &ran["CFG"]), (&said["SEED"], &said["CFG"]));
            let nodes = asset["workflow"].as_object().unwrap().values();
            let sampler = nodes
                .into_iter()
                .find(|node| node["inputs"].get("cfg").is_some());
            let inputs = &sampler.unwrap()["inputs"];
            assert_eq!(
                (&inputs["seed"], &inputs["cfg"]),
                (&said["SEED"], &said["CFG"])
            );
            assert_eq!(asset["prompt_id"], result["prompt_id"], "{asset:#}");
        }
        let [painted, inverted, halved] = ["paint", "invert", "halve"].map(|of| &self.pictures[of]);
        for (one, other) in painted.pixels().zip(inverted.pixels()) {
            assert!(
                (0..3).all(|at| one[at].abs_diff(!other[at]) <= 1),
                "{one:?} {other:?}"
            );
        }
        assert_eq!(halved.dimensions(), (32, 32));

        let mut expected: Vec<&str> = self.assets.values().map(asset_id).collect();
        let mut listed: Vec<&str> = self.listed.iter().map(asset_id).collect();
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(
            listed, expected,
            "an asset for each result and no other\n{log}"
        );

        let count = |status: &str| {
            self.jobs
                .iter()
                .filter(|job| job["status"] == status)
                .count()
        };
        let (done, lost) = (count("done"), count("lost"));
        assert_eq!(done, JOBS, "{:#?}\n{log}", self.jobs);
        assert_eq!(done + lost, self.jobs.len(), "{:#?}\n{log}", self.jobs);
        assert_eq!(
            self.queue,
            json!({ "queue_running": [], "queue_pending": [] })
        );
        for prompt_id in self.history.keys() {
            let known = self.jobs.iter().any(|job| job["prompt_id"] == **prompt_id);
            assert!(known, "{prompt_id} is nobody's\n{log}");
        }
        if !self.restarted {
            assert_eq!(self.history.len(), JOBS, "nothing runs twice\n{log}");
            // A submission that is cut off on its way is lost as well, and comes to run nowhere.
            let mut lost = self.jobs.iter().filter(|job| job["status"] == "lost");
            let ran = lost.find(|job| {
                self.history
                    .contains_key(job["prompt_id"].as_str().unwrap())
            });
            assert_eq!(ran, None, "what is lost never ran\n{log}");
        }
    }

    /// The same, and that it made what was made when nothing was killed.
    #[track_caller]
    fn check(&self, calm: &Self) {
        self.check_alone();
        let of = |played: &Self| played.pictures.keys().cloned().collect::<Vec<_>>();
        assert_eq!(of(self), of(calm));
        for (of, picture) in &self.pictures {
            assert!(*picture == calm.pictures[of], "{of} shows something else");
        }
        assert_eq!(self.swept["order"], calm.swept["order"]);
    }
}

fn asset_id(asset: &Value) -> &str {
    asset["asset_id"].as_str().unwrap()
}

/// The one picture of each result, and the contact sheets.
fn made<'a>(swept: &'a Value, staged: &'a Value) -> Vec<(String, &'a Value)> {
    let runs = swept["results"].as_object().unwrap().iter();
    let runs = runs.map(|(key, result)| (key.clone(), result));
    let parts = staged["stages"].as_array().unwrap().iter();
    let parts = parts.map(|stage| (stage["name"].as_str().unwrap().to_owned(), stage));
    let mut made: Vec<(String, &Value)> = runs
        .chain(parts)
        .map(|(of, result)| {
            let outputs = result["outputs"].as_array().map_or(&[][..], Vec::as_slice);
            let [output] = outputs else {
                panic!("one output of {of}: {result:#}")
            };
            (of, &output["asset_id"])
        })
        .collect();
    let further = swept["further_sheets"].as_array().into_iter().flatten();
    let sheets = std::iter::once(&swept["contact_sheet"]).chain(further);
    made.extend(
        sheets
            .enumerate()
            .map(|(at, sheet)| (format!("sheet {at}"), sheet)),
    );
    made
}
