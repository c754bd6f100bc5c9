//! A page as a picture.

use image::imageops::{FilterType, overlay, resize};
use image::{Rgba, RgbaImage};
use noto_sans_mono_bitmap::RasterHeight;

use super::Drawn;
use super::label::{fitted, shortened};
use super::layout::{Page, Row};
use super::words::{Pen, SIZES, letters, line, width};

/// Pixels along the longer side of a sheet, as far as its cells allow: twice of what previews have,
/// so that it can be looked at closer.
const SIDE: u32 = 1024;

/// What previews have; letters are so large that they can be read there.
const SHOWN_SIDE: u32 = 512;

/// Letters take this many pixels down where a sheet is shown.
const SHOWN_LINE: u32 = 15;

/// A cell is no smaller than this, so that a word fits into it.
const SMALLEST: u32 = 96;

/// A picture smaller than this is shown larger.
const SMALL_PICTURE: u32 = 224;

/// How far pictures may be from square before the cells grow no further.
const LONGEST: f64 = 6.0;

/// The margin takes at most this part of the sheet.
const MARGIN_PART: f64 = 0.34;

/// Lines of a value over a column or a picture.
const LINES: usize = 2;

const PAPER: Rgba<u8> = Rgba([22, 24, 28, 255]);
const CELL: Rgba<u8> = Rgba([35, 38, 44, 255]);
const VALUE: Rgba<u8> = Rgba([240, 241, 243, 255]);
const NAME: Rgba<u8> = Rgba([146, 166, 196, 255]);
const RULE: Rgba<u8> = Rgba([70, 76, 88, 255]);
const NOTE: Rgba<u8> = Rgba([255, 176, 160, 255]);
const NOTE_CELL: Rgba<u8> = Rgba([52, 33, 36, 255]);

/// Where everything stands, in pixels.
struct Measures {
    size: RasterHeight,
    gap: u32,
    cell: (u32, u32),
    /// The width of each label of a row, with the gap after it.
    labels: Vec<u32>,
    /// Above the first row.
    head: u32,
    /// Above each row, for captions.
    caption: u32,
    across: u32,
    down: u32,
}

impl Measures {
    /// The smallest letters that can be read where the sheet is shown.
    fn of(page: &Page<Drawn>) -> Self {
        let mut sizes = SIZES.into_iter();
        let mut found = Self::with(page, RasterHeight::Size16);
        for size in sizes.by_ref() {
            found = Self::with(page, size);
            let longer = found.width().max(found.height()).max(SHOWN_SIDE);
            if line(size) * SHOWN_SIDE / longer >= SHOWN_LINE {
                break;
            }
        }
        found
    }

    fn with(page: &Page<Drawn>, size: RasterHeight) -> Self {
        let gap = line(size) / 3;
        let across = page.rows.iter().map(|row| row.cells.len()).max();
        let (across, down) = (small(across.unwrap_or(1)), small(page.rows.len()));
        let labels = label_widths(page, size, gap);
        let margin = labels.iter().sum::<u32>() + gap;
        let mut found = Self {
            size,
            gap,
            cell: (SMALLEST, SMALLEST),
            labels,
            head: gap,
            caption: 0,
            across,
            down,
        };
        if !page.heading.is_empty() || page.number.is_some() {
            found.head += line(size) + gap;
        }
        let captions = page.rows.iter().flat_map(|row| &row.captions);
        let values: Vec<&String> = page.columns.iter().chain(captions).collect();
        let free =
            |taken: u32, count: u32| SIDE.saturating_sub(taken + (count + 1) * gap) / count.max(1);
        let (shape, largest, head) = (shape(page), largest(page), found.head);
        // The wider the cells, the fewer lines values take, and the fewer lines, the wider the
        // cells: more lines are made room for until they suffice.
        for lines in 1..=small(LINES) {
            if page.columns.is_empty() {
                found.caption = lines * line(size);
            } else {
                found.head = head + lines * line(size) + gap / 2;
            }
            let taken = found.head + down * found.caption;
            found.cell = fitting(shape, (free(margin, across), free(taken, down)), largest);
            let room = letters(found.cell.0, size);
            let most = values
                .iter()
                .map(|value| fitted(value, room, LINES).len())
                .max();
            if small(most.unwrap_or(0)) <= lines {
                break;
            }
        }
        found
    }

    fn margin(&self) -> u32 {
        self.labels.iter().sum::<u32>() + self.gap
    }

    fn width(&self) -> u32 {
        self.margin() + self.across * (self.cell.0 + self.gap)
    }

