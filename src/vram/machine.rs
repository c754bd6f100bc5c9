//! What a server works on, and with which numbers: from what it says of itself.
//!
//! The rules are those of `model_management.py` (0.3.75; the same in 0.33.0): which numbers are used
//! on what device, which attention, how much is kept free.

use super::card::{device, flag, held, option};
use super::family::{Attention, Edition};
use super::vae::Workshop;
use super::{Card, GIB};
use crate::comfy::{Device, SystemStats, parse_version};

/// What is kept free beside models and work on Linux and macOS (`EXTRA_RESERVED_VRAM`).
const RESERVED: f64 = 400.0 * 1_048_576.0;

/// The same on Windows, for small and for large cards.
const RESERVED_WINDOWS: (f64, f64) = (600.0 * 1_048_576.0, 700.0 * 1_048_576.0);

/// Cards of AMD's on which `PyTorch`'s own attention is used: gfx90a, gfx942, gfx1100, gfx1101,
/// gfx1151 and gfx1201, by the names under which they are sold.
const EFFICIENT_AMD: [&str; 12] = [
    "7900", "7800", "7700", "w7900", "w7800", "w7700", "mi210", "mi250", "mi300", "8060s", "9070",
    "r9700",
];

/// What a server works on.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its memory.
    pub card: Option<Card>,
    /// Its name, with its size: what was observed on one is not true of another.
    pub device: Option<String>,
    /// What of the card's memory is free this moment, the server's own models not counted.
    pub idle: Option<f64>,
    /// The machine's own memory, in bytes: all of it and what is free; none if that is not told.
    pub ram: Option<(f64, f64)>,
    /// What kind it is.
    pub kind: Kind,
    /// Whose figures count.
    pub edition: Edition,
    /// Which attention.
    pub attention: Attention,
    /// Whether that is a guess.
    pub attention_guessed: bool,
    /// What is kept free beside models and work.
    pub reserved: f64,
    /// Bytes of a number in diffusion models, text encoders and autoencoders.
    pub numbers: Numbers,
    /// Whether text encoders and autoencoders work on the card.
    pub text_on_card: bool,
    /// The same of autoencoders.
    pub vae_on_card: bool,
}

/// What kind of device models run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A card of NVIDIA's.
    Cuda,
    /// A card of AMD's, which `PyTorch` calls cuda.
    Rocm,
    /// A card of Intel's.
    Xpu,
    /// Apple's, in the machine's own memory.
    Mps,
    /// No card.
    Cpu,
    /// Another one, or not known.
    Other,
}

/// How many bytes numbers have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// In diffusion models, unless a file has smaller ones.
    pub model: f64,
    /// While they work.
    pub work: f64,
    /// In text encoders, unless a file has smaller ones.
    pub text: f64,
    /// In autoencoders.
    pub vae: f64,
}

impl Default for Machine {
    /// A card of NVIDIA's of unknown size.
    fn default() -> Self {
        Self {
            card: None,
            device: None,
            idle: None,
            ram: None,
            kind: Kind::Cuda,
            edition: Edition::Late,
            attention: Attention::Efficient,
            attention_guessed: false,
            reserved: RESERVED,
            numbers: Numbers {
                model: 2.0,
                work: 2.0,
                text: 2.0,
                vae: 2.0,
            },
            text_on_card: true,
            vae_on_card: true,
        }
    }
}

impl Machine {
    /// A card of NVIDIA's of that size.
    #[must_use]
    pub fn with_card(card: Option<Card>) -> Self {
        Self {
            card,
            ..Self::default()
        }
    }

    /// What a server works on, by its own words.
    #[must_use]
    pub fn of(stats: &SystemStats) -> Self {
        let found = device(stats);
        let kind = found.map_or(Kind::Other, |device| {
            kind(stats, &device.kind, &device.name)
        });
        let card = found.and_then(Card::on);
        let (attention, attention_guessed) = attention(stats, kind, found.map(|one| &*one.name));
        Self {
            card,
            device: found.map(|device| format!("{} ({})", device.name, device.vram_total)),
            idle: found.map(|device| bytes(device.vram_free)),
            ram: (stats.ram_total > 0).then(|| (bytes(stats.ram_total), bytes(stats.ram_free))),
            kind,
            edition: edition(&stats.comfyui_version),
            attention,
            attention_guessed,
            reserved: reserved(stats, card),
            numbers: numbers(stats, kind),
            text_on_card: text_on_card(stats, kind),
            vae_on_card: !flag(stats, "--cpu-vae"),
        }
    }

