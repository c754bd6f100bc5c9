//! What the store promises when processes die, run side by side, or find their files damaged.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use massmediafactory::assets::{AssetOptions, Assets, NewAsset, Query};
use massmediafactory::clock::Clock;
use massmediafactory::failure::Failure;
use massmediafactory::ids::Ids;
use massmediafactory::store::{Key, Row, Schema, Store};
use serde_json::{Value, json};

use crate::support::assets::{Shelf, files_below, output};
use crate::support::processes::{Process, given, report};

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mmf").tempdir().unwrap()
}

fn open_assets(dir: &Path) -> Assets {
    Assets::open(
        dir,
        AssetOptions::default(),
        Clock::default(),
        Ids::default(),
    )
    .unwrap()
}

fn all(assets: &Assets) -> Vec<String> {
    let mut ids = Vec::new();
    let mut query = Query {
        limit: 1000,
        ..Query::default()
    };
    loop {
        let page = assets.list(&query).unwrap();
        ids.extend(page.assets.into_iter().map(|asset| asset.asset_id));
        query.before = page.next;
        if query.before.is_none() {
            return ids;
        }
    }
}

/// Records are `{"colour": ...}`.
fn by_colour(record: &Value) -> Row {
    Row {
        keys: vec![Key::new("colour", record["colour"].as_str().unwrap_or(""))],
        text: String::new(),
    }
}

fn open_store(dir: &Path, version: u32) -> Store {
    let schema = Schema {
        version,
        row: by_colour,
        counted: &["colour"],
    };
    Store::open(dir, schema, &Clock::default(), &Ids::default()).unwrap()
}

fn put(store: &Store, id: &str, colour: &str) {
    let record = json!({ "colour": colour });
    store.write(|writer| writer.put(id, &record)).unwrap();
}

fn ids(store: &Store, colour: Option<&str>) -> Vec<String> {
    let key = colour.map(|colour| Key::new("colour", colour));
    let rows = store.newest(key.as_ref(), None, usize::MAX).unwrap();
    assert_eq!(store.count(key.as_ref()).unwrap(), rows.len() as u64);
    rows.into_iter().map(|(id, _)| id).collect()
}

