//! The pictures that the simulator paints instead of a model: scenery out of a hash. The same hash
//! gives the same bytes, two hashes give pictures that a person can tell apart at
//! a glance, and the words that were asked for are written small at the bottom.

use std::f32::consts::TAU;
use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{Rgba, RgbaImage};

use super::font;
use super::value::{Frame, resized};

/// The scenery is painted with its longer side at most this long, then enlarged.
const SCENE_SIDE: u32 = 320;

/// What a sampler has made: enough to paint it at any size.
#[derive(Clone, Debug)]
pub struct Painting {
    /// Decides everything about the scenery.
    pub digest: [u8; 32],
    /// Written at the bottom.
    pub words: Vec<String>,
    /// What the sampler started from, and how much of it is gone (0 to 1).
    pub base: Option<(Arc<Vec<Frame>>, f32)>,
    /// Where the base was allowed to change.
    pub mask: Option<Arc<Vec<Frame>>>,
    /// The members are moments of one scene rather than scenes of their own.
    pub is_clip: bool,
    /// How far the sampler has come, 0 (noise) to 1.
    pub done: f32,
}

impl Painting {
    /// Paints member `index` at a size in pixels.
    #[must_use]
    pub fn paint(&self, index: u32, width: u32, height: u32) -> RgbaImage {
        let (width, height) = (width.max(1), height.max(1));
        let scale = f64::from(SCENE_SIDE) / f64::from(width.max(height)).max(f64::from(SCENE_SIDE));
        let (small_width, small_height) = (scaled(width, scale), scaled(height, scale));
        let scene = Scene::new(&self.digest, if self.is_clip { 0 } else { index });
        let time = if self.is_clip {
            small(index) / 16.0
        } else {
            0.0
        };
        let mut picture = scene.paint(small_width, small_height, time);
        if self.done < 1.0 {
            add_noise(&mut picture, &self.digest, index, self.done);
        }
        if picture.dimensions() != (width, height) {
            picture = imageops::resize(&picture, width, height, FilterType::Triangle);
        }
        if self.done >= 1.0 {
            write_words(&mut picture, &self.words);
        }
        if let Some((base, strength)) = &self.base {
            self.blend_base(&mut picture, base, *strength, index);
        }
        picture
    }

    fn blend_base(&self, picture: &mut RgbaImage, base: &[Frame], strength: f32, index: u32) {
        let pick = |frames: &[Frame]| {
            let frame = frames.get(index as usize % frames.len().max(1))?;
            Some(resized(frame, picture.width(), picture.height()).pixels())
        };
        let Some(base) = pick(base) else { return };
        let mask = self.mask.as_deref().and_then(|mask| pick(mask));
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let open = mask
                .as_ref()
                .map_or(1.0, |mask| f32::from(mask.get_pixel(x, y)[0]) / 255.0);
            *pixel = mix(*base.get_pixel(x, y), *pixel, strength * open);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side in pixels, scaled down"
)]
fn scaled(side: u32, scale: f64) -> u32 {
    ((f64::from(side) * scale).round() as u32).max(1)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "coordinates and counts are small"
)]
fn small(number: u32) -> f32 {
    number as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte first"
)]
fn byte(level: f32) -> u8 {
    level.clamp(0.0, 255.0) as u8
}

fn mix(from: Rgba<u8>, to: Rgba<u8>, part: f32) -> Rgba<u8> {
    let channel = |at: usize| {
        let (from, to) = (f32::from(from[at]), f32::from(to[at]));
        byte((to - from).mul_add(part, from) + 0.5)
    };
    Rgba([channel(0), channel(1), channel(2), channel(3)])
}

/// Numbers out of a hash, the same for the same hash.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(digest: &[u8; 32], index: u32, purpose: u8) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(digest)
            .update(&index.to_le_bytes())
            .update(&[purpose]);
        Self(hasher.finalize_xof())
    }

    fn word(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// 0 to 1.
    fn unit(&mut self) -> f32 {
        small(self.word() >> 8) / small(1 << 24)
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        (high - low).mul_add(self.unit(), low)
    }
}

