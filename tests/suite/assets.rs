//! Keeping assets, finding them again and letting them go.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use image::{DynamicImage, ImageFormat, RgbaImage};
use massmediafactory::assets::{AssetError, Kind, NewAsset, Query, ScriptRef};
use massmediafactory::failure::{Code, Failure};
use serde_json::json;

use crate::support::assets::{Shelf, TTL, encode, files_below, noise, output};

fn names(query: &Query, shelf: &Shelf) -> Vec<String> {
    shelf
        .assets
        .list(query)
        .unwrap()
        .assets
        .into_iter()
        .map(|asset| asset.filename)
        .collect()
}

#[test]
fn what_was_kept_comes_back_with_all_that_is_known_of_it() {
    let shelf = Shelf::new();
    let workflow =
        json!({"3": {"class_type": "KSampler", "inputs": {"seed": u64::MAX, "cfg": 7.1}}});
    let kept = shelf
        .assets
        .keep(
            NewAsset {
                subfolder: "heroes".to_owned(),
                session_id: Some("s1".to_owned()),
                prompt: "a dragon ".repeat(50),
                workflow: Some(Arc::new(workflow.clone())),
                parameters: json!({"SEED": u64::MAX}).as_object().unwrap().clone(),
                ..output("run-1", "dragon_00001_.png")
            },
            &noise(40, 30, ImageFormat::Png),
        )
        .unwrap();

    let shelf = shelf.reopened();
    let asset = shelf.assets.get(&kept.asset_id).unwrap();

    assert_eq!(asset, kept);
    assert_eq!(
        (asset.kind, asset.mime_type.as_str()),
        (Kind::Images, "image/png")
    );
    assert_eq!((asset.width, asset.height), (Some(40), Some(30)));
    assert_eq!(asset.prompt_preview.len(), 100);
    assert_eq!(asset.provenance.parameters["SEED"], json!(u64::MAX));
    assert_eq!(shelf.assets.workflow(&asset).unwrap(), workflow);
    assert_eq!(
        shelf.assets.read_bytes(&asset.asset_id).unwrap(),
        noise(40, 30, ImageFormat::Png)
    );
}

#[test]
fn the_same_output_of_a_run_is_kept_once() {
    let shelf = Shelf::new();
    let first = shelf.assets.keep(output("run-1", "a.png"), b"one").unwrap();

    assert_eq!(
        shelf.assets.keep(output("run-1", "a.png"), b"one").unwrap(),
        first
    );
    assert_eq!(
        shelf
            .another()
            .keep(output("run-1", "a.png"), b"one")
            .unwrap(),
        first
    );
    assert_eq!(shelf.assets.list(&Query::default()).unwrap().total, Some(1));
}

#[test]
fn a_name_used_again_by_another_run_is_another_asset() {
    let shelf = Shelf::new();
    let first = shelf.assets.keep(output("run-1", "a.png"), b"one").unwrap();
    let second = shelf.assets.keep(output("run-2", "a.png"), b"two").unwrap();

    assert_ne!(first.asset_id, second.asset_id);
    assert_eq!(shelf.assets.read_bytes(&first.asset_id).unwrap(), b"one");
    let newest = shelf
        .assets
        .find_by_output("a.png", "", first.folder_type)
        .unwrap();
    assert_eq!(newest, Some(second));
}

#[test]
fn equal_bytes_lie_on_disk_once_and_go_with_the_last_asset_that_has_them() {
    let shelf = Shelf::new();
    let first = shelf
        .assets
        .keep(output("run-1", "a.txt"), b"same")
        .unwrap();
    let second = shelf
        .assets
        .keep(output("run-2", "b.txt"), b"same")
        .unwrap();
    let blobs = shelf.dir.path().join("blobs");
    assert_eq!(files_below(&blobs), 1);

    let removed = shelf.assets.remove(&[first.asset_id]).unwrap();
    assert_eq!((removed.bytes, files_below(&blobs)), (0, 1));

    let removed = shelf.assets.remove(&[second.asset_id]).unwrap();
    assert_eq!((removed.bytes, files_below(&blobs)), (4, 0));
}

#[test]
fn lists_run_from_the_newest_to_the_oldest_page_by_page() {
    let shelf = Shelf::new();
    for n in 0..7 {
        shelf
            .assets
            .keep(output("run", &format!("{n}.txt")), &[n])
            .unwrap();
    }
    let mut query = Query {
        limit: 3,
        ..Query::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = shelf.assets.list(&query).unwrap();
        assert_eq!(page.total, Some(7));
        seen.push(
            page.assets
                .iter()
                .map(|asset| asset.filename.clone())
                .collect::<Vec<_>>()
                .join(" "),
        );
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["6.txt 5.txt 4.txt", "3.txt 2.txt 1.txt", "0.txt"]);
}