fn append(path: &Path, bytes: &[u8]) {
    File::options()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

#[test]
#[ignore = "a process that other tests start and kill"]
fn keeps_assets_until_it_is_killed() {
    let Some((dir, name)) = given() else {
        return;
    };
    let assets = open_assets(&dir);
    let workflow = Arc::new(json!({"1": {"class_type": "SaveImage", "inputs": {"by": name}}}));
    for n in 0_u32.. {
        let new = NewAsset {
            workflow: Some(Arc::clone(&workflow)),
            ..output(&format!("{name}-{n}"), "a.txt")
        };
        let asset = assets.keep(new, format!("{name} {n}").as_bytes()).unwrap();
        if n % 5 == 4 {
            assets
                .remove(std::slice::from_ref(&asset.asset_id))
                .unwrap();
        } else {
            report(&asset.asset_id);
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_it_had_reported() {
    const ROUNDS: usize = 12;
    let dir = folder();
    let mut reported = HashSet::new();
    for round in 0..ROUNDS {
        let name = format!("round-{round}");
        let start = || {
            Process::start(
                "suite::store::keeps_assets_until_it_is_killed",
                dir.path(),
                &name,
            )
        };
        let mut process = start();
        // Killed wherever it happens to be, a different stretch into its work each time.
        for _ in 0..=round * 3 {
            reported.insert(process.next().unwrap());
        }
        reported.extend(process.kill());

        let assets = open_assets(dir.path());
        let listed: HashSet<String> = all(&assets).into_iter().collect();
        let lost: Vec<_> = reported.difference(&listed).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
        for id in &listed {
            let asset = assets.get(id).unwrap();
            let bytes = assets.read_bytes(id).unwrap();
            assert_eq!(blake3::hash(&bytes).to_hex().to_string(), asset.blake3);
            assets.workflow(&asset).unwrap();
        }
    }
    // What was being written when the axe fell may be there or not; the records and the index
    // agree on it either way, once somebody has written again.
    let assets = open_assets(dir.path());
    assets.keep(output("last", "a.txt"), b"last").unwrap();
    let listed = all(&assets).len() as u64;
    assert_eq!(assets.rebuild().unwrap().records, listed);
    drop(assets);
    nothing_is_left_over_in(dir.path());
}

/// An hour or two later only what an asset needs is still there.
fn nothing_is_left_over_in(dir: &Path) {
    let clock = Clock::fixed(jiff::Timestamp::now() + Duration::from_hours(2));
    let assets = Assets::open(dir, AssetOptions::default(), clock, Ids::default()).unwrap();
    assets.tidy().unwrap();

    let needed = all(&assets).into_iter().map(|id| assets.get(&id).unwrap());
    let (blobs, workflows): (HashSet<_>, HashSet<_>) = needed
        .map(|asset| (asset.blob, asset.provenance.workflow))
        .unzip();
    assert_eq!(files_below(&dir.join("blobs")), blobs.len());
    let workflows = workflows.into_iter().flatten().count();
    assert_eq!(files_below(&dir.join("workflows")), workflows);
}

#[test]
#[ignore = "a process that another test starts"]
fn collects_the_same_run_as_others_do() {
    let Some((dir, _)) = given() else {
        return;
    };
    let assets = open_assets(&dir);
    for n in 0..20 {
        let asset = assets
            .keep(output("run", &format!("{n}.txt")), &[n])
            .unwrap();
        report(&asset.asset_id);
    }
}

#[test]
fn processes_that_collect_the_same_run_at_once_keep_each_output_once() {
    let dir = folder();
    let assets = open_assets(dir.path());
    let start = |n: i32| {
        Process::start(
            "suite::store::collects_the_same_run_as_others_do",
            dir.path(),
            &n.to_string(),
        )
    };
    let mut processes = [1, 2, 3].map(start);

    let told = processes.each_mut().map(Process::rest);

    assert_eq!(told[0].len(), 20);
    assert!(told.iter().all(|ids| *ids == told[0]));
    let mut listed = all(&assets);
    listed.reverse();
    assert_eq!(listed, told[0]);
}

#[test]
fn what_one_process_keeps_another_sees_at_once() {
    let shelf = Shelf::new();
    let other = shelf.another();
    for n in 0..5 {
        let asset = shelf
            .assets
            .keep(output("run", &format!("{n}.txt")), &[n])
            .unwrap();
        assert_eq!(all(&other)[0], asset.asset_id);
        other.pin(&asset.asset_id).unwrap();
        assert!(shelf.assets.get(&asset.asset_id).unwrap().pinned);
        other.remove(&[asset.asset_id]).unwrap();
        assert!(all(&shelf.assets).is_empty());
    }
}

#[test]
fn threads_that_write_at_once_do_not_get_in_each_others_way() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    thread::scope(|scope| {
        for who in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..10 {
                    put(store, &format!("{who}-{n}"), "red");
                    assert!(store.row(&format!("{who}-{n}")).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(ids(&store, Some("red")).len(), 40);
}

#[test]
fn a_broken_index_is_built_anew() {
    let dir = folder();
    for damage in [b"".as_slice(), b"garbage", &vec![0xff; 1 << 20]] {
        let store = open_store(dir.path(), 1);
        put(&store, "one", "red");
        put(&store, "two", "blue");
        drop(store);
        let index = dir.path().join("index/0");
        let files: Vec<PathBuf> = fs::read_dir(&index)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        let files: Vec<_> = files.into_iter().filter(|path| path.is_file()).collect();
        assert!(!files.is_empty());
        for file in files {
            fs::write(file, damage).unwrap();
        }

        let store = open_store(dir.path(), 1);

        assert_eq!(ids(&store, None), ["two", "one"]);
        assert_eq!(ids(&store, Some("red")), ["one"]);
    }
}

#[test]
fn an_index_that_is_gone_is_built_anew() {
    let dir = folder();
    put(&open_store(dir.path(), 1), "one", "red");
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(ids(&open_store(dir.path(), 1), Some("red")), ["one"]);
}

#[test]
fn a_journal_line_cut_short_harms_no_other() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    let other = open_store(dir.path(), 1);
    put(&store, "one", "red");
    append(&dir.path().join("journal.jsonl"), br#"{"put":{"id":"tw"#);
    assert_eq!(ids(&store, None), ["one"]);

    put(&other, "three", "red");

    assert_eq!(ids(&store, None), ["three", "one"]);
    drop((store, other));
    assert_eq!(ids(&open_store(dir.path(), 1), None), ["three", "one"]);
}

#[test]
fn a_record_written_by_a_process_that_died_before_saying_so_is_found_by_the_next_writer() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    put(&store, "one", "red");
    // What a process leaves behind that is killed between the record and the journal line.
    fs::create_dir_all(dir.path().join("records/wo")).unwrap();
    fs::write(
        dir.path().join("records/wo/two.json"),
        r#"{"colour":"red"}"#,
    )
    .unwrap();
    fs::remove_file(dir.path().join("records/ne/one.json")).unwrap();
    fs::write(dir.path().join("write.lock"), "two\none\nnever\nthr").unwrap();

    put(&store, "four", "blue");

    assert_eq!(ids(&store, None), ["two", "four"]);
    assert_eq!(fs::read(dir.path().join("write.lock")).unwrap(), b"");
}

#[test]
fn a_journal_that_is_gone_is_made_from_the_records_even_while_the_store_is_open() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    put(&store, "one", "red");
    fs::remove_file(dir.path().join("journal.jsonl")).unwrap();

    put(&store, "two", "red");

    assert_eq!(ids(&store, None), ["two", "one"]);
    assert_eq!(ids(&open_store(dir.path(), 1), None), ["two", "one"]);
}

#[test]
fn a_new_schema_indexes_everything_anew_and_an_older_program_keeps_its_hands_off() {
    let dir = folder();
    put(&open_store(dir.path(), 1), "one", "red");
    fs::write(
        dir.path().join("records/ne/one.json"),
        r#"{"colour":"blue"}"#,
    )
    .unwrap();

    assert_eq!(ids(&open_store(dir.path(), 2), Some("blue")), ["one"]);

    let schema = Schema {
        version: 1,
        row: by_colour,
        counted: &["colour"],
    };
    let refused = Store::open(dir.path(), schema, &Clock::default(), &Ids::default()).unwrap_err();
    assert!(Failure::from(refused).hint.unwrap().contains("update"));
}

#[test]
fn a_damaged_record_is_told_of_and_left_where_it_is() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    put(&store, "one", "red");
    put(&store, "two", "red");
    let path = dir.path().join("records/ne/one.json");
    fs::write(&path, "{").unwrap();

    let rebuilt = store.rebuild().unwrap();

    assert_eq!((rebuilt.records, rebuilt.damaged), (1, vec![path.clone()]));
    assert!(path.exists());
    assert_eq!(ids(&store, None), ["two"]);
}

/// A property that makes the journal long: a few of them are folded.
fn shade(n: usize) -> String {
    format!("{n}{}", "-".repeat(200_000))
}

fn journal_len(dir: &Path) -> u64 {
    fs::metadata(dir.join("journal.jsonl")).unwrap().len()
}

#[test]
fn a_journal_is_folded_before_it_gets_long_under_the_eyes_of_other_processes() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    let (close, idle) = (open_store(dir.path(), 1), open_store(dir.path(), 1));
    let mut expected = Vec::new();
    for n in 0..20 {
        let id = format!("r-{n:02}");
        put(&store, &id, &shade(n));
        put(&store, &id, &format!("{n}"));
        if n % 3 == 0 {
            store.write(|writer| writer.remove(&id)).unwrap();
        } else {
            expected.insert(0, id);
        }
        assert_eq!(ids(&close, None), expected);
        assert!(journal_len(dir.path()) < 1 << 20);
    }

    for store in [&store, &close, &idle, &open_store(dir.path(), 1)] {
        assert_eq!(ids(store, None), expected);
        assert_eq!(ids(store, Some("4")), ["r-04"]);
        assert_eq!(ids(store, Some("3")), [""; 0]);
        assert_eq!(ids(store, Some(&shade(4))), [""; 0]);
    }
}

#[test]
fn compaction_forgets_what_is_gone() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    let idle = open_store(dir.path(), 1);
    put(&store, "kept", "red");
    for n in 0..30 {
        put(&store, "gone", &shade(n));
    }
    store.write(|writer| writer.remove("gone")).unwrap();
    put(&store, "last", &shade(0));
    put(&store, "last", &shade(1));
    put(&store, "last", &shade(2));

    store.compact().unwrap();
    assert!(!store.compact().unwrap(), "there is nothing left to forget");

    for store in [&store, &idle, &open_store(dir.path(), 1)] {
        assert_eq!(ids(store, None), ["last", "kept"]);
        assert_eq!(ids(store, Some(&shade(2))), ["last"]);
        assert_eq!(ids(store, Some(&shade(1))), [""; 0]);
    }
}

#[test]
fn a_segment_that_is_damaged_or_gone_is_made_anew_even_while_the_store_is_open() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    for n in 0..4 {
        put(&store, &format!("r-{n}"), &shade(n));
    }
    let segments = || fs::read_dir(dir.path().join("segments")).unwrap();
    for damage in [b"".as_slice(), b"garbage", &vec![0xff; 1 << 20]] {
        assert!(segments().count() > 0);
        for segment in segments() {
            fs::write(segment.unwrap().path(), damage).unwrap();
        }
        let other = open_store(dir.path(), 1);
        for store in [&store, &other] {
            assert_eq!(ids(store, None), ["r-3", "r-2", "r-1", "r-0"]);
            assert_eq!(ids(store, Some(&shade(2))), ["r-2"]);
        }
    }
    fs::remove_dir_all(dir.path().join("segments")).unwrap();
    assert_eq!(ids(&open_store(dir.path(), 1), None).len(), 4);
    put(&store, "r-4", "red");
    assert_eq!(ids(&store, None).len(), 5);
}

#[test]
fn of_all_who_meet_the_same_damage_one_mends_it() {
    static INDEXED: AtomicUsize = AtomicUsize::new(0);
    fn counted(record: &Value) -> Row {
        INDEXED.fetch_add(1, Ordering::Relaxed);
        by_colour(record)
    }
    let dir = folder();
    let store = open_store(dir.path(), 1);
    for n in 0..4 {
        put(&store, &format!("r-{n}"), &shade(n));
    }
    drop(store);
    let schema = Schema {
        version: 1,
        row: counted,
        counted: &["colour"],
    };
    let store = Store::open(dir.path(), schema, &Clock::default(), &Ids::default()).unwrap();
    let segments = fs::read_dir(dir.path().join("segments")).unwrap();
    for segment in segments {
        fs::write(segment.unwrap().path(), "garbage").unwrap();
    }
    let together = Barrier::new(8);

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                assert_eq!(ids(&store, None).len(), 4);
            });
        }
    });

    assert_eq!(INDEXED.load(Ordering::Relaxed), 4);
}