    fn height(&self) -> u32 {
        self.head + self.down * (self.caption + self.cell.1 + self.gap)
    }

    fn left(&self, column: usize) -> u32 {
        self.margin() + small(column) * (self.cell.0 + self.gap)
    }

    /// The top of a row's captions.
    fn top(&self, row: usize) -> u32 {
        self.head + small(row) * (self.caption + self.cell.1 + self.gap)
    }
}

pub(super) fn page(page: &Page<Drawn>) -> RgbaImage {
    let at = Measures::of(page);
    let mut sheet = RgbaImage::from_pixel(at.width(), at.height(), PAPER);
    head(&mut sheet, page, &at);
    let mut before: Option<&Row<Drawn>> = None;
    for (index, row) in page.rows.iter().enumerate() {
        labels(&mut sheet, row, before, index, &at);
        for (column, cell) in row.cells.iter().enumerate() {
            let corner = (at.left(column), at.top(index) + at.caption);
            draw_cell(&mut sheet, cell, corner, &at);
            if let Some(caption) = row.captions.get(column) {
                let room = letters(at.cell.0, at.size);
                let lines = fitted(caption, room, LINES);
                let height = small(lines.len()) * line(at.size);
                let top = corner.1.saturating_sub(height);
                centred(
                    &mut sheet,
                    &lines,
                    (corner.0, top),
                    at.cell.0,
                    Pen::bold(at.size, VALUE),
                    at.size,
                );
            }
        }
        before = Some(row);
    }
    sheet
}

/// The names of the axes, the values over the columns, and which page it is.
fn head(sheet: &mut RgbaImage, page: &Page<Drawn>, at: &Measures) {
    let name = Pen::regular(at.size, NAME);
    let right = at.width() - at.gap;
    let mut end = right;
    if let Some(number) = &page.number {
        end = right.saturating_sub(width(number, at.size));
        name.write(sheet, number, end, at.gap);
    }
    let start = at.margin();
    let heading = shortened(&page.heading, letters(end.saturating_sub(start), at.size));
    name.write(sheet, &heading, start, at.gap);
    if page.columns.is_empty() {
        return;
    }
    let room = letters(at.cell.0, at.size);
    let bottom = at.head - at.gap / 2;
    for (column, value) in page.columns.iter().enumerate() {
        let lines = fitted(value, room, LINES);
        let top = bottom.saturating_sub(small(lines.len()) * line(at.size));
        let pen = Pen::bold(at.size, VALUE);
        centred(
            sheet,
            &lines,
            (at.left(column), top),
            at.cell.0,
            pen,
            at.size,
        );
    }
    let mut left = at.gap;
    for (label, wide) in page.row_names.iter().zip(&at.labels) {
        let label = shortened(label, letters(wide - at.gap, at.size));
        name.write(sheet, &label, left, bottom.saturating_sub(line(at.size)));
        left += wide;
    }
}

/// The values of a row; an outer one only where it changes, with a rule above.
fn labels(
    sheet: &mut RgbaImage,
    row: &Row<Drawn>,
    before: Option<&Row<Drawn>>,
    index: usize,
    at: &Measures,
) {
    let mut left = at.gap;
    let mut is_new = before.is_none();
    for (place, (label, wide)) in row.labels.iter().zip(&at.labels).enumerate() {
        let changes = before.is_none_or(|before| before.labels[place] != *label);
        let is_inner = place + 1 == row.labels.len();
        if changes && !is_new && !is_inner {
            let top = at.top(index) - at.gap / 2 - 1;
            fill(sheet, (left, top), (at.width() - at.gap - left, 1), RULE);
        }
        is_new |= changes;
        if is_new {
            let lines = fitted(label, letters(wide - at.gap, at.size), LINES);
            let height = small(lines.len()) * line(at.size);
            let mut top = at.top(index) + at.cell.1.saturating_sub(height) / 2;
            for text in lines {
                Pen::bold(at.size, VALUE).write(sheet, &text, left, top);
                top += line(at.size);
            }
        }
        left += wide;
    }
}

