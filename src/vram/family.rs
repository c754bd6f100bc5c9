//! What `ComfyUI` knows of each family: how much work its sampler is, and how its latent relates to
//! what is made (`memory_usage_factor` and `latent_format` of `supported_models.py`, `sd.py`).
//!
//! The figures are those of 0.33.0; where 0.3.75 has others, these stand beside them, because the
//! server reckons with its own. Both were read off the servers' code.

use super::vae::Vae;

/// Whose figures count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// Those of 0.3.75, for every 0.3.
    Early,
    /// Those of 0.33.0, for 0.4 and later.
    #[default]
    Late,
}

/// One family of models, by the name that `sota.toml` uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// The factor of the sampler's work.
    factor: f64,
    /// The same up to 0.3.75.
    early: f64,
    /// What it makes, and how that relates to its latent.
    pub grid: Grid,
    /// What takes its latents apart.
    pub vae: Vae,
    /// Whether reference pictures count as work (`memory_usage_factor_conds`).
    pub references: bool,
}

/// What a family makes, and how large the latent of it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grid {
    /// Pictures: pixels to one side of a cell.
    Picture(f64),
    /// Clips: pixels to one side of a cell, and frames to one of the latent's.
    Clip(f64, f64),
    /// Sound: cells to a second.
    Sound(f64),
    /// Bodies: as many cells as the node says.
    Body,
}

/// `1024 * 1024`, by which the server's formula ends.
const MEBIBYTE: f64 = 1_048_576.0;

/// The families, by name. Those without a factor of their own have the server's default of 2.
#[rustfmt::skip]
const FAMILIES: [(&str, Family); 53] = {
    use Grid::{Body, Clip, Picture, Sound};
    [
        ("sd15", plain(1.0, Picture(8.0), Vae::Kl)),
        ("sd20", plain(1.0, Picture(8.0), Vae::Kl)),
        ("sdxl", plain(0.8, Picture(8.0), Vae::Kl)),
        ("sdxl-refiner", plain(1.0, Picture(8.0), Vae::Kl)),
        ("sd3", since(1.6, 1.2, Picture(8.0), Vae::Kl)),
        ("pixart", plain(0.5, Picture(8.0), Vae::Kl)),
        ("hunyuan-dit", plain(1.3, Picture(8.0), Vae::Kl)),
        ("auraflow", plain(2.0, Picture(8.0), Vae::Kl)),
        ("hidream", plain(2.0, Picture(8.0), Vae::Kl)),
        ("flux1", referring(plain(3.1, Picture(8.0), Vae::Kl))),
        ("chroma", referring(plain(3.2, Picture(8.0), Vae::Kl))),
        ("chroma-radiance", since(0.044, 0.038, Picture(1.0), Vae::Pixels)),
        ("longcat", referring(plain(2.5, Picture(8.0), Vae::Kl))),
        // 3.1 x 4 x hidden / 2604; hidden is 6144, 3072 and 4096. Up to 0.3.75 it was 2.36 for all.
        ("flux2", referring(since(29.257, 29.264, Picture(16.0), Vae::Flux2))),
        ("flux2-klein", referring(since(14.629, 29.264, Picture(16.0), Vae::Flux2))),
        ("flux2-klein-9b", referring(since(19.505, 29.264, Picture(16.0), Vae::Flux2))),
        ("lens", plain(4.0, Picture(16.0), Vae::Flux2)),
        ("ernie", plain(10.0, Picture(16.0), Vae::Flux2)),
        ("ideogram4", plain(11.6, Picture(16.0), Vae::Flux2)),
        ("mage-flow", plain(6.5, Picture(16.0), Vae::Mage)),
        ("lumina2", plain(1.4, Picture(8.0), Vae::Kl)),
        ("z-image", since(2.8, 1.7, Picture(8.0), Vae::Kl)),
        ("omnigen2", referring(since(1.95, 1.65, Picture(8.0), Vae::Kl))),
        ("boogu", referring(plain(2.15, Picture(8.0), Vae::Kl))),
        // A latent of Wan's with one frame, or one for each layer.
        ("qwen-image", referring(plain(1.8, Clip(8.0, 4.0), Vae::Wan21))),
        ("krea2", plain(2.2, Picture(8.0), Vae::Wan21)),
        ("anima", plain(0.95, Picture(8.0), Vae::Wan21)),
        ("hunyuan-image", since(8.7, 7.7, Picture(32.0), Vae::HunyuanImage)),
        ("kandinsky5-image", plain(1.25, Picture(8.0), Vae::Kl)),
        ("kandinsky5", plain(1.25, Clip(8.0, 4.0), Vae::Hunyuan)),
        // Factors of dim / 2222, with a dim of 5120, 1536 and 3072.
        ("wan", plain(2.3042, Clip(8.0, 4.0), Vae::Wan21)),
        ("wan-1.3b", plain(0.6913, Clip(8.0, 4.0), Vae::Wan21)),
        ("wan22-5b", plain(1.3825, Clip(16.0, 4.0), Vae::Wan22)),
        ("wan-vace", plain(2.7651, Clip(8.0, 4.0), Vae::Wan21)),
        ("wan-vace-1.3b", plain(0.8295, Clip(8.0, 4.0), Vae::Wan21)),
        ("wan-dancer", plain(1.8, Clip(8.0, 4.0), Vae::Wan21)),
        ("hunyuan-video", plain(1.8, Clip(8.0, 4.0), Vae::Hunyuan)),
        ("hunyuan-video-15", plain(4.0, Clip(16.0, 4.0), Vae::Hunyuan15)),
        ("cosmos", plain(1.6, Clip(8.0, 8.0), Vae::Cosmos)),
        // 0.95 x channels / 2048 (0.9 up to 0.3.75), with 2048 and 5120 channels.
        ("cosmos-predict2", since(0.95, 0.9, Clip(8.0, 4.0), Vae::Wan21)),
        ("cosmos-predict2-14b", since(2.375, 2.25, Clip(8.0, 4.0), Vae::Wan21)),
        ("mochi", plain(2.0, Clip(8.0, 6.0), Vae::Mochi)),
        ("cogvideox", plain(2.0, Clip(8.0, 4.0), Vae::Cog)),
        ("svd", plain(2.0, Clip(8.0, 1.0), Vae::Kl)),
        // 5.5 x cross attention / 2048.
        ("ltxv", plain(5.5, Clip(32.0, 8.0), Vae::Ltxv)),
        // 0.077 and 0.114 for each number of a packed latent, with 128 and 24 to a cell.
        ("ltx2", plain(9.856, Clip(32.0, 8.0), Vae::Ltxv)),
        ("minimax-h3", plain(2.736, Clip(16.0, 3.4), Vae::MiniMax)),
        ("hunyuan3d-v2", plain(3.5, Body, Vae::Unknown)),
        ("trellis2", plain(6.0, Body, Vae::Unknown)),
        // 16 rows of 44,100 / 512 / 8 a second; 48,000 / 1920; 44,100 / 2048.
        ("ace-step", plain(0.5, Sound(172.27), Vae::AceStep)),
        ("ace-step-15", plain(4.7, Sound(25.0), Vae::Sound)),
        ("stable-audio", plain(2.0, Sound(21.53), Vae::Sound)),
        ("stable-audio-3", plain(7.0, Sound(10.77), Vae::Sound)),
    ]
};

