//! A folder of assets with a clock that stands still, and pictures to put into it.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use jiff::Timestamp;
use massmediafactory::assets::{AssetOptions, Assets, NewAsset};
use massmediafactory::clock::Clock;
use massmediafactory::ids::Ids;

/// Assets in a temporary folder.
pub(crate) struct Shelf {
    pub(crate) assets: Assets,
    pub(crate) clock: Clock,
    pub(crate) dir: tempfile::TempDir,
}

/// How long assets live on a [`Shelf`].
pub(crate) const TTL: Duration = Duration::from_secs(24 * 60 * 60);

impl Shelf {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("mmf").tempdir().unwrap();
        let clock = Clock::fixed("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap());
        let assets = open(dir.path(), &clock);
        Self { assets, clock, dir }
    }

    /// The same folder, opened by another process as it were.
    pub(crate) fn another(&self) -> Assets {
        open(self.dir.path(), &self.clock)
    }

    /// The same folder for a process that limits what all assets may take.
    pub(crate) fn limited(&self, max_bytes: u64) -> Assets {
        let options = AssetOptions {
            ttl: Some(TTL),
            max_bytes: Some(max_bytes),
        };
        let (clock, ids) = (self.clock.clone(), Ids::default());
        Assets::open(self.dir.path(), options, clock, ids).unwrap()
    }

    /// Gives up the open folder and opens it again.
    pub(crate) fn reopened(self) -> Self {
        let Self { assets, clock, dir } = self;
        drop(assets);
        let assets = open(dir.path(), &clock);
        Self { assets, clock, dir }
    }
}

fn open(dir: &Path, clock: &Clock) -> Assets {
    let options = AssetOptions {
        ttl: Some(TTL),
        ..AssetOptions::default()
    };
    Assets::open(dir, options, clock.clone(), Ids::default()).unwrap()
}

/// How many files lie in a folder and in those below it.
pub(crate) fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                files_below(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

/// What node 9 of the run `prompt_id` saved as `filename`.
pub(crate) fn output(prompt_id: &str, filename: &str) -> NewAsset {
    NewAsset {
        filename: filename.to_owned(),
        prompt_id: Some(prompt_id.to_owned()),
        node_id: Some("9".to_owned()),
        ..NewAsset::default()
    }
}

/// A picture of noise, which compresses as badly as any.
pub(crate) fn noise(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut state = 1_u32;
    let picture = RgbImage::from_fn(width, height, |_, _| {
        Rgb([(); 3].map(|()| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        }))
    });
    encode(&DynamicImage::ImageRgb8(picture), format)
}

pub(crate) fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
