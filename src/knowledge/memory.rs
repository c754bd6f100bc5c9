//! How `ComfyUI` reckons the memory of a family; what follows from it is in [`crate::vram`].

use serde::Deserialize;

/// What the server's code says of a family.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The factor of the sampler's work (`memory_usage_factor`).
    pub factor: f64,
    /// The same up to 0.3.75, where it was another.
    #[serde(default)]
    pub early_factor: Option<f64>,
    /// What it makes, and how that relates to its latent (`latent_format`).
    pub grid: Grid,
    /// What takes its latents apart.
    #[serde(default)]
    pub autoencoder: Autoencoder,
    /// Whether reference pictures count as work (`memory_usage_factor_conds`).
    #[serde(default)]
    pub references: bool,
}

impl Memory {
    /// Whether all that is reckoned with is more than nothing.
    pub(super) fn is_possible(&self) -> bool {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let of_grid = match self.grid {
            Grid::Picture(number) | Grid::Sound(number) => positive(number),
            Grid::Clip(space, time) => positive(space) && positive(time),
            Grid::Body => true,
        };
        of_grid && positive(self.factor) && self.early_factor.is_none_or(positive)
    }
}

/// What a family makes, and how large the latent of it is.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// One autoencoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Autoencoder {
    /// Of Stable Diffusion and FLUX.1.
    Kl,
    /// Of FLUX.2: the same with cells of 16 pixels.
    #[serde(rename = "flux-2")]
    Flux2,
    /// Of Mage-Flow.
    Mage,
    /// Of `HunyuanImage` 2.1.
    HunyuanImage,
    /// None: the model works on pixels.
    Pixels,
    /// Of Wan 2.1, which Qwen-Image uses too.
    #[serde(rename = "wan-2.1")]
    Wan21,
    /// Of the Wan 2.2 of 5 billion weights.
    #[serde(rename = "wan-2.2")]
    Wan22,
    /// Of `HunyuanVideo`.
    Hunyuan,
    /// Of `HunyuanVideo` 1.5.
    #[serde(rename = "hunyuan-1.5")]
    Hunyuan15,
    /// Of LTX-Video and LTX-2.
    Ltxv,
    /// Of Cosmos.
    Cosmos,
    /// Of Mochi.
    Mochi,
    /// Of `CogVideoX`.
    Cog,
    /// Of `MiniMax` H3, which works in pieces of its own.
    #[serde(rename = "minimax")]
    MiniMax,
    /// Of ACE-Step.
    AceStep,
    /// Of Stable Audio and ACE-Step 1.5.
    Sound,
    /// Not known.
    #[default]
    #[serde(skip)]
    Unknown,
}