#[test]
fn a_list_can_be_narrowed_in_every_way_at_once() {
    let shelf = Shelf::new();
    let script = |name: &str| {
        let text = |text: &str| text.to_owned();
        Some(ScriptRef {
            name: text(name),
            kind: text("template"),
            hash: text("h"),
            origin: text("builtin"),
        })
    };
    for (n, (session, filename, prompt, by)) in [
        ("s1", "a.png", "a Dragon over the sea", "flux"),
        ("s1", "b.mp4", "a dragon over the sea", "wan"),
        ("s2", "c.png", "the sea", "flux"),
        ("s1", "d.png", "the sea", "sdxl"),
    ]
    .into_iter()
    .enumerate()
    {
        let new = NewAsset {
            session_id: Some(session.to_owned()),
            prompt: prompt.to_owned(),
            script: script(by),
            ..output(&format!("run-{n}"), filename)
        };
        shelf.assets.keep(new, filename.as_bytes()).unwrap();
    }
    let s1 = Query {
        session: Some("s1".to_owned()),
        ..Query::default()
    };
    let images = Query {
        kind: Some(Kind::Images),
        ..s1.clone()
    };
    let dragons = Query {
        text: Some("SEA dragon".to_owned()),
        ..s1.clone()
    };
    let flux = Query {
        script: Some("flux".to_owned()),
        ..images.clone()
    };

    assert_eq!(names(&s1, &shelf), ["d.png", "b.mp4", "a.png"]);
    assert_eq!(names(&images, &shelf), ["d.png", "a.png"]);
    assert_eq!(names(&dragons, &shelf), ["b.mp4", "a.png"]);
    assert_eq!(names(&flux, &shelf), ["a.png"]);
    assert_eq!(shelf.assets.list(&flux).unwrap().total, Some(1));
    assert_eq!(
        shelf
            .assets
            .list(&Query { limit: 1, ..images })
            .unwrap()
            .total,
        Some(2)
    );
}

#[test]
fn a_total_is_told_as_long_as_it_costs_little() {
    let shelf = Shelf::new();
    for n in 0..520 {
        let new = NewAsset {
            session_id: Some("s1".to_owned()),
            ..output(&format!("run-{n}"), &format!("{n}.txt"))
        };
        shelf.assets.keep(new, b"the same").unwrap();
    }
    let query = Query {
        session: Some("s1".to_owned()),
        text: Some("txt".to_owned()),
        ..Query::default()
    };
    let total = |query: &Query| shelf.assets.list(query).unwrap().total;
    assert_eq!(total(&query), None);
    let all = Query {
        limit: 1000,
        ..query
    };
    assert_eq!(total(&all), Some(520), "seen anyway");
    let session = Query {
        text: None,
        limit: 1,
        ..all
    };
    assert_eq!(total(&session), Some(520));
    let like = shelf.assets.ids_like("519.T", 500).unwrap();
    assert_eq!(
        like,
        [shelf.assets.list(&session).unwrap().assets[0]
            .asset_id
            .clone()]
    );
    assert!(shelf.assets.ids_like("7.txt", 1).unwrap().is_empty());
}

#[test]
fn an_asset_past_its_time_is_gone_for_everyone_before_it_is_removed() {
    let shelf = Shelf::new();
    let old = shelf
        .assets
        .keep(output("run-1", "old.txt"), b"old")
        .unwrap();
    shelf.clock.advance(TTL / 2);
    shelf
        .assets
        .keep(output("run-2", "young.txt"), b"young")
        .unwrap();
    shelf.clock.advance(TTL / 2);

    let error = shelf.assets.get(&old.asset_id).unwrap_err();
    assert!(matches!(error, AssetError::NotFound { expired: true, .. }));
    assert_eq!(Failure::from(error).code, Code::ASSET_NOT_FOUND_OR_EXPIRED);
    let page = shelf.assets.list(&Query::default()).unwrap();
    assert_eq!((page.assets.len(), page.total), (1, Some(1)));
    let all = Query {
        include_expired: true,
        ..Query::default()
    };
    assert_eq!(shelf.assets.list(&all).unwrap().total, Some(2));

    let removed = shelf.assets.remove_expired().unwrap();
    assert_eq!(removed.asset_ids, [old.asset_id]);
    assert_eq!(shelf.assets.list(&all).unwrap().total, Some(1));
    assert_eq!(files_below(&shelf.dir.path().join("blobs")), 1);
}

