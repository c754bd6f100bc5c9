//! How long it takes to open, list and keep among many assets.
//!
//! `MMF_BENCH_ASSETS` says among how many (100,000 if not set). They are made once and stay in
//! the target folder, so the first run takes a while.

#![expect(clippy::unwrap_used, reason = "a bench that fails may as well stop")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use divan::{Bencher, black_box};
use massmediafactory::assets::{Asset, AssetOptions, Assets, Kind, NewAsset, Query};
use massmediafactory::clock::Clock;
use massmediafactory::ids::Ids;

static MANY: LazyLock<Assets> = LazyLock::new(|| open(&folder()));

fn main() {
    divan::main();
}

fn count() -> usize {
    let given = std::env::var("MMF_BENCH_ASSETS").ok();
    given
        .and_then(|count| count.parse().ok())
        .unwrap_or(100_000)
}

/// A folder with [`count`] assets, made if it isn't there.
fn folder() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("assets-{}", count()));
    if !dir.join("complete").exists() {
        fill(&dir);
        let assets = open(&dir);
        assets.list(&Query::default()).unwrap();
        assets.flush().unwrap();
        fs::write(dir.join("complete"), "").unwrap();
    }
    dir
}

fn open(dir: &Path) -> Assets {
    let options = AssetOptions {
        ttl: Some(Duration::from_secs(24 * 60 * 60)),
    };
    Assets::open(dir, options, Clock::default(), Ids::default()).unwrap()
}

/// Writes records as the store would, without waiting for the disk each time; the store makes its
/// journal of them.
fn fill(dir: &Path) {
    let sample = tempfile::tempdir().unwrap();
    let new = NewAsset {
        pinned: true,
        ..sample_asset(0)
    };
    let kept = open(sample.path()).keep(new, b"bytes").unwrap();
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
    let shard = dir.join("records").join(&id[id.len() - 2..]);
    fs::create_dir_all(&shard).unwrap();
    fs::write(
        shard.join(format!("{id}.json")),
        serde_json::to_vec_pretty(asset).unwrap(),
    )
    .unwrap();
}

#[divan::bench]
fn open_and_list(bencher: Bencher<'_, '_>) {
    let dir = folder();
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