#[test]
#[ignore = "a process that another test starts and kills"]
fn folds_its_journal_until_it_is_killed() {
    let Some((dir, name)) = given() else {
        return;
    };
    let store = open_store(&dir, 1);
    for n in 0.. {
        let id = format!("{name}-{n:04}");
        put(&store, &id, &shade(n));
        report(&id);
        if n % 7 == 6 {
            store.compact().unwrap();
        }
    }
}

#[test]
fn a_process_killed_while_it_folds_loses_nothing_and_the_others_go_on() {
    let dir = folder();
    let other = open_store(dir.path(), 1);
    let mut reported = HashSet::new();
    for round in 0..5 {
        let name = format!("round-{round}");
        let test = "suite::store::folds_its_journal_until_it_is_killed";
        let mut process = Process::start(test, dir.path(), &name);
        for _ in 0..=round * 3 {
            reported.insert(process.next().unwrap());
        }
        reported.extend(process.kill());

        put(&other, &format!("{name}-other"), "red");
        for store in [&other, &open_store(dir.path(), 1)] {
            let known: HashSet<String> = ids(store, None).into_iter().collect();
            let lost: Vec<_> = reported.difference(&known).collect();
            assert!(lost.is_empty(), "round {round} lost {lost:?}");
            assert_eq!(ids(store, Some("red")).len(), round + 1);
        }
    }
    let known = ids(&other, None).len() as u64;
    assert_eq!(other.rebuild().unwrap().records, known);
}

