//! Bringing assets into a web project.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use image::{DynamicImage, ImageFormat, RgbaImage};
use massmediafactory::assets::publish::{
    PublishError, PublishRequest, Published, Publisher, Target,
};
use massmediafactory::assets::{AssetOptions, Assets, Query};
use massmediafactory::clock::Clock;
use massmediafactory::failure::{Code, Failure};
use massmediafactory::ids::Ids;
use serde_json::{Map, Value};

use crate::support::assets::{Shelf, encode, noise, output};
use crate::support::processes::{Process, given, report};

/// A shelf and a project beside it with the folder `public/gen`.
struct Site {
    shelf: Shelf,
    project: tempfile::TempDir,
    publisher: Publisher,
}

impl Site {
    fn new() -> Self {
        let shelf = Shelf::new();
        let project = tempfile::Builder::new().prefix("site").tempdir().unwrap();
        fs::create_dir_all(project.path().join("public/gen")).unwrap();
        let publisher = Publisher::new(project.path().to_owned(), shelf.clock.clone());
        Self {
            shelf,
            project,
            publisher,
        }
    }

    fn keep(&self, filename: &str, bytes: &[u8]) -> String {
        self.shelf
            .assets
            .keep(output(filename, filename), bytes)
            .unwrap()
            .asset_id
    }

    fn publish(&self, request: &PublishRequest) -> Result<Published, PublishError> {
        self.publisher.publish(&self.shelf.assets, request)
    }

    fn gen_dir(&self) -> PathBuf {
        fs::canonicalize(self.project.path())
            .unwrap()
            .join("public/gen")
    }

    fn manifest(&self) -> Map<String, Value> {
        serde_json::from_slice(&fs::read(self.gen_dir().join("manifest.json")).unwrap()).unwrap()
    }
}

fn named(asset_id: &str, name: &str) -> PublishRequest {
    PublishRequest {
        target: Target::Filename(name.to_owned()),
        ..PublishRequest::new(asset_id)
    }
}

