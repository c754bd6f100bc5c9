//! Contact sheets: the pictures of a sweep in one, with the values of its axes in the margins.
//!
//! A sheet is made to be looked at as agents are shown assets: at half its size its words can still
//! be read. The last axis runs across, the ones before it down; a single axis is laid out like
//! text, each picture with its value. What does not fit on one sheet goes on another.

mod draw;
mod label;
mod layout;
mod stills;
mod words;

use image::{DynamicImage, ImageFormat, RgbaImage};

use super::encode::encode_lossless;
use super::{Asset, AssetError, Assets, NewAsset};

/// What a contact sheet shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// What was varied; the last changes fastest.
    pub axes: Vec<SheetAxis>,
    /// One cell per combination.
    pub cells: Vec<SheetCell>,
}

/// What was varied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SheetAxis {
    /// The parameter.
    pub name: String,
    /// Its values in words.
    pub values: Vec<String>,
}

/// What stands at one combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SheetCell {
    /// A picture or a clip.
    Asset(String),
    /// Nothing, and why.
    Empty(String),
}

/// A cell as it is drawn.
#[derive(Clone, Debug)]
pub(super) enum Drawn {
    Picture(RgbaImage),
    Note(String),
}

impl Sheet {
    /// How many combinations its axes have.
    #[must_use]
    pub fn size(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).product()
    }

    /// What was varied, in words.
    #[must_use]
    pub fn names(&self) -> String {
        let varied = self.axes.iter().filter(|axis| axis.values.len() > 1);
        let names: Vec<&str> = varied.map(|axis| axis.name.as_str()).collect();
        names.join(", ")
    }
}

impl Assets {
    /// Draws a sheet and keeps it, page by page, each as an asset of its own made from those that
    /// it shows. What can't be shown has its reason in its place.
    pub fn keep_sheet(&self, sheet: &Sheet, new: &NewAsset) -> Result<Vec<Asset>, AssetError> {
        let pages = layout::pages(sheet);
        let count = pages.len();
        let mut kept = Vec::with_capacity(count);
        for (index, page) in pages.into_iter().enumerate() {
            let mut page = page.map(|cell| self.drawn(cell));
            if count > 1 {
                page.number = Some(format!("{}/{count}", index + 1));
            }
            let picture = DynamicImage::ImageRgba8(draw::page(&page)).to_rgb8().into();
            let bytes = encode_lossless(&picture, ImageFormat::Png).map_err(|error| {
                AssetError::NoPreview {
                    mime_type: "image/png".to_owned(),
                    reason: error.to_string(),
                }
            })?;
            let new = NewAsset {
                filename: match count {
                    1 => "contact_sheet.png".to_owned(),
                    _ => format!("contact_sheet_{}.png", index + 1),
                },
                made_from: page.assets.clone(),
                ..new.clone()
            };
            kept.push(self.keep(new, &bytes)?);
        }
        Ok(kept)
    }

    /// What is to be seen of a cell.
    fn drawn(&self, cell: &SheetCell) -> Drawn {
        let id = match cell {
            SheetCell::Asset(id) => id,
            SheetCell::Empty(reason) => return Drawn::Note(reason.clone()),
        };
        let Ok(asset) = self.get(id) else {
            return Drawn::Note("expired".to_owned());
        };
        let seen = self
            .path(id)
            .ok()
            .and_then(|path| stills::strip(&path).ok());
        match (seen, asset.duration) {
            (Some(strip), _) => Drawn::Picture(strip),
            (None, Some(seconds)) => Drawn::Note(format!("clip of {seconds:.1} s, not decoded")),
            (None, None) => Drawn::Note(format!("{} not decoded", asset.mime_type)),
        }
    }
}