#[test]
fn a_compaction_that_died_halfway_is_as_if_it_had_never_begun() {
    let dir = folder();
    let store = open_store(dir.path(), 1);
    let other = open_store(dir.path(), 1);
    put(&store, "one", "red");
    append(&dir.path().join("journal.jsonl"), b"\"moved\"\n");
    assert_eq!(ids(&store, None), ["one"]);

    put(&other, "two", "red");
    put(&store, "three", "red");

    for store in [&store, &other, &open_store(dir.path(), 1)] {
        assert_eq!(ids(store, None), ["two", "three", "one"]);
    }
}

#[test]
fn a_process_that_joins_takes_in_a_long_journal_with_all_its_turns() {
    const RECORDS: usize = 4000;
    let dir = folder();
    drop(open_store(dir.path(), 1));
    let line = |change: &Value| format!("{change}\n");
    let put = |n: usize, colour: &str| {
        let row =
            json!({"keys": [["colour", colour], ["rare", n.to_string()]], "text": "x".repeat(300)});
        line(&json!({"put": {"id": format!("r-{n:05}"), "row": row}}))
    };
    let mut journal: String = (0..RECORDS).map(|n| put(n, "red")).collect();
    journal.extend((0..RECORDS).step_by(4).map(|n| put(n, "blue")));
    let dropped = (0..RECORDS).step_by(8);
    journal.extend(dropped.map(|n| line(&json!({"drop": {"id": format!("r-{n:05}")}}))));
    assert!(
        journal.len() > 1 << 20,
        "too short to be read in several pieces"
    );
    append(&dir.path().join("journal.jsonl"), journal.as_bytes());

    for _ in 0..2 {
        let store = open_store(dir.path(), 1);
        assert_eq!(ids(&store, None).len(), RECORDS * 7 / 8);
        assert_eq!(ids(&store, Some("red")).len(), RECORDS * 6 / 8);
        assert_eq!(ids(&store, Some("blue")).len(), RECORDS / 8);
        assert_eq!(store.count(Some(&Key::new("rare", "1"))).unwrap(), 1);
        assert_eq!(store.count(Some(&Key::new("rare", "8"))).unwrap(), 0);
        assert_eq!(
            ids(&store, Some("blue")).last().map(String::as_str),
            Some("r-00004")
        );
    }
}
