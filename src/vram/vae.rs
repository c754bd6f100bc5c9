//! What taking latents apart and putting pictures together needs (`memory_used_decode` and
//! `memory_used_encode` of `sd.py`).
//!
//! Each formula is a number of bytes for a size and for the bytes of a number; a batch is done one
//! by one where there is no room for more, so it doesn't count. The figures are those of 0.33.0 and,
//! where they differ, of 0.3.75. `HunyuanVideo`'s, `HunyuanVideo` 1.5's, `CogVideoX`'s and `MiniMax`'s were
//! read off 0.38.1.

use super::family::Edition;
pub use crate::knowledge::Autoencoder as Vae;

/// Frames, height and width: of a latent in cells, of pictures in pixels. Sound has its cells as
/// its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Frames.
    pub frames: f64,
    /// Rows.
    pub height: f64,
    /// Columns.
    pub width: f64,
}

/// With what an autoencoder works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workshop {
    /// How many bytes a number has.
    pub number: f64,
    /// A card of AMD's needs more for the KL ones (`VAE_KL_MEM_RATIO`).
    pub amd: bool,
    /// Whose figures count.
    pub edition: Edition,
}

impl Workshop {
    fn kl_ratio(&self) -> f64 {
        if self.amd { 2.73 } else { 1.0 }
    }

    fn pick(&self, late: f64, early: f64) -> f64 {
        match self.edition {
            Edition::Late => late,
            Edition::Early => early,
        }
    }
}

/// Files of autoencoders, by what their names begin with once separators are left out.
const FILES: [(&str, Vae); 17] = [
    ("flux2", Vae::Flux2),
    ("qwenimage", Vae::Wan21),
    ("wan22", Vae::Wan22),
    ("wan21", Vae::Wan21),
    ("hunyuanvideo15", Vae::Hunyuan15),
    ("hunyuanvideo", Vae::Hunyuan),
    ("hunyuanimage", Vae::HunyuanImage),
    ("ltx", Vae::Ltxv),
    ("mochi", Vae::Mochi),
    ("cosmoscv8x8x8", Vae::Cosmos),
    ("cogvideo", Vae::Cog),
    ("minimaxh3", Vae::MiniMax),
    ("sdxlvae", Vae::Kl),
    ("vaeft", Vae::Kl),
    ("aesafetensors", Vae::Kl),
    ("taesd", Vae::Kl),
    ("taef1", Vae::Kl),
];

impl Vae {
    /// The autoencoder in a file, by its name.
    #[must_use]
    pub fn in_file(file: &str) -> Option<Self> {
        let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        let name = name.to_lowercase();
        let found = FILES.iter().find(|(start, _)| name.starts_with(start));
        found.map(|(_, vae)| *vae)
    }

    /// Pixels to one side of a cell, and frames to one of the latent's.
    #[must_use]
    pub fn ratios(self) -> (f64, f64) {
        match self {
            Self::Pixels => (1.0, 1.0),
            Self::Flux2 | Self::Mage => (16.0, 1.0),
            Self::HunyuanImage => (32.0, 1.0),
            Self::Wan21 | Self::Hunyuan | Self::Cog => (8.0, 4.0),
            Self::Wan22 | Self::Hunyuan15 => (16.0, 4.0),
            Self::MiniMax => (16.0, 3.4),
            Self::Ltxv => (32.0, 8.0),
            Self::Cosmos => (8.0, 8.0),
            Self::Mochi => (8.0, 6.0),
            _ => (8.0, 1.0),
        }
    }

    /// Whether it takes the frames of a clip together.
    #[must_use]
    pub fn is_of_clips(self) -> bool {
        self.ratios().1 > 1.0
    }

