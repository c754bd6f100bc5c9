//! How long it takes to start, list and keep among a million assets.
//!
//! `MMF_BENCH_ASSETS` says among how many (1,000,000 if not set). They are made once and stay in
//! the target folder, so the first run takes some minutes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that fails may as well stop, and has to show its figures"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use massmediafactory::app::{App, AppOptions};
use massmediafactory::assets::{Asset, AssetOptions, Assets, Kind, NewAsset, Query};
use massmediafactory::clock::Clock;
use massmediafactory::config::{Config, Overrides};
use massmediafactory::ids::Ids;
use massmediafactory::script::Caller;
use serde_json::{Map, json};
use tokio::runtime::Runtime;

use self::support::figures::{ms, show};
use self::support::mcp::{McpClient, initialize};
use self::support::mmf::Home;

mod support;

static MANY: LazyLock<Assets> = LazyLock::new(|| open(&folder().join("assets")));

/// How many servers are started, each beside one that runs already.
const ROUNDS: usize = 9;

fn main() {
    Runtime::new().unwrap().block_on(servers());
    divan::main();
}

/// What the user of an agent feels: from the start of `mmf serve` to its answer to `list_assets`,
/// and how long that takes once it runs. Goals: 300 ms and 2 ms.
async fn servers() {
    let data = folder();
    let (mut first, mut beside, mut lists) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (took, mut one) = start(&data).await;
        first.push(took);
        let (took, other) = start(&data).await;
        beside.push(took);
        for _ in 0..10 {
            let asked = Instant::now();
            list(&mut one).await;
            lists.push(ms(asked.elapsed()));
        }
        other.close().await;
        one.close().await;
    }
    println!("{} assets", count());
    show("start to the first list_assets, alone", "ms", first);
    show(
        "start to the first list_assets, beside another",
        "ms",
        beside,
    );
    show("list_assets, over stdio", "ms", lists);
}

async fn start(data: &Path) -> (f64, McpClient) {
    let home = Home::new();
    let began = Instant::now();
    let mut client = McpClient::connect(home.mmf(["serve"]).env("MMF_DATA_DIR", data));
    client.request("initialize", initialize()).await;
    client.notify("notifications/initialized", json!({})).await;
    list(&mut client).await;
    (ms(began.elapsed()), client)
}

async fn list(client: &mut McpClient) {
    let page = client.call("list_assets", json!({ "limit": 20 })).await;
    assert_eq!(page["count"], 20, "{page:#}");
}

fn count() -> usize {
    let given = std::env::var("MMF_BENCH_ASSETS").ok();
    given
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000_000)
}

/// A data folder with [`count`] assets, made if it isn't there.
fn folder() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("many-assets-{}", count()));
    if !dir.join("complete").exists() {
        let assets = dir.join("assets");
        fill(&assets);
        let began = Instant::now();
        open(&assets).list(&Query::default()).unwrap();
        println!("indexed from the records in {:.1?}", began.elapsed());
        fs::write(dir.join("complete"), "").unwrap();
    }
    dir
}

fn open(dir: &Path) -> Assets {
    let options = AssetOptions {
        ttl: Some(Duration::from_secs(24 * 60 * 60)),
        ..AssetOptions::default()
    };
    Assets::open(dir, options, Clock::default(), Ids::default()).unwrap()
}

/// Writes records as the store would, without waiting for the disk each time; the store makes its
/// index of them.
fn fill(dir: &Path) {
    let sample = open(dir);
    let new = NewAsset {
        pinned: true,
        ..sample_asset(0)
    };
    let kept = sample.keep(new, b"bytes").unwrap();
    drop(sample);
    for made in ["index", "segments"] {
        fs::remove_dir_all(dir.join(made)).ok();
    }
    fs::remove_file(dir.join("journal.jsonl")).unwrap();
    for shard in 0..=u8::MAX {
        fs::create_dir_all(dir.join(format!("records/{shard:02x}"))).unwrap();
    }
    let ids = Ids::default();
    for n in 0..count() {
        let new = sample_asset(n);
        write_record(
            dir,
            &Asset {
                asset_id: ids.ordered(),
                filename: new.filename,
                session_id: new.session_id,
                prompt_id: new.prompt_id,
                prompt_preview: new.prompt,
                ..kept.clone()
            },
        );
    }
}

fn sample_asset(n: usize) -> NewAsset {
    NewAsset {
        filename: format!("ComfyUI_{n:05}_.png"),
        session_id: Some(format!("session-{}", n % 100)),
        prompt: format!("a dragon over the sea, number {n}, golden hour, highly detailed, 35 mm"),
        prompt_id: Some(Ids::default().random()),
        node_id: Some("9".to_owned()),
        ..NewAsset::default()
    }
}

fn write_record(dir: &Path, asset: &Asset) {
    let id = &asset.asset_id;
    let path = dir.join(format!("records/{}/{id}.json", &id[id.len() - 2..]));
    fs::write(path, serde_json::to_vec_pretty(asset).unwrap()).unwrap();
}

#[divan::bench]
fn open_and_list(bencher: Bencher<'_, '_>) {
    let dir = folder().join("assets");
    bencher.bench_local(|| {
        let assets = open(&dir);
        assets.list(&Query::default()).unwrap()
    });
}

#[divan::bench]
fn list_newest_20(bencher: Bencher<'_, '_>) {
    let assets = &*MANY;
    bencher.bench_local(|| assets.list(black_box(&Query::default())).unwrap());
}

/// The same as an agent asks for it, within the process: arguments checked, script run.
#[divan::bench]
fn list_newest_20_by_the_script(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().unwrap();
    let overrides = Overrides {
        data_dir: Some(folder()),
        ..Overrides::default()
    };
    let config = Config::load(&overrides).unwrap();
    let app = runtime.block_on(App::start(&config, AppOptions::default()));
    let app = app.unwrap();
    let list = || async {
        let tool = app.tool("list_assets").unwrap();
        app.run(tool, Map::new(), Caller::default()).await.unwrap()
    };
    bencher.bench_local(|| runtime.block_on(list()));
}

#[divan::bench]
fn list_newest_20_of_a_session(bencher: Bencher<'_, '_>) {
    let query = Query {
        session: Some("session-7".to_owned()),
        ..Query::default()
    };
    let assets = &*MANY;
    bencher.bench_local(|| assets.list(black_box(&query)).unwrap());
}

#[divan::bench]
fn list_a_kind_of_a_session(bencher: Bencher<'_, '_>) {
    let query = Query {
        session: Some("session-7".to_owned()),
        kind: Some(Kind::Images),
        ..Query::default()
    };
    let assets = &*MANY;
    bencher.bench_local(|| assets.list(black_box(&query)).unwrap());
}

#[divan::bench]
fn keep_one_more(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let assets = open(dir.path());
    let picture = vec![7_u8; 1 << 20];
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        let mut bytes = picture.clone();
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        assets.keep(sample_asset(n), &bytes).unwrap()
    });
}