#[test]
fn a_damaged_record_and_one_that_other_hands_removed_do_not_keep_the_rest_for_ever() {
    let shelf = Shelf::new();
    let [damaged, taken, other] = ["a.txt", "b.txt", "c.txt"].map(|name| {
        let kept = shelf.assets.keep(output("run", name), name.as_bytes());
        kept.unwrap().asset_id
    });
    let record = |id: &str| {
        let shard = shelf.dir.path().join("records").join(&id[id.len() - 2..]);
        shard.join(format!("{id}.json"))
    };
    fs::write(record(&damaged), "{").unwrap();
    fs::remove_file(record(&taken)).unwrap();
    shelf.clock.advance(TTL);

    let removed = shelf.assets.remove_expired().unwrap();

    assert_eq!(removed.asset_ids, [other]);
    assert_eq!(fs::read(record(&damaged)).unwrap(), b"{");
    let removed = shelf.assets.remove_expired().unwrap();
    assert_eq!(removed.asset_ids, [""; 0]);
}

#[test]
fn a_pinned_asset_outlives_its_time_and_gets_a_whole_one_when_unpinned() {
    let shelf = Shelf::new();
    let asset = shelf.assets.keep(output("run-1", "a.txt"), b"a").unwrap();
    shelf.assets.pin(&asset.asset_id).unwrap();
    shelf.clock.advance(TTL * 3);

    assert!(shelf.assets.remove_expired().unwrap().asset_ids.is_empty());
    let unpinned = shelf.assets.unpin(&asset.asset_id).unwrap();

    let now = shelf.clock.now();
    assert_eq!(unpinned.expires_at, Some(now + TTL));
    shelf.clock.advance(TTL + Duration::from_secs(1));
    assert_eq!(shelf.assets.remove_expired().unwrap().asset_ids.len(), 1);
}

/// A shelf on which 1,000 bytes have room, with as many bytes of each of these names; they are
/// made an hour apart.
fn narrow(names: &[&str], each: usize) -> (Shelf, Vec<String>) {
    let mut shelf = Shelf::new();
    shelf.clock.advance(TTL);
    let ids = names.iter().enumerate().map(|(n, name)| {
        shelf.clock.advance(Duration::from_secs(60 * 60));
        let bytes = vec![u8::try_from(n).unwrap(); each];
        let new = NewAsset {
            pinned: name.starts_with("pinned"),
            ..output("run", name)
        };
        shelf.assets.keep(new, &bytes).unwrap().asset_id
    });
    let ids = ids.collect();
    shelf.assets = shelf.limited(1000);
    (shelf, ids)
}

#[test]
fn beyond_the_limit_the_oldest_go_and_neither_what_is_pinned_nor_what_is_new() {
    let (shelf, _) = narrow(&["pinned", "old", "older", "new"], 400);
    shelf.clock.advance(Duration::from_secs(10));

    let removed = shelf.assets.make_room().unwrap();

    assert_eq!(removed.bytes, 800);
    assert_eq!(names(&Query::default(), &shelf), ["new", "pinned"]);
    assert!(!shelf.assets.usage().unwrap().is_over());
    assert_eq!(shelf.assets.make_room().unwrap().bytes, 0);
}

#[test]
fn those_who_make_room_at_once_remove_together_what_one_would() {
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (shelf, _) = narrow(&names, 100);
    shelf.clock.advance(Duration::from_secs(60 * 60 + 1));
    let together = Barrier::new(4);

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let assets = shelf.limited(1000);
                together.wait();
                assets.make_room().unwrap();
            });
        }
    });

    assert_eq!(shelf.assets.usage().unwrap().bytes, 1000);
}

#[test]
fn what_has_expired_makes_room_before_anything_else_does() {
    let (shelf, ids) = narrow(&["a", "b", "c"], 400);
    shelf.assets.pin(&ids[1]).unwrap();
    shelf.assets.unpin(&ids[1]).unwrap();
    // The time of the first is over, while the second has begun anew.
    shelf
        .clock
        .advance(Duration::from_secs(23 * 60 * 60 + 30 * 60));

    shelf.assets.make_room().unwrap();

    assert_eq!(names(&Query::default(), &shelf), ["c", "b"]);
}