/// Sky, something round in it, and ranges of hills, in the colours of one palette.
struct Scene {
    sky: [Rgba<u8>; 2],
    tilt: f32,
    clouds: f32,
    grain: u32,
    disc: Disc,
    ranges: Vec<Range>,
    columns: Vec<Column>,
}

struct Disc {
    x: f32,
    y: f32,
    radius: f32,
    ring: f32,
    colour: Rgba<u8>,
}

struct Range {
    height: f32,
    waves: [(f32, f32, f32); 3],
    jagged: bool,
    colour: Rgba<u8>,
}

struct Column {
    x: f32,
    width: f32,
    height: f32,
    colour: Rgba<u8>,
}

impl Scene {
    fn new(digest: &[u8; 32], index: u32) -> Self {
        let mut dice = Dice::new(digest, index, 1);
        let hue = dice.unit();
        let turn = [0.08, 0.33, 0.5][(dice.word() % 3) as usize];
        let night = dice.unit() < 0.35;
        let light = if night { 0.18 } else { 0.62 };
        let sky = [
            hsl(hue, dice.between(0.35, 0.8), light),
            hsl(hue + turn * 0.5, dice.between(0.5, 0.9), light + 0.2),
        ];
        let disc = Disc {
            x: dice.between(0.15, 0.85),
            y: dice.between(0.12, 0.5),
            radius: dice.between(0.06, 0.22),
            ring: if dice.unit() < 0.3 {
                dice.between(0.5, 0.8)
            } else {
                0.0
            },
            colour: hsl(hue + turn, dice.between(0.7, 1.0), dice.between(0.55, 0.85)),
        };
        let count = 2 + dice.word() % 4;
        let jagged = dice.unit() < 0.5;
        let ranges = (0..count)
            .map(|place| {
                let depth = small(place + 1) / small(count);
                let mut wave = |low, high, size| {
                    (
                        dice.between(low, high),
                        dice.between(0.0, TAU),
                        size * dice.between(0.4, 1.0),
                    )
                };
                Range {
                    height: 0.35f32.mul_add(depth, 0.45),
                    waves: [
                        wave(2.0, 5.0, 0.09),
                        wave(6.0, 12.0, 0.04),
                        wave(15.0, 30.0, 0.015),
                    ],
                    jagged,
                    colour: hsl(
                        hue + turn * depth,
                        0.45,
                        (0.45f32 - light * 0.1).mul_add(1.0 - depth, 0.1),
                    ),
                }
            })
            .collect();
        let columns = if dice.unit() < 0.45 {
            3 + dice.word() % 9
        } else {
            0
        };
        let columns = (0..columns)
            .map(|_| Column {
                x: dice.unit(),
                width: dice.between(0.015, 0.06),
                height: dice.between(0.1, 0.45),
                colour: hsl(
                    hue + turn + dice.between(-0.05, 0.05),
                    0.6,
                    dice.between(0.15, 0.5),
                ),
            })
            .collect();
        Self {
            sky,
            tilt: dice.between(-0.6, 0.6),
            clouds: dice.between(0.0, 0.35),
            grain: dice.word(),
            disc,
            ranges,
            columns,
        }
    }

    fn paint(&self, width: u32, height: u32, time: f32) -> RgbaImage {
        let aspect = small(width) / small(height);
        let ridges: Vec<Vec<f32>> = self
            .ranges
            .iter()
            .zip(0..)
            .map(|(range, place)| {
                let drift = time * 0.4 * small(place + 1);
                (0..width)
                    .map(|x| range.ridge(small(x) / small(width), drift))
                    .collect()
            })
            .collect();
        RgbaImage::from_fn(width, height, |x, y| {
            let (u, v) = (small(x) / small(width), small(y) / small(height));
            let mut colour = self.sky_at(u, v, time);
            if let Some(part) = self
                .disc
                .cover((u - time * 0.03).rem_euclid(1.0), v, aspect)
            {
                colour = mix(colour, self.disc.colour, part);
            }
            for (place, (range, ridge)) in self.ranges.iter().zip(&ridges).enumerate() {
                if place == 1 {
                    let column = self.columns.iter().find(|column| column.covers(u, v));
                    colour = column.map_or(colour, |column| column.colour);
                }
                if v > ridge[x as usize] {
                    let below = ((v - ridge[x as usize]) * 1.5).min(0.35);
                    colour = mix(range.colour, Rgba([8, 8, 16, 255]), below);
                }
            }
            colour
        })
    }

