//! Pictures as sixels, as the terminals of DEC had them: stripes of six rows, each colour of a stripe
//! drawn over the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use color_quant::NeuQuant;
use image::imageops::{ColorMap, dither, index_colors};
use image::{DynamicImage, RgbImage, Rgba};

/// The colours that any such terminal has.
const COLOURS: usize = 256;

/// How thoroughly colours are chosen, 1 (all pixels) to 30.
const SAMPLING: i32 = 10;

/// Rows of a stripe.
const STRIPE: u32 = 6;

/// The picture for a terminal.
pub(super) fn sixels(picture: &RgbImage) -> String {
    let (colours, places) = indexed(picture);
    let (width, height) = picture.dimensions();
    let mut text = format!("\x1bPq\"1;1;{width};{height}");
    for (number, colour) in colours.iter().enumerate() {
        let [red, green, blue] = colour.map(|part| (u32::from(part) * 100 + 127) / 255);
        let _ = write!(text, "#{number};2;{red};{green};{blue}");
    }
    for top in (0..height).step_by(STRIPE as usize) {
        stripe(&places, width, top..height.min(top + STRIPE), &mut text);
        text.push('-');
    }
    text.push_str("\x1b\\");
    text
}

/// The colours of a picture and, row by row, which of them each pixel has.
fn indexed(picture: &RgbImage) -> (Vec<[u8; 3]>, Vec<u8>) {
    let mut exact: BTreeMap<[u8; 3], u8> = BTreeMap::new();
    for pixel in picture.pixels() {
        let Ok(next) = u8::try_from(exact.len()) else {
            return chosen(picture);
        };
        exact.entry(pixel.0).or_insert(next);
    }
    let places = picture.pixels().map(|pixel| exact[&pixel.0]).collect();
    let mut colours = vec![[0; 3]; exact.len()];
    for (colour, place) in exact {
        colours[usize::from(place)] = colour;
    }
    (colours, places)
}

/// The same with the colours that come nearest to all.
fn chosen(picture: &RgbImage) -> (Vec<[u8; 3]>, Vec<u8>) {
    let mut picture = DynamicImage::ImageRgb8(picture.clone()).to_rgba8();
    let palette = Palette(NeuQuant::new(SAMPLING, COLOURS, picture.as_raw()));
    dither(&mut picture, &palette);
    let places = index_colors(&picture, &palette).into_raw();
    let colours = palette.0.color_map_rgb();
    let colours = colours.as_chunks::<3>().0;
    (colours.to_vec(), places)
}

/// The chosen colours, as dithering asks for them.
struct Palette(NeuQuant);

impl ColorMap for Palette {
    type Color = Rgba<u8>;

    fn index_of(&self, colour: &Rgba<u8>) -> usize {
        self.0.index_of(&colour.0)
    }

    fn map_color(&self, colour: &mut Rgba<u8>) {
        self.0.map_pixel(&mut colour.0);
    }
}

fn stripe(places: &[u8], width: u32, rows: std::ops::Range<u32>, text: &mut String) {
    let row = |y: u32| {
        let start = y as usize * width as usize;
        &places[start..start + width as usize]
    };
    // For each colour, which rows of a column it has: a bit each.
    let mut drawn: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (bit, y) in rows.enumerate() {
        for (x, place) in row(y).iter().enumerate() {
            let columns = drawn.entry(*place);
            columns.or_insert_with(|| vec![0; width as usize])[x] |= 1 << bit;
        }
    }
    for (nth, (colour, columns)) in drawn.iter().enumerate() {
        if nth > 0 {
            text.push('$');
        }
        let _ = write!(text, "#{colour}");
        for run in columns.chunk_by(|one, other| one == other) {
            let sixel = char::from(b'?' + run[0]);
            match run.len() {
                length @ 1..=3 => text.extend(std::iter::repeat_n(sixel, length)),
                length => drop(write!(text, "!{length}{sixel}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_small_picture_is_drawn_colour_by_colour() {
        let picture = RgbImage::from_fn(5, 7, |x, y| match (x, y) {
            (0, 0) => Rgb([255, 0, 0]),
            (_, 6) => Rgb([0, 0, 255]),
            _ => Rgb([0, 0, 0]),
        });
        let told = sixels(&picture);
        let colours = "\x1bPq\"1;1;5;7#0;2;100;0;0#1;2;0;0;0#2;2;0;0;100";
        assert_eq!(told, format!("{colours}#0@!4?$#1}}!4~-#2!5@-\x1b\\"));
    }

    #[test]
    fn a_picture_of_many_colours_keeps_to_those_of_the_terminal() {
        let shade = |x: u32| u8::try_from(x * 4).unwrap();
        let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([shade(x), shade(y), 128]));
        let (colours, places) = indexed(&picture);
        assert!(colours.len() <= COLOURS && places.len() == 64 * 64);
        let near = |pixel: &Rgb<u8>, place: &u8| {
            let colour = colours[usize::from(*place)];
            let parts = pixel.0.iter().zip(colour);
            parts
                .map(|(one, other)| u64::from(one.abs_diff(other)))
                .sum::<u64>()
        };
        let pairs = picture.pixels().zip(&places);
        let off: u64 = pairs.map(|(pixel, place)| near(pixel, place)).sum();
        assert!(off / (64 * 64) < 40, "{off}");
    }
}