#[test]
fn keeping_beyond_the_limit_makes_room_by_itself_as_far_as_it_may() {
    let (shelf, _) = narrow(&["old", "pinned", "new"], 400);
    shelf.clock.advance(Duration::from_secs(61 * 60));
    shelf
        .assets
        .keep(output("run", "newest"), &[9; 700])
        .unwrap();

    assert_eq!(names(&Query::default(), &shelf), ["newest", "pinned"]);
    assert!(shelf.assets.usage().unwrap().is_over());
}

#[test]
fn a_workflow_shared_by_a_run_lies_on_disk_once_and_goes_with_its_last_asset() {
    let shelf = Shelf::new();
    let workflow = Arc::new(json!({"1": {"class_type": "SaveImage", "inputs": {}}}));
    let ids: Vec<String> = (0..3)
        .map(|n| {
            let new = NewAsset {
                workflow: Some(Arc::clone(&workflow)),
                ..output("run", &format!("{n}.txt"))
            };
            shelf.assets.keep(new, &[n]).unwrap().asset_id
        })
        .collect();
    let workflows = shelf.dir.path().join("workflows");
    assert_eq!(files_below(&workflows), 1);

    shelf.assets.remove(&ids[..2]).unwrap();
    assert_eq!(files_below(&workflows), 1);

    shelf.assets.remove(&ids[2..]).unwrap();
    assert_eq!(files_below(&workflows), 0);
}

#[test]
fn a_preview_stays_within_its_limits_and_keeps_what_is_transparent() {
    let shelf = Shelf::new();
    let large = shelf
        .assets
        .keep(output("run-1", "a.png"), &noise(900, 600, ImageFormat::Png))
        .unwrap();
    let clear =
        DynamicImage::ImageRgba8(RgbaImage::from_pixel(300, 200, image::Rgba([9, 9, 9, 99])));
    let clear = shelf
        .assets
        .keep(
            output("run-1", "b.webp"),
            &encode(&clear, ImageFormat::WebP),
        )
        .unwrap();

    let preview = shelf.assets.preview(&large.asset_id, 512, 20_000).unwrap();
    assert!(preview.bytes.len() <= 20_000 && preview.width <= 512);
    assert_eq!(preview.mime_type, "image/jpeg");
    assert_eq!(
        image::load_from_memory(&preview.bytes).unwrap().width(),
        preview.width
    );

    let preview = shelf.assets.preview(&clear.asset_id, 512, 20_000).unwrap();
    assert_eq!(
        (preview.mime_type, preview.width, preview.height),
        ("image/webp", 300, 200)
    );
    let preview = shelf.assets.preview(&clear.asset_id, 512, 90).unwrap_err();
    assert!(matches!(preview, AssetError::NoPreview { .. }));
}

#[test]
fn what_is_no_picture_has_no_preview_and_says_so() {
    let shelf = Shelf::new();
    let asset = shelf
        .assets
        .keep(output("run-1", "a.mp4"), b"clip")
        .unwrap();

    let failure = Failure::from(
        shelf
            .assets
            .preview(&asset.asset_id, 512, 20_000)
            .unwrap_err(),
    );

    assert_eq!(failure.code, Code::UNSUPPORTED_TYPE);
}

/// Makes a file look as if it had been written that long before the shelf's clock.
fn age(shelf: &Shelf, path: &Path, by: Duration) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified((shelf.clock.now() - by).into()).unwrap();
}

#[test]
fn what_a_killed_process_left_behind_is_swept_away_an_hour_later() {
    const HOUR: Duration = Duration::from_hours(1);
    let shelf = Shelf::new();
    let workflow = Some(Arc::new(json!({})));
    let new = NewAsset {
        workflow,
        ..output("run", "a.txt")
    };
    let kept = shelf.assets.keep(new, b"kept").unwrap();
    let below = |name: &str, hash_of: &[u8]| {
        let hash = blake3::hash(hash_of).to_hex().to_string();
        let path = shelf.dir.path().join(match name {
            "workflows" => format!("workflows/{hash}.json"),
            _ => format!("blobs/{}/{hash}.png", &hash[..2]),
        });
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, hash_of).unwrap();
        path
    };
    let stray = [below("blobs", b"lost"), below("workflows", b"lost")];
    let young = below("blobs", b"young");
    let foreign = shelf.dir.path().join("blobs/readme.txt");
    fs::write(&foreign, "by hand").unwrap();
    let own = [
        shelf.assets.path(&kept.asset_id).unwrap(),
        shelf.dir.path().join(format!(
            "workflows/{}.json",
            kept.provenance.workflow.as_ref().unwrap()
        )),
    ];
    for path in stray.iter().chain(&own).chain([&foreign]) {
        age(&shelf, path, HOUR * 2);
    }
    age(&shelf, &young, HOUR / 2);

    assert_eq!(shelf.assets.tidy().unwrap().bytes, 8);

    assert!(stray.iter().all(|path| !path.exists()));
    assert!(
        own.iter()
            .chain([&young, &foreign])
            .all(|path| path.exists())
    );
    shelf.clock.advance(HOUR);
    assert_eq!(shelf.assets.tidy().unwrap().bytes, 5);
    assert!(!young.exists());
}