fn draw_cell(sheet: &mut RgbaImage, cell: &Drawn, corner: (u32, u32), at: &Measures) {
    let (wide, high) = at.cell;
    match cell {
        Drawn::Picture(picture) => {
            fill(sheet, corner, at.cell, CELL);
            let (w, h) = within((picture.width(), picture.height()), at.cell);
            let picture = if (w, h) == (picture.width(), picture.height()) {
                picture.clone()
            } else {
                resize(picture, w, h, FilterType::CatmullRom)
            };
            let left = corner.0 + (wide - w) / 2;
            let top = corner.1 + (high - h) / 2;
            overlay(sheet, &picture, left.into(), top.into());
        }
        Drawn::Note(reason) => {
            fill(sheet, corner, at.cell, NOTE_CELL);
            let inner = wide.saturating_sub(at.gap);
            let size = whole_words(reason, inner, at.size);
            let most = (high / line(size)).max(1) as usize;
            let lines = fitted(reason, letters(inner, size), most);
            let height = small(lines.len()) * line(size);
            let top = corner.1 + high.saturating_sub(height) / 2;
            let pen = Pen::regular(size, NOTE);
            centred(sheet, &lines, (corner.0, top), wide, pen, size);
        }
    }
}

/// The largest letters, up to this size, with which no word is broken.
fn whole_words(text: &str, wide: u32, most: RasterHeight) -> RasterHeight {
    let longest = text
        .split_whitespace()
        .max_by_key(|word| word.chars().count());
    let longest = longest.unwrap_or_default();
    let sizes = SIZES.into_iter().filter(|size| line(*size) <= line(most));
    sizes
        .rev()
        .find(|size| width(longest, *size) <= wide)
        .unwrap_or(RasterHeight::Size16)
}

fn centred(
    sheet: &mut RgbaImage,
    lines: &[String],
    (left, top): (u32, u32),
    wide: u32,
    pen: Pen,
    size: RasterHeight,
) {
    for (place, text) in lines.iter().enumerate() {
        let x = left + wide.saturating_sub(width(text, size)) / 2;
        pen.write(sheet, text, x, top + small(place) * line(size));
    }
}

fn fill(sheet: &mut RgbaImage, (left, top): (u32, u32), (wide, high): (u32, u32), ink: Rgba<u8>) {
    for y in top..(top + high).min(sheet.height()) {
        for x in left..(left + wide).min(sheet.width()) {
            sheet.put_pixel(x, y, ink);
        }
    }
}

/// As wide as the longest label, as far as the margin allows.
fn label_widths(page: &Page<Drawn>, size: RasterHeight, gap: u32) -> Vec<u32> {
    let count = small(page.row_names.len()).max(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a side"
    )]
    let most = (f64::from(SIDE) * MARGIN_PART) as u32 / count;
    let names = page.row_names.iter().enumerate();
    names
        .map(|(place, name)| {
            let values = page.rows.iter().map(|row| &row.labels[place]);
            let longest = values.map(|value| width(value, size)).max().unwrap_or(0);
            longest.max(width(name, size)).min(most).max(1) + gap
        })
        .collect()
}

fn pictures(page: &Page<Drawn>) -> impl Iterator<Item = &RgbaImage> {
    let cells = page.rows.iter().flat_map(|row| &row.cells);
    cells.filter_map(|cell| match cell {
        Drawn::Picture(picture) => Some(picture),
        Drawn::Note(_) => None,
    })
}

/// The shape into which all pictures fit at the same length of their longer sides, as parts of it.
fn shape(page: &Page<Drawn>) -> (f64, f64) {
    let mut shape = (0.0_f64, 0.0_f64);
    for picture in pictures(page) {
        let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
        let longer = w.max(h);
        shape = (shape.0.max(w / longer), shape.1.max(h / longer));
    }
    if shape.0 <= 0.0 {
        return (1.0, 1.0);
    }
    (shape.0.max(1.0 / LONGEST), shape.1.max(1.0 / LONGEST))
}

/// The longer side of the largest picture.
fn largest(page: &Page<Drawn>) -> u32 {
    let sides = pictures(page).map(|picture| picture.width().max(picture.height()));
    sides.max().unwrap_or(0).max(SMALL_PICTURE)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and positive"
)]
fn fitting(shape: (f64, f64), room: (u32, u32), largest: u32) -> (u32, u32) {
    let scale = (f64::from(room.0) / shape.0).min(f64::from(room.1) / shape.1);
    let scale = scale.min(f64::from(largest));
    let side = |part: f64| ((part * scale).round() as u32).max(SMALLEST);
    (side(shape.0), side(shape.1))
}

/// The size at which a picture just fits.
fn within((w, h): (u32, u32), (wide, high): (u32, u32)) -> (u32, u32) {
    let (w64, h64) = (u64::from(w.max(1)), u64::from(h.max(1)));
    let by_width = (wide, (h64 * u64::from(wide) / w64));
    if by_width.1 <= u64::from(high) {
        return (wide, u32::try_from(by_width.1).unwrap_or(high).max(1));
    }
    let across = w64 * u64::from(high) / h64;
    (u32::try_from(across).unwrap_or(wide).max(1), high)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