    fn sky_at(&self, u: f32, v: f32, time: f32) -> Rgba<u8> {
        let fall = (u - 0.5).mul_add(self.tilt, v * 1.3).clamp(0.0, 1.0);
        let sky = mix(self.sky[0], self.sky[1], fall);
        if self.clouds < 0.08 {
            return sky;
        }
        let cloud = noise(self.grain, (u + time * 0.05) * 5.0, v * 9.0).mul_add(
            0.65,
            noise(self.grain ^ 1, (u + time * 0.05) * 13.0, v * 21.0) * 0.35,
        );
        mix(
            sky,
            Rgba([250, 246, 240, 255]),
            ((cloud - 0.5) * 2.0).clamp(0.0, 1.0) * self.clouds * 2.0,
        )
    }
}

impl Disc {
    fn cover(&self, u: f32, v: f32, aspect: f32) -> Option<f32> {
        let distance = ((u - self.x) * aspect).hypot(v - self.y) / self.radius;
        let inside = distance < 1.0 && distance > self.ring;
        let glow = (1.6 - distance).clamp(0.0, 1.0) * 0.35;
        if inside {
            Some(0.95)
        } else {
            (glow > 0.0).then_some(glow)
        }
    }
}

impl Range {
    fn ridge(&self, u: f32, drift: f32) -> f32 {
        let heights = self.waves.iter().map(|(times, shift, size)| {
            let turn = times.mul_add(u, shift + drift);
            // A triangle wave makes mountains where a sine makes hills.
            let wave = if self.jagged {
                (turn / TAU * 2.0).rem_euclid(2.0) - 1.0
            } else {
                turn.sin()
            };
            if self.jagged {
                wave.abs().mul_add(2.0, -1.0) * size
            } else {
                wave * size
            }
        });
        self.height + heights.sum::<f32>()
    }
}

impl Column {
    fn covers(&self, u: f32, v: f32) -> bool {
        (u - self.x).abs() < self.width / 2.0 && v > 0.75 - self.height
    }
}

/// Smooth noise, 0 to 1, on a grid of whole numbers.
fn noise(grain: u32, x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * 2.0f32.mul_add(-t, 3.0);
    let (right_part, bottom_part) = (smooth(x - left), smooth(y - top));
    let at = |dx: f32, dy: f32| speck(grain, left + dx, top + dy);
    let upper = (at(1.0, 0.0) - at(0.0, 0.0)).mul_add(right_part, at(0.0, 0.0));
    let lower = (at(1.0, 1.0) - at(0.0, 1.0)).mul_add(right_part, at(0.0, 1.0));
    (lower - upper).mul_add(bottom_part, upper)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "grid coordinates wrap"
)]
fn speck(grain: u32, x: f32, y: f32) -> f32 {
    let mut bits = grain
        ^ (x as i32 as u32).wrapping_mul(0x9E37_79B9)
        ^ (y as i32 as u32).wrapping_mul(0x85EB_CA6B);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297A_2D39);
    small((bits ^ (bits >> 15)) >> 8) / small(1 << 24)
}

fn hsl(hue: f32, saturation: f32, lightness: f32) -> Rgba<u8> {
    let lightness = lightness.clamp(0.0, 1.0);
    let strength = saturation * lightness.min(1.0 - lightness);
    let channel = |offset: f32| {
        let place = hue.rem_euclid(1.0).mul_add(12.0, offset).rem_euclid(12.0);
        let level = lightness - strength * (place - 3.0).min(9.0 - place).clamp(-1.0, 1.0);
        byte(level * 255.0)
    };
    Rgba([channel(0.0), channel(8.0), channel(4.0), 255])
}

