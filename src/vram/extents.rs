//! How much a model or an autoencoder works on at once.

use super::GIB;
use super::family::{Family, Grid};
use super::plan::Tile;
use super::sizes::Work;
use super::vae::{Extent, Vae};
use super::weights::Span;

/// Cells of one side of the guidance.
pub(super) fn area(family: &Family, work: &Work, references: f64) -> f64 {
    let own = match family.grid {
        Grid::Sound(per_second) => work.seconds * per_second,
        Grid::Body => work.cells,
        Grid::Picture(_) | Grid::Clip(..) => {
            family.cells(work.width, work.height) * family.latent_frames(work.frames)
        }
    };
    own * work.batch + seen(family, references)
}

/// Cells of so many millions of pixels of reference pictures.
pub(super) fn seen(family: &Family, references: f64) -> f64 {
    if family.references {
        references * 1_048_576.0 / (family.space() * family.space())
    } else {
        0.0
    }
}

/// The least and the most work that is usual, where no size can be read.
pub(super) fn any_work(is_clip: bool) -> Vec<Work> {
    if is_clip {
        vec![
            Work::of(832.0, 480.0, 17.0, 1.0),
            Work::of(1920.0, 1088.0, 241.0, 1.0),
        ]
    } else {
        vec![
            Work::of(512.0, 512.0, 1.0, 1.0),
            Work::of(2048.0, 2048.0, 1.0, 1.0),
        ]
    }
}

/// The extent of a latent, or of a tile of it.
pub(super) fn latent(vae: Vae, family: Option<&Family>, work: &Work, tile: Option<Tile>) -> Extent {
    if let Some(Grid::Sound(per_second)) = family.map(|family| family.grid) {
        return Extent {
            frames: 1.0,
            height: 1.0,
            width: work.seconds * per_second,
        };
    }
    let (space, step) = vae.ratios();
    let frames = |frames: f64| ((frames - 1.0) / step).floor().max(0.0) + 1.0;
    let side = |pixels: f64| tile.map_or(pixels, |tile| pixels.min(tile.side)) / space;
    let tall = if vae.is_of_clips() {
        frames(work.frames)
    } else {
        1.0
    };
    Extent {
        frames: tile.map_or(tall, |tile| tall.min(frames(tile.frames).max(2.0))),
        height: side(work.height).floor(),
        width: side(work.width).floor(),
    }
}

/// The extent of pictures, or of a tile of them.
pub(super) fn pictures(vae: Vae, work: &Work, tile: Option<Tile>) -> Extent {
    let side = |pixels: f64| tile.map_or(pixels, |tile| pixels.min(tile.side));
    let frames = if vae.is_of_clips() { work.frames } else { 1.0 };
    Extent {
        frames: tile.map_or(frames, |tile| frames.min(tile.frames)),
        height: side(work.height),
        width: side(work.width),
    }
}

/// From the smallest to the largest; most likely in the middle.
pub(super) fn between(all: impl Iterator<Item = f64>) -> Span {
    let all: Vec<f64> = all.collect();
    let fold = |with: fn(f64, f64) -> f64| all.iter().copied().reduce(with).unwrap_or(GIB);
    let (low, high) = (fold(f64::min), fold(f64::max));
    Span {
        low,
        likely: (low * high).sqrt(),
        high,
    }
}