    /// Bytes that decoding a latent needs.
    #[must_use]
    pub fn decoding(self, latent: Extent, with: &Workshop) -> Option<f64> {
        let Extent { frames, .. } = latent;
        let cells = latent.height * latent.width;
        let numbers = match self {
            Self::Kl => 2178.0 * 64.0 * cells * with.kl_ratio(),
            Self::Flux2 => 2178.0 * 64.0 * 4.0 * cells * with.kl_ratio(),
            Self::Mage => 1000.0 * 256.0 * cells,
            Self::HunyuanImage => 700.0 * 1024.0 * cells,
            Self::Pixels => cells,
            Self::Wan21 => {
                let few = frames <= 4.0;
                let per_pixel = with.pick(if few { 2200.0 } else { 7000.0 }, 7000.0);
                per_pixel * 64.0 * cells
            }
            // 8000 for each of 256 pixels, and 1000 for each of 2048 moments.
            Self::Wan22 | Self::Sound => 2_048_000.0 * cells,
            Self::Hunyuan => {
                let late = 2800.0 * 64.0 * ((frames - 1.0) * 4.0 + 1.0).min(8.0);
                with.pick(late, 1500.0 * 256.0 * frames) * cells
            }
            Self::Hunyuan15 => with.pick(3600.0, 2800.0) * 4.0 * 256.0 * cells,
            Self::Ltxv => with.pick(1200.0, 900.0) * 512.0 * frames * cells,
            Self::Cosmos => 50.0 * 512.0 * frames * cells,
            Self::Mochi => 1000.0 * 384.0 * frames * cells,
            Self::Cog => 2800.0 * 64.0 * ((frames - 1.0) * 4.0 + 1.0).max(2.0) * cells,
            // One chunk of some 20 frames at a time.
            Self::MiniMax => 9.5 * 22.0 * 256.0 * cells + 270e6,
            Self::AceStep => 87_000.0 * cells,
            Self::Unknown => return None,
        };
        Some(numbers * with.number)
    }