/// What a picture looks like before the sampler is done: coarse coloured specks that give way.
fn add_noise(picture: &mut RgbaImage, digest: &[u8; 32], index: u32, done: f32) {
    let grain = Dice::new(digest, index, 2).word();
    let part = done.clamp(0.0, 1.0).powf(1.4);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (x, y) = (small(x / 3), small(y / 3));
        let channel = |c| byte(speck(grain.wrapping_add(c), x, y) * 255.0);
        *pixel = mix(
            Rgba([channel(0), channel(1), channel(2), 255]),
            *pixel,
            part,
        );
    }
}

fn write_words(picture: &mut RgbaImage, words: &[String]) {
    let scale = (picture.width().min(picture.height()) / 360).max(1);
    let margin = 4 * scale;
    let letters = font::letters_across(picture.width().saturating_sub(2 * margin), scale);
    let room = (picture.height() / (font::LINE * scale) / 4) as usize;
    if letters < 4 || room == 0 {
        return;
    }
    let mut lines = font::wrap(&words.join(" / "), letters);
    lines.truncate(room);
    let block = font::LINE * scale * u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let mut y = picture.height().saturating_sub(block + margin);
    for line in lines {
        font::write(
            picture,
            &line,
            margin + scale,
            y + scale,
            scale,
            Rgba([0, 0, 0, 255]),
        );
        font::write(picture, &line, margin, y, scale, Rgba([255, 255, 255, 255]));
        y += font::LINE * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painting(digest: u8) -> Painting {
        Painting {
            digest: [digest; 32],
            words: vec!["a fox".to_owned()],
            base: None,
            mask: None,
            is_clip: false,
            done: 1.0,
        }
    }

    /// Mean difference of two pictures' channels.
    fn distance(one: &RgbaImage, other: &RgbaImage) -> f64 {
        let pairs = one.as_raw().iter().zip(other.as_raw());
        let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        sum / f64::from(one.width() * one.height() * 4)
    }

    #[test]
    fn the_same_digest_gives_the_same_bytes_and_another_a_different_picture() {
        let one = painting(1).paint(0, 96, 64);
        assert_eq!(one, painting(1).paint(0, 96, 64));
        for other in 2..12 {
            assert!(
                distance(&one, &painting(other).paint(0, 96, 64)) > 8.0,
                "{other}"
            );
        }
        assert!(distance(&one, &painting(1).paint(1, 96, 64)) > 8.0);
    }

    #[test]
    fn a_preview_converges_to_the_picture() {
        let picture = painting(3).paint(0, 64, 64);
        let distances: Vec<f64> = [0.1, 0.4, 0.7, 0.95]
            .map(|done| {
                distance(
                    &picture,
                    &Painting {
                        done,
                        ..painting(3)
                    }
                    .paint(0, 64, 64),
                )
            })
            .into();
        assert!(
            distances.is_sorted_by(|earlier, later| earlier > later),
            "{distances:?}"
        );
    }

    #[test]
    fn a_weak_sampler_keeps_most_of_what_it_started_from() {
        let base = RgbaImage::from_pixel(64, 64, Rgba([200, 10, 10, 255]));
        let frames = Arc::new(vec![Frame::from_pixels(base.clone())]);
        let with = |strength| {
            Painting {
                base: Some((frames.clone(), strength)),
                ..painting(4)
            }
            .paint(0, 64, 64)
        };
        assert!(distance(&base, &with(0.0)) < 1.0);
        assert!(distance(&base, &with(0.2)) < distance(&base, &with(0.9)));
    }

    #[test]
    fn moments_of_a_clip_resemble_each_other() {
        let clip = Painting {
            is_clip: true,
            ..painting(5)
        };
        let (first, second, late) = (
            clip.paint(0, 64, 64),
            clip.paint(1, 64, 64),
            clip.paint(60, 64, 64),
        );
        assert_ne!(first, second);
        assert!(distance(&first, &second) < distance(&first, &late));
    }
}
