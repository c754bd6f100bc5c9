//! What follows from what the facts say of a family: how much work its sampler is, and how large a
//! latent is.
//!
//! The figures are those of 0.33.0; where 0.3.75 has others, these stand beside them, because the
//! server reckons with its own. Both were read off the servers' code.

use crate::knowledge::Knowledge;
pub use crate::knowledge::{Grid, Memory as Family};

/// Whose figures count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// Those of 0.3.75, for every 0.3.
    Early,
    /// Those of 0.33.0, for 0.4 and later.
    #[default]
    Late,
}

/// `1024 * 1024`, by which the server's formula ends.
const MEBIBYTE: f64 = 1_048_576.0;

/// The family of that name.
#[must_use]
pub fn family(knowledge: &Knowledge, name: &str) -> Option<Family> {
    knowledge.families.get(name)?.vram
}

/// All families, for what can only be said of all of them.
pub(super) fn families(knowledge: &Knowledge) -> impl Iterator<Item = Family> {
    knowledge.families.values().filter_map(|facts| facts.vram)
}

/// What attention the server works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// `PyTorch`'s own or xformers: work grows with the area.
    Efficient,
    /// In parts, which takes much more.
    Plain,
}

impl Family {
    /// The factor of the sampler's work.
    #[must_use]
    pub fn factor(&self, edition: Edition) -> f64 {
        match edition {
            Edition::Early => self.early_factor.unwrap_or(self.factor),
            Edition::Late => self.factor,
        }
    }

    /// Pixels to one side of a latent's cell.
    #[must_use]
    pub fn space(&self) -> f64 {
        match self.grid {
            Grid::Picture(space) | Grid::Clip(space, _) => space,
            Grid::Sound(_) | Grid::Body => 1.0,
        }
    }

    /// Frames of a clip to one of the latent's; none for what isn't a clip.
    #[must_use]
    pub fn time(&self) -> Option<f64> {
        match self.grid {
            Grid::Clip(_, time) => Some(time),
            _ => None,
        }
    }

    /// Frames of the latent for so many of the clip.
    #[must_use]
    pub fn latent_frames(&self, frames: f64) -> f64 {
        self.time()
            .map_or(1.0, |time| ((frames - 1.0) / time).floor() + 1.0)
    }

    /// Cells of one frame of the latent.
    #[must_use]
    pub fn cells(&self, width: f64, height: f64) -> f64 {
        let space = self.space();
        (width / space).floor() * (height / space).floor()
    }

    /// What the sampler's work needs in bytes (`memory_required`) for a latent of so many cells in
    /// all: of every frame, of every picture of the batch, on each side of the guidance. `number` is
    /// how many bytes the model reckons with.
    #[must_use]
    pub fn sampling(&self, area: f64, number: f64, attention: Attention, edition: Edition) -> f64 {
        let per_cell = match attention {
            Attention::Efficient => number * 0.01,
            Attention::Plain => 0.15,
        };
        area * per_cell * self.factor(edition) * MEBIBYTE
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;
    use rstest::rstest;

    fn family(name: &str) -> Option<Family> {
        super::family(&Knowledge::bundled(), name)
    }

    // By hand: 1024 x 1024 has 128 x 128 cells of 8, both sides of the guidance make 32,768;
    // x 2 bytes x 0.01 x factor x 1,048,576.
    #[rstest]
    #[case("sd15", 687_194_767.36)]
    #[case("sdxl", 549_755_813.888)]
    #[case("sd3", 1_099_511_627.776)]
    #[case("flux1", 2_130_303_778.816)]
    #[case("qwen-image", 1_236_950_581.248)]
    #[case("z-image", 1_924_145_348.608)]
    fn a_megapixel_on_both_sides_needs(#[case] name: &str, #[case] bytes: f64) {
        let family = family(name).unwrap();
        let area = family.cells(1024.0, 1024.0) * 2.0;
        let needed = family.sampling(area, 2.0, Attention::Efficient, Edition::Late);
        assert!((needed - bytes).abs() < 1.0, "{needed}");
    }

    #[test]
    fn plain_attention_reckons_with_cells_alone() {
        let family = family("sd15").unwrap();
        let needed = family.sampling(4096.0, 2.0, Attention::Plain, Edition::Late);
        assert!((needed - 644_245_094.4).abs() < 1.0, "{needed}");
    }

    #[test]
    fn each_edition_has_its_own_factor() {
        let sd3 = family("sd3").unwrap();
        assert_eq!(
            (sd3.factor(Edition::Early), sd3.factor(Edition::Late)),
            (1.2, 1.6)
        );
        assert_eq!(family("sd15").unwrap().factor(Edition::Early), 1.0);
    }

    #[rstest]
    #[case("wan", 81.0, 21.0)]
    #[case("ltxv", 97.0, 13.0)]
    #[case("mochi", 37.0, 7.0)]
    #[case("flux1", 81.0, 1.0)]
    #[case("qwen-image", 1.0, 1.0)]
    fn a_latent_has_fewer_frames(#[case] name: &str, #[case] frames: f64, #[case] latent: f64) {
        assert_eq!(family(name).unwrap().latent_frames(frames), latent);
    }

    /// Families of models that are known, of whose work ComfyUI's code was not read.
    const UNREAD: [&str; 43] = [
        "anima-controlnet",
        "birefnet",
        "depth-anything",
        "esrgan",
        "fibo2",
        "film",
        "flux1-controlnet",
        "flux1-reference",
        "flux3",
        "gemma4",
        "hidream-o1",
        "joyai",
        "krea2-reference",
        "lotus",
        "ltx2-controlnet",
        "marigold2",
        "ming-image",
        "minimax-h3-controlnet",
        "minimax-music-3",
        "moge",
        "moss-image",
        "moss-image-controlnet",
        "newbie",
        "ovis-image",
        "pid",
        "pixeldit",
        "qwen-image-2.1",
        "qwen-image-controlnet",
        "qwen3",
        "qwen3-vl",
        "qwen3.5",
        "rt-detr",
        "sam3",
        "sam3d-body",
        "sd3-controlnet",
        "sdpose",
        "sdxl-controlnet",
        "sdxl-reference",
        "seedvr2",
        "triposplat",
        "wan-api",
        "yue2",
        "z-image-controlnet",
    ];

    /// Families of no known model: those of headers, and those that bound what is not known.
    const WITHOUT_MODEL: [&str; 10] = [
        "auraflow",
        "cosmos",
        "cosmos-predict2",
        "cosmos-predict2-14b",
        "hunyuan-dit",
        "hunyuan-image",
        "mochi",
        "pixart",
        "sd20",
        "sdxl-refiner",
    ];

    #[test]
    fn models_have_the_names_of_these_families() {
        let knowledge = crate::knowledge::Knowledge::bundled();
        let own: std::collections::BTreeSet<&str> = knowledge
            .models
            .iter()
            .map(|model| &*model.family)
            .collect();
        let unknown: Vec<&str> = own
            .iter()
            .copied()
            .filter(|name| family(name).is_none())
            .collect();
        assert_eq!(unknown, UNREAD);
        let read = knowledge
            .families
            .iter()
            .filter(|(_, facts)| facts.vram.is_some());
        let idle: Vec<&str> = read
            .map(|(name, _)| &**name)
            .filter(|name| !own.contains(name))
            .collect();
        assert_eq!(idle, WITHOUT_MODEL);
    }
}