fn keyed(asset_id: &str, key: &str) -> PublishRequest {
    PublishRequest {
        target: Target::ManifestKey(key.to_owned()),
        ..PublishRequest::new(asset_id)
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_small_picture_is_copied_as_it_is() {
    let site = Site::new();
    let bytes = noise(20, 20, ImageFormat::Png);
    let id = site.keep("ComfyUI_00001_.png", &bytes);

    let published = site.publish(&named(&id, "hero.png")).unwrap();

    assert_eq!(published.url, "/gen/hero.png");
    assert_eq!(published.path, site.gen_dir().join("hero.png"));
    assert_eq!(fs::read(&published.path).unwrap(), bytes);
    assert!(!published.manifest_updated);
    assert_eq!(names_in(&site.gen_dir()), ["hero.png"]);
}

#[test]
fn without_a_name_an_asset_keeps_its_own_in_lower_case() {
    let site = Site::new();
    let id = site.keep("ComfyUI_00001_.png", &noise(20, 20, ImageFormat::Png));
    let published = site.publish(&PublishRequest::new(id)).unwrap();
    assert_eq!(published.filename, "comfyui_00001_.png");
}

#[test]
fn a_name_that_nobody_asked_for_takes_the_place_of_no_other_file() {
    let site = Site::new();
    let [one, other] = [20, 21].map(|side| {
        let picture = noise(side, side, ImageFormat::Png);
        let new = output(&format!("run-{side}"), "ComfyUI_00001_.png");
        let kept = site.shelf.assets.keep(new, &picture);
        kept.unwrap().asset_id
    });
    let names = [&one, &other, &one, &other].map(|id| {
        let published = site.publish(&PublishRequest::new(id.clone()));
        published.unwrap().filename
    });
    let [first, second] = ["comfyui_00001_.png", "comfyui_00001__2.png"];
    assert_eq!(names, [first, second, first, second]);
    assert_eq!(names_in(&site.gen_dir()).len(), 2);
}

#[test]
fn a_large_picture_becomes_small_enough_in_the_format_asked_for() {
    let site = Site::new();
    let id = site.keep("large.png", &noise(700, 500, ImageFormat::Png));
    for (name, format) in [
        ("a.jpg", ImageFormat::Jpeg),
        ("a.png", ImageFormat::Png),
        ("a.webp", ImageFormat::WebP),
    ] {
        let published = site.publish(&named(&id, name)).unwrap();
        let bytes = fs::read(&published.path).unwrap();

        assert!(bytes.len() <= 600_000, "{name} takes {}", bytes.len());
        assert_eq!(published.bytes, bytes.len() as u64);
        assert_eq!(image::guess_format(&bytes).unwrap(), format);
        let picture = image::load_from_memory(&bytes).unwrap();
        assert_eq!(published.width, Some(picture.width()));
    }
}

#[test]
fn a_large_picture_with_any_name_becomes_jpeg_unless_it_is_transparent() {
    let site = Site::new();
    let opaque = site.keep("opaque.png", &noise(700, 500, ImageFormat::Png));
    let mut clear = image::load_from_memory(&noise(500, 400, ImageFormat::Png))
        .unwrap()
        .to_rgba8();
    for (x, y) in (0..50).flat_map(|x| (0..50).map(move |y| (x, y))) {
        clear.put_pixel(x, y, image::Rgba([0, 0, 0, 0]));
    }
    let clear = site.keep(
        "clear.png",
        &encode(&DynamicImage::ImageRgba8(clear), ImageFormat::Png),
    );

    let opaque = site.publish(&PublishRequest::new(opaque)).unwrap();
    let clear = site
        .publish(&PublishRequest {
            max_bytes: 400_000,
            ..PublishRequest::new(clear)
        })
        .unwrap();

    assert_eq!(
        (opaque.filename.as_str(), opaque.mime_type.as_str()),
        ("opaque.jpg", "image/jpeg")
    );
    assert_eq!(
        (clear.filename.as_str(), clear.mime_type.as_str()),
        ("clear.webp", "image/webp")
    );
    let clear = image::open(&clear.path).unwrap().to_rgba8();
    assert_eq!(clear.get_pixel(0, 0).0[3], 0);
}

/// A picture with as much to say of each of its pixels as a photograph with a fine grain.
fn photograph(side: u32) -> Vec<u8> {
    let grain = image::load_from_memory(&noise(side, side, ImageFormat::Png)).unwrap();
    let mut picture = grain.to_rgb8();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let light = u8::try_from((x * 90 + y * 90) / side).unwrap();
        pixel.0 = pixel.0.map(|grain| light + grain / 16);
    }
    encode(&DynamicImage::ImageRgb8(picture), ImageFormat::Png)
}

#[test]
fn a_photograph_is_published_as_png_as_large_as_the_limit_allows() {
    let site = Site::new();
    let bytes = photograph(1328);
    let id = site.keep("large.png", &bytes);

    let published = site.publish(&named(&id, "hero.png")).unwrap();

    assert!(bytes.len() > 4 * 600_000, "{}", bytes.len());
    assert!(
        (300_000..=600_000).contains(&published.bytes),
        "{published:?}"
    );
    let picture = image::open(&published.path).unwrap();
    assert_eq!(published.width, Some(picture.width()));
    let scale = f64::from(picture.width()) / 1328.0;
    assert!((published.scale.unwrap() - scale).abs() < 0.01);
}

#[test]
fn a_photograph_keeps_its_size_as_webp_whose_quality_gives_instead() {
    let site = Site::new();
    let id = site.keep("large.png", &photograph(1328));

    let published = site.publish(&named(&id, "hero.webp")).unwrap();

    assert!(published.bytes <= 600_000, "{published:?}");
    assert_eq!((published.width, published.scale), (Some(1328), None));
}

#[test]
fn a_limit_that_no_quality_meets_is_an_error_and_publishes_nothing() {
    let site = Site::new();
    let id = site.keep("large.png", &noise(300, 300, ImageFormat::Png));
    let refused = site.publish(&PublishRequest {
        max_bytes: 500,
        ..named(&id, "a.png")
    });
    assert!(
        matches!(refused, Err(PublishError::TooLarge { max_bytes: 500, .. })),
        "{refused:?}"
    );
    assert!(names_in(&site.gen_dir()).is_empty());
}

#[test]
fn without_web_optimize_even_a_large_picture_is_copied() {
    let site = Site::new();
    let bytes = noise(700, 500, ImageFormat::Png);
    let id = site.keep("large.png", &bytes);
    let request = PublishRequest {
        web_optimize: false,
        ..named(&id, "a.png")
    };
    assert_eq!(
        fs::read(site.publish(&request).unwrap().path).unwrap(),
        bytes
    );
}

#[test]
fn a_clip_is_copied_and_does_not_become_a_picture() {
    let site = Site::new();
    let bytes = b"\0\0\0\x18ftypisom and so on".to_vec();
    let id = site.keep("clip.mp4", &bytes);

    assert_eq!(
        fs::read(site.publish(&named(&id, "a.mp4")).unwrap().path).unwrap(),
        bytes
    );
    let failure = Failure::from(site.publish(&named(&id, "a.png")).unwrap_err());
    assert_eq!(failure.code, Code::UNSUPPORTED_TYPE);
}

#[test]
fn the_manifest_says_which_file_stands_for_a_key_and_keeps_what_else_it_says() {
    let site = Site::new();
    fs::write(
        site.gen_dir().join("manifest.json"),
        r#"{"mine": {"by": "hand"}}"#,
    )
    .unwrap();
    let id = site.keep("a.png", &noise(20, 20, ImageFormat::Png));

    let published = site.publish(&keyed(&id, "product_shot_1")).unwrap();
    let again = site.publish(&keyed(&id, "product_shot_1")).unwrap();

    assert_eq!(published.url, "/gen/product_shot_1_20261122_100000.png");
    assert_eq!(again.url, "/gen/product_shot_1_20261122_100000_2.png");
    assert!(published.manifest_updated);
    let manifest = site.manifest();
    assert_eq!(manifest["mine"]["by"], "hand");
    assert_eq!(manifest["product_shot_1"]["filename"], again.filename);
    assert_eq!(
        manifest["product_shot_1"]["published_at"],
        "2026-11-22T10:00:00Z"
    );
}

#[test]
fn a_damaged_manifest_is_left_alone_and_nothing_is_published() {
    let site = Site::new();
    let manifest = site.gen_dir().join("manifest.json");
    fs::write(&manifest, "{ not json").unwrap();
    let id = site.keep("a.png", &noise(20, 20, ImageFormat::Png));

    let refused = site.publish(&keyed(&id, "k"));

    assert!(
        matches!(refused, Err(PublishError::Manifest(_))),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(manifest).unwrap(), "{ not json");
    assert_eq!(names_in(&site.gen_dir()), ["manifest.json"]);
}

#[test]
fn publishers_at_the_same_time_lose_no_entry_of_the_manifest() {
    const EACH: usize = 10;
    let site = Site::new();
    let id = site.keep("a.png", &noise(20, 20, ImageFormat::Png));
    thread::scope(|scope| {
        for who in 0..4 {
            let (site, id) = (&site, &id);
            scope.spawn(move || {
                let publisher =
                    Publisher::new(site.project.path().to_owned(), site.shelf.clock.clone());
                for n in 0..EACH {
                    let request = keyed(id, &format!("key-{who}-{n}"));
                    publisher.publish(&site.shelf.assets, &request).unwrap();
                }
            });
        }
    });
    assert_eq!(site.manifest().len(), 4 * EACH);
    assert_eq!(names_in(&site.gen_dir()).len(), 4 * EACH + 1);
}

/// The folder of the assets, and that of the project, of processes that publish the same asset.
fn shared(dir: &Path) -> (Assets, Publisher) {
    let (options, clock) = (AssetOptions::default(), Clock::default());
    let assets = Assets::open(&dir.join("store"), options, clock.clone(), Ids::default());
    let site = dir.join("site");
    fs::create_dir_all(site.join("public/gen")).unwrap();
    (assets.unwrap(), Publisher::new(site, clock))
}

#[test]
#[ignore = "a process that another test starts"]
fn publishes_under_keys_of_its_own() {
    let Some((dir, name)) = given() else {
        return;
    };
    let (assets, publisher) = shared(&dir);
    let id = &assets.list(&Query::default()).unwrap().assets[0].asset_id;
    for n in 0..10 {
        let key = format!("{name}-{n}");
        publisher.publish(&assets, &keyed(id, &key)).unwrap();
        report(&key);
    }
}

#[test]
fn processes_that_publish_at_the_same_time_lose_no_entry_of_the_manifest() {
    let dir = tempfile::Builder::new().prefix("mmf").tempdir().unwrap();
    let (assets, _) = shared(dir.path());
    let picture = noise(20, 20, ImageFormat::Png);
    assets.keep(output("run", "a.png"), &picture).unwrap();
    let start = |name| {
        let test = "suite::assets_publish::publishes_under_keys_of_its_own";
        Process::start(test, dir.path(), name)
    };
    let mut processes = ["a", "b", "c"].map(start);

    let reported: Vec<String> = processes.iter_mut().flat_map(Process::rest).collect();

    let manifest = dir.path().join("site/public/gen/manifest.json");
    let manifest: Map<String, Value> =
        serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!(reported.len(), 30);
    for key in &reported {
        let filename = manifest[key]["filename"].as_str().unwrap();
        let published = fs::read(dir.path().join("site/public/gen").join(filename));
        assert_eq!(published.unwrap(), picture);
    }
}

#[test]
fn without_a_folder_there_is_advice() {
    let site = Site::new();
    let id = site.keep("a.png", &noise(20, 20, ImageFormat::Png));
    fs::remove_dir_all(site.project.path().join("public")).unwrap();

    let failure = Failure::from(site.publish(&PublishRequest::new(&id)).unwrap_err());
    assert_eq!(failure.code, Code::NO_PUBLISH_DIR);
    assert!(failure.hint.unwrap().contains("public/gen"));

    site.publisher
        .set_folder(Path::new("site/static/pictures of cats"))
        .unwrap();
    let published = site.publish(&PublishRequest::new(&id)).unwrap();
    assert_eq!(published.url, "/pictures%20of%20cats/a.png");
    assert!(!site.publisher.info().auto_detected);
}

#[test]
fn no_argument_leads_anywhere_it_should_not() {
    let site = Site::new();
    let id = site.keep("a.png", &noise(20, 20, ImageFormat::Png));
    let store = site.shelf.dir.path().join("blobs");
    for (folder, code) in [
        (PathBuf::from("../elsewhere"), Code::PATH_TRAVERSAL),
        (site.project.path().join(".git/hooks"), Code::FORBIDDEN_PATH),
        (PathBuf::from(""), Code::INVALID_PATH),
        (store, Code::FORBIDDEN_PATH),
    ] {
        let request = PublishRequest {
            folder: Some(folder.clone()),
            ..PublishRequest::new(&id)
        };
        let failure = Failure::from(site.publish(&request).unwrap_err());
        assert_eq!(failure.code, code, "{}", folder.display());
    }
    for name in [
        "../a.png",
        "/etc/a.png",
        "a.html",
        ".htaccess",
        "manifest.json",
    ] {
        let failure = Failure::from(site.publish(&named(&id, name)).unwrap_err());
        assert_eq!(failure.code, Code::INVALID_FILENAME, "{name}");
    }
    for key in ["", "../k", "K", "a.b"] {
        let failure = Failure::from(site.publish(&keyed(&id, key)).unwrap_err());
        assert_eq!(failure.code, Code::INVALID_FILENAME, "{key}");
    }
    assert!(names_in(&site.gen_dir()).is_empty());
}

#[cfg(unix)]
#[test]
fn links_in_the_folder_are_never_followed() {
    use std::os::unix::fs::symlink;

    let site = Site::new();
    let id = site.keep("a.png", &noise(20, 20, ImageFormat::Png));
    let secret = site.project.path().join("secret.txt");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, site.gen_dir().join("hero.png")).unwrap();
    symlink(&secret, site.gen_dir().join("manifest.json")).unwrap();

    let taken = site.publish(&named(&id, "hero.png"));
    assert!(matches!(taken, Err(PublishError::NotOurs(_))), "{taken:?}");
    let refused = site.publish(&keyed(&id, "k"));

    assert!(
        matches!(refused, Err(PublishError::InvalidPath { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert!(site.gen_dir().join("hero.png").is_symlink());
}

#[test]
fn a_picture_that_moves_is_copied_whatever_its_size() {
    use image::Frame;
    use image::codecs::gif::GifEncoder;

    let site = Site::new();
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for shade in [0, 255] {
        let frame = RgbaImage::from_pixel(8, 8, image::Rgba([shade, 0, 0, 255]));
        encoder.encode_frame(Frame::new(frame)).unwrap();
    }
    drop(encoder);
    let id = site.keep("a.gif", &bytes);
    let request = PublishRequest {
        max_bytes: 1,
        ..named(&id, "a.gif")
    };
    assert_eq!(
        fs::read(site.publish(&request).unwrap().path).unwrap(),
        bytes
    );
}

#[test]
fn publishing_does_not_take_a_copy_that_is_being_made_for_a_leftover() {
    let site = Site::new();
    let id = site.keep("one.png", &noise(20, 20, ImageFormat::Png));
    let large = site.keep("large.png", &noise(1500, 1000, ImageFormat::Png));
    thread::scope(|scope| {
        let copies = scope.spawn(|| {
            let copy = |n: u32| {
                let path = format!("public/gen/copy-{n}.png");
                site.publisher
                    .export(&site.shelf.assets, &large, Path::new(&path), true)
            };
            (0..20).try_for_each(|n| copy(n).map(drop))
        });
        while !copies.is_finished() {
            site.publish(&named(&id, "hero.png")).unwrap();
        }
        copies.join().unwrap().unwrap();
    });
}

#[test]
fn an_earlier_picture_gives_its_place_and_somebodys_own_file_does_not() {
    let site = Site::new();
    let one = site.keep("one.png", &noise(8, 8, ImageFormat::Png));
    let two = site.keep("two.png", &noise(9, 9, ImageFormat::Png));
    assert!(!site.publish(&named(&one, "hero.png")).unwrap().replaced);
    assert!(site.publish(&named(&two, "hero.png")).unwrap().replaced);

    let path = site.gen_dir().join("hero.png");
    fs::write(&path, "mine").unwrap();
    let error = site.publish(&named(&one, "hero.png")).unwrap_err();
    assert!(matches!(error, PublishError::NotOurs(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_picture_for_the_web_does_not_tell_how_it_was_made_unless_it_is_to() {
    let site = Site::new();
    let plain = noise(8, 8, ImageFormat::Png);
    let text = b"prompt\0{\"1\":{}}";
    let mut chunk = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    chunk.extend_from_slice(b"tEXt");
    chunk.extend_from_slice(text);
    let mut sum = flate2::Crc::new();
    sum.update(&chunk[4..]);
    chunk.extend_from_slice(&sum.sum().to_be_bytes());
    // After the header: 8 bytes of signature, 25 of the first chunk.
    let telling = [&plain[..33], &chunk, &plain[33..]].concat();
    let id = site.keep("one.png", &telling);

    let published = site.publish(&named(&id, "web.png")).unwrap();
    assert_eq!(fs::read(&published.path).unwrap(), plain);
    let whole = PublishRequest {
        web_optimize: false,
        ..named(&id, "whole.png")
    };
    let published = site.publish(&whole).unwrap();
    assert_eq!(fs::read(&published.path).unwrap(), telling);
}