    /// With what autoencoders work.
    #[must_use]
    pub fn workshop(&self) -> Workshop {
        Workshop {
            number: self.numbers.vae,
            amd: self.kind == Kind::Rocm,
            edition: self.edition,
        }
    }

    /// What is kept free at least while a model works (`minimum_inference_memory`), what is
    /// reserved not counted.
    pub(super) const LEAST_WORK: f64 = 0.8 * GIB;
}

/// What the server's own tensors take of the card that it works on, in bytes; none where it has no
/// card, or where only the use of the whole machine is told.
#[must_use]
pub fn held_now(stats: &SystemStats) -> Option<u64> {
    let counts_own = |device: &&Device| matches!(&*device.kind, "cuda" | "xpu");
    let device = device(stats).filter(counts_own)?;
    (device.vram_total > 0).then(|| held(device))
}

fn edition(version: &str) -> Edition {
    match parse_version(version) {
        Some(version) if (version.major, version.minor) < (0, 4) => Edition::Early,
        _ => Edition::Late,
    }
}

fn kind(stats: &SystemStats, kind: &str, name: &str) -> Kind {
    let name = name.to_lowercase();
    let torch = stats.pytorch_version.to_lowercase();
    match kind {
        "cuda" if torch.contains("rocm") || name.contains("amd") || name.contains("radeon") => {
            Kind::Rocm
        }
        "cuda" => Kind::Cuda,
        "xpu" => Kind::Xpu,
        "mps" => Kind::Mps,
        "cpu" => Kind::Cpu,
        _ => Kind::Other,
    }
}

/// Which attention, and whether that is a guess.
fn attention(stats: &SystemStats, kind: Kind, name: Option<&str>) -> (Attention, bool) {
    let plain = ["--use-split-cross-attention", "--use-quad-cross-attention"];
    if flag(stats, "--use-pytorch-cross-attention") && !matches!(kind, Kind::Cpu | Kind::Mps) {
        return (Attention::Efficient, false);
    }
    if plain.iter().any(|name| flag(stats, name)) {
        return (Attention::Plain, false);
    }
    match kind {
        Kind::Cuda | Kind::Xpu => (Attention::Efficient, false),
        Kind::Rocm => {
            let name = name.unwrap_or_default().to_lowercase();
            let known = EFFICIENT_AMD.iter().any(|one| name.contains(one));
            let found = if known {
                Attention::Efficient
            } else {
                Attention::Plain
            };
            (found, true)
        }
        Kind::Mps | Kind::Cpu => (Attention::Plain, false),
        Kind::Other => (Attention::Efficient, true),
    }
}

fn reserved(stats: &SystemStats, card: Option<Card>) -> f64 {
    let asked = option(stats, "--reserve-vram").and_then(|gigabytes| gigabytes.parse::<f64>().ok());
    if let Some(gigabytes) = asked {
        return gigabytes * GIB;
    }
    if !matches!(&*stats.os, "nt" | "win32") {
        return RESERVED;
    }
    let is_large = card.is_some_and(|card| card.total > 15 << 30);
    if is_large {
        RESERVED_WINDOWS.1
    } else {
        RESERVED_WINDOWS.0
    }
}

fn numbers(stats: &SystemStats, kind: Kind) -> Numbers {
    let has = |name: &str| flag(stats, name);
    let usual = if kind == Kind::Cpu || has("--force-fp32") {
        4.0
    } else {
        2.0
    };
    let model = if has("--fp32-unet") {
        4.0
    } else if has("--fp16-unet") || has("--bf16-unet") {
        2.0
    } else if ["--fp8_e4m3fn-unet", "--fp8_e5m2-unet", "--fp8_e8m0fnu-unet"]
        .iter()
        .any(|name| has(name))
    {
        1.0
    } else {
        usual
    };
    let text = if has("--fp32-text-enc") {
        4.0
    } else if has("--fp8_e4m3fn-text-enc") || has("--fp8_e5m2-text-enc") {
        1.0
    } else {
        2.0
    };
    let vae = if has("--fp32-vae") {
        4.0
    } else if has("--fp16-vae") || has("--bf16-vae") {
        2.0
    } else {
        usual
    };
    Numbers {
        model,
        work: model.max(usual.min(2.0)),
        text,
        vae,
    }
}

fn text_on_card(stats: &SystemStats, kind: Kind) -> bool {
    let has = |name: &str| flag(stats, name);
    // Without a card everything is where the models are.
    kind == Kind::Cpu || !(has("--lowvram") || has("--novram"))
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
pub(super) fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these figures are exact")]
mod tests;