const fn plain(factor: f64, grid: Grid, vae: Vae) -> Family {
    since(factor, factor, grid, vae)
}

/// A factor that was another one up to 0.3.75.
const fn since(factor: f64, early: f64, grid: Grid, vae: Vae) -> Family {
    Family {
        factor,
        early,
        grid,
        vae,
        references: false,
    }
}

const fn referring(family: Family) -> Family {
    Family {
        references: true,
        ..family
    }
}

/// The family of that name.
#[must_use]
pub fn family(name: &str) -> Option<Family> {
    let found = FAMILIES.iter().find(|(own, _)| *own == name);
    found.map(|(_, family)| *family)
}

/// All families, for what can only be said of all of them.
pub(super) fn families() -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().map(|(_, family)| family)
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
            Edition::Early => self.early,
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
    const UNREAD: [&str; 42] = [
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
        "sdxl-reference",
        "seedvr2",
        "triposplat",
        "wan-api",
        "yue2",
        "z-image-controlnet",
    ];

    /// Families of no known model: those of headers, and those that bound what is not known.
    const WITHOUT_MODEL: [&str; 10] = [
        "sd20",
        "sdxl-refiner",
        "pixart",
        "hunyuan-dit",
        "auraflow",
        "hunyuan-image",
        "cosmos",
        "cosmos-predict2",
        "cosmos-predict2-14b",
        "mochi",
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
        let idle: Vec<&str> = FAMILIES
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !own.contains(name))
            .collect();
        assert_eq!(idle, WITHOUT_MODEL);
    }

    #[test]
    fn no_name_is_there_twice() {
        let names: std::collections::BTreeSet<&str> =
            FAMILIES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), FAMILIES.len());
    }
}