#[test]
fn bytes_that_only_a_damaged_record_names_are_not_swept_away() {
    let shelf = Shelf::new();
    let [damaged, _] = ["a.txt", "b.txt"].map(|name| {
        let kept = shelf.assets.keep(output("run", name), name.as_bytes());
        kept.unwrap()
    });
    let id = &damaged.asset_id;
    let record = shelf.dir.path().join("records").join(&id[id.len() - 2..]);
    let record = record.join(format!("{id}.json"));
    let json = fs::read_to_string(&record).unwrap();
    fs::write(&record, json.trim_end().trim_end_matches('}')).unwrap();
    assert_eq!(shelf.assets.rebuild().unwrap().records, 1);
    let blob = shelf.dir.path().join(&damaged.blob);
    age(&shelf, &blob, TTL);

    shelf.assets.tidy().unwrap();

    assert!(blob.exists());
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_or_indexed_anew_while_a_folder_of_records_can_not_be_read() {
    let shelf = Shelf::new();
    let kept = shelf.assets.keep(output("run", "a.txt"), b"a").unwrap();
    let shelf_dir = shelf.dir.path();
    let shard = shelf_dir
        .join("records")
        .join(&kept.asset_id[kept.asset_id.len() - 2..]);
    // What this program does not know of, and what looks like a stray.
    let stray = shelf_dir.join(kept.blob.replace(&kept.blake3[2..], &"0".repeat(62)));
    fs::write(&stray, "b").unwrap();
    age(&shelf, &stray, TTL);
    // A link that leads in a circle can be read by nobody, whoever runs the tests.
    let aside = shelf_dir.join("aside");
    fs::rename(&shard, &aside).unwrap();
    std::os::unix::fs::symlink(&shard, &shard).unwrap();

    shelf.assets.rebuild().unwrap_err();
    shelf.assets.tidy().unwrap_err();
    assert!(stray.exists());

    fs::remove_file(&shard).unwrap();
    fs::rename(&aside, &shard).unwrap();
    assert_eq!(shelf.assets.get(&kept.asset_id).unwrap(), kept);
    shelf.assets.tidy().unwrap();
    assert!(!stray.exists());
}

#[test]
fn ids_from_outside_are_unknown_however_strange() {
    let shelf = Shelf::new();
    for id in [
        "",
        "x",
        "../../etc/passwd",
        "a\0b",
        "..",
        "é",
        &"9".repeat(500),
    ] {
        let failure = Failure::from(shelf.assets.get(id).unwrap_err());
        assert_eq!(failure.code, Code::ASSET_NOT_FOUND_OR_EXPIRED, "{id}");
    }
}

#[test]
fn a_record_edited_by_hand_cannot_point_out_of_the_folder() {
    let shelf = Shelf::new();
    let asset = shelf.assets.keep(output("run-1", "a.txt"), b"a").unwrap();
    let outside = shelf
        .dir
        .path()
        .parent()
        .unwrap()
        .join("mmf-outside-of-all.txt");
    let id = &asset.asset_id;
    let record = shelf
        .dir
        .path()
        .join("records")
        .join(&id[id.len() - 2..])
        .join(format!("{id}.json"));
    let json = fs::read_to_string(&record).unwrap();
    fs::write(
        &record,
        json.replace(&asset.blob, "../mmf-outside-of-all.txt"),
    )
    .unwrap();
    fs::write(&outside, "secret").unwrap();

    let read = shelf.assets.read_bytes(id);

    fs::remove_file(&outside).unwrap();
    assert!(
        matches!(read, Err(AssetError::BytesGone { .. })),
        "{read:?}"
    );
}