    /// Bytes that encoding pictures needs.
    #[must_use]
    pub fn encoding(self, pictures: Extent, with: &Workshop) -> Option<f64> {
        let Extent { frames, .. } = pictures;
        let pixels = pictures.height * pictures.width;
        let numbers = match self {
            Self::Kl | Self::Flux2 => 1767.0 * pixels * with.kl_ratio(),
            Self::Mage => 400.0 * pixels,
            Self::HunyuanImage => 700.0 * pixels,
            Self::Pixels => pixels,
            Self::Wan21 => {
                let few = frames <= 4.0;
                with.pick(if few { 1500.0 } else { 6000.0 }, 6000.0) * pixels
            }
            Self::Wan22 => 3300.0 * pixels,
            Self::Hunyuan => {
                let late = 1400.0 * frames.min(9.0);
                with.pick(late, 900.0 * frames.max(2.0)) * pixels
            }
            Self::Hunyuan15 => 1400.0 * 9.0 * pixels,
            Self::Ltxv => with.pick(80.0, 70.0) * frames.max(7.0) * pixels,
            Self::Cosmos => 50.0 * ((frames + 7.0) / 8.0).round() * 8.0 * pixels,
            Self::Mochi => 1.5 * 384.0 * frames.max(7.0) * pixels,
            Self::Cog => 1400.0 * frames.max(1.0) * pixels,
            Self::MiniMax => 9.5 * frames.min(22.0) * pixels + 1300e6,
            Self::AceStep | Self::Sound | Self::Unknown => return None,
        };
        Some(numbers * with.number)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const HALF: Workshop = Workshop {
        number: 2.0,
        amd: false,
        edition: Edition::Late,
    };

    fn extent(frames: f64, height: f64, width: f64) -> Extent {
        Extent {
            frames,
            height,
            width,
        }
    }

    // By hand, for numbers of two bytes.
    #[rstest]
    // 2178 x 128 x 128 x 64 x 2
    #[case(Vae::Kl, extent(1.0, 128.0, 128.0), 4_567_597_056.0)]
    // 2178 x 64 x 64 x 256 x 2
    #[case(Vae::Flux2, extent(1.0, 64.0, 64.0), 4_567_597_056.0)]
    // 2200 x 166 x 166 x 64 x 2
    #[case(Vae::Wan21, extent(1.0, 166.0, 166.0), 7_759_769_600.0)]
    // 7000 x 60 x 104 x 64 x 2
    #[case(Vae::Wan21, extent(21.0, 60.0, 104.0), 5_591_040_000.0)]
    // 8000 x 44 x 80 x 256 x 2
    #[case(Vae::Wan22, extent(31.0, 44.0, 80.0), 14_417_920_000.0)]
    // 1200 x 13 x 16 x 24 x 512 x 2
    #[case(Vae::Ltxv, extent(13.0, 16.0, 24.0), 6_134_169_600.0)]
    // 2800 x 8 x 60 x 104 x 64 x 2
    #[case(Vae::Hunyuan, extent(31.0, 60.0, 104.0), 17_891_328_000.0)]
    // 700 x 64 x 64 x 1024 x 2
    #[case(Vae::HunyuanImage, extent(1.0, 64.0, 64.0), 5_872_025_600.0)]
    // 1000 x 7 x 60 x 106 x 384 x 2
    #[case(Vae::Mochi, extent(7.0, 60.0, 106.0), 34_191_360_000.0)]
    fn decoding_needs(#[case] vae: Vae, #[case] latent: Extent, #[case] bytes: f64) {
        assert_eq!(vae.decoding(latent, &HALF), Some(bytes));
    }

    #[rstest]
    // 1767 x 1024 x 1024 x 2
    #[case(Vae::Kl, extent(1.0, 1024.0, 1024.0), 3_705_667_584.0)]
    // 1500 x 1024 x 1024 x 2
    #[case(Vae::Wan21, extent(1.0, 1024.0, 1024.0), 3_145_728_000.0)]
    // 6000 x 480 x 832 x 2
    #[case(Vae::Wan21, extent(81.0, 480.0, 832.0), 4_792_320_000.0)]
    // 3300 x 704 x 1280 x 2
    #[case(Vae::Wan22, extent(1.0, 704.0, 1280.0), 5_947_392_000.0)]
    // 80 x 7 x 512 x 768 x 2
    #[case(Vae::Ltxv, extent(1.0, 512.0, 768.0), 440_401_920.0)]
    fn encoding_needs(#[case] vae: Vae, #[case] pictures: Extent, #[case] bytes: f64) {
        assert_eq!(vae.encoding(pictures, &HALF), Some(bytes));
    }

    #[rstest]
    #[case("ae.safetensors", Some(Vae::Kl))]
    #[case("wan_2.1_vae.safetensors", Some(Vae::Wan21))]
    #[case("split/wan2.2_vae.safetensors", Some(Vae::Wan22))]
    #[case("qwen_image_vae.safetensors", Some(Vae::Wan21))]
    #[case("hunyuanvideo15_vae_fp16.safetensors", Some(Vae::Hunyuan15))]
    #[case("taesd3", Some(Vae::Kl))]
    #[case("mine.safetensors", None)]
    fn files_are_known_by_their_names(#[case] file: &str, #[case] vae: Option<Vae>) {
        assert_eq!(Vae::in_file(file), vae);
    }

    #[test]
    fn cards_of_amd_need_more_for_the_old_ones_alone() {
        let amd = Workshop { amd: true, ..HALF };
        let of = |vae: Vae, with: &Workshop| vae.decoding(extent(1.0, 64.0, 64.0), with).unwrap();
        assert!((of(Vae::Kl, &amd) / of(Vae::Kl, &HALF) - 2.73).abs() < 1e-9);
        assert_eq!(of(Vae::Wan21, &amd), of(Vae::Wan21, &HALF));
    }

    #[test]
    fn an_early_server_reckons_in_its_own_way() {
        let early = Workshop {
            edition: Edition::Early,
            ..HALF
        };
        // 7000 x 166 x 166 x 64 x 2, and 900 x 13 x 16 x 24 x 512 x 2
        let wan = Vae::Wan21.decoding(extent(1.0, 166.0, 166.0), &early);
        assert_eq!(wan, Some(24_690_176_000.0));
        let ltxv = Vae::Ltxv.decoding(extent(13.0, 16.0, 24.0), &early);
        assert_eq!(ltxv, Some(4_600_627_200.0));
    }

    const ALL: [Vae; 17] = [
        Vae::Kl,
        Vae::Flux2,
        Vae::Mage,
        Vae::HunyuanImage,
        Vae::Pixels,
        Vae::Wan21,
        Vae::Wan22,
        Vae::Hunyuan,
        Vae::Hunyuan15,
        Vae::Ltxv,
        Vae::Cosmos,
        Vae::Mochi,
        Vae::Cog,
        Vae::MiniMax,
        Vae::AceStep,
        Vae::Sound,
        Vae::Unknown,
    ];

    proptest! {
        #[test]
        fn more_never_needs_less(
            frames in 1_u32..40, height in 1_u32..300, width in 1_u32..300,
            more in prop::array::uniform3(0_u32..30), early: bool, amd: bool,
        ) {
            let edition = if early { Edition::Early } else { Edition::Late };
            let with = Workshop { number: 2.0, amd, edition };
            let small = extent(frames.into(), height.into(), width.into());
            let large = extent(
                (frames + more[0]).into(),
                (height + more[1]).into(),
                (width + more[2]).into(),
            );
            for vae in ALL {
                prop_assert!(vae.decoding(small, &with) <= vae.decoding(large, &with), "{vae:?}");
                prop_assert!(vae.encoding(small, &with) <= vae.encoding(large, &with), "{vae:?}");
            }
        }
    }
}
