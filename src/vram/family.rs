//! What `ComfyUI` 0.33.0 knows of each family: how much work its sampler is, how its latent relates
//! to the picture, what its decoder needs (`memory_usage_factor`, `latent_formats`, `sd.py`).

/// One family of models, by the name that `sota.toml` uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// The factor of the sampler's work.
    pub factor: f64,
    /// Pixels to one side of a latent's cell.
    pub space: f64,
    /// Frames to one of a latent's; none for pictures.
    pub time: Option<f64>,
    /// What decoding needs.
    pub decoder: Decoder,
}

/// What decoding needs in bytes, per cell of the latent and byte of the number type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decoder {
    /// So much per cell of one frame, however many there are.
    Frame(f64),
    /// So much up to four frames of the latent, and so much above.
    Clip(f64, f64),
    /// So much per cell of every frame.
    AllFrames(f64),
    /// Not known.
    Unknown,
}

/// KL decoders of Stable Diffusion and FLUX.1.
const KL: Decoder = Decoder::Frame(2178.0 * 64.0);

/// The causal decoder of Wan 2.1, which Qwen-Image uses too.
const WAN: Decoder = Decoder::Clip(2200.0 * 64.0, 7000.0 * 64.0);

/// The family of that name.
#[must_use]
pub fn family(name: &str) -> Option<Family> {
    let picture = |factor, decoder| Family {
        factor,
        space: 8.0,
        time: None,
        decoder,
    };
    let clip = |factor, space, time, decoder| Family {
        factor,
        space,
        time: Some(time),
        decoder,
    };
    Some(match name {
        "sd15" => picture(1.0, KL),
        "sdxl" => picture(0.8, KL),
        "sd3" => picture(1.6, KL),
        "flux1" => picture(3.1, KL),
        "chroma" => picture(3.2, KL),
        "z-image" => picture(2.8, KL),
        "qwen-image" => picture(1.8, WAN),
        // 3.1 x 4 x hidden / 2604, with 6144 hidden.
        "flux2" => Family {
            space: 16.0,
            ..picture(29.26, Decoder::Frame(1000.0 * 256.0))
        },
        // dim / 2222: 5120, 1536, 3072.
        "wan" => clip(2.304, 8.0, 4.0, WAN),
        "wan-1.3b" => clip(0.691, 8.0, 4.0, WAN),
        "wan22-5b" => clip(1.383, 16.0, 4.0, Decoder::Frame(8000.0 * 256.0)),
        "hunyuan-video" => clip(1.8, 8.0, 4.0, Decoder::Unknown),
        "hunyuan-video-15" => clip(4.0, 16.0, 4.0, Decoder::Unknown),
        "ltxv" => clip(5.5, 32.0, 8.0, Decoder::AllFrames(1200.0 * 512.0)),
        // 0.077 for each number of its packed latent, which has 128 to a cell.
        "ltx2" => clip(9.856, 32.0, 8.0, Decoder::AllFrames(1200.0 * 512.0)),
        _ => return None,
    })
}

impl Family {
    /// Frames of the latent for so many of the clip.
    #[must_use]
    pub fn latent_frames(&self, frames: f64) -> f64 {
        self.time
            .map_or(1.0, |time| ((frames - 1.0) / time).floor() + 1.0)
    }

    /// Cells of one frame of the latent.
    #[must_use]
    pub fn cells(&self, width: f64, height: f64) -> f64 {
        (width / self.space).floor() * (height / self.space).floor()
    }

    /// What the sampler's work needs in bytes: with the attention of today's `PyTorch`, for numbers
    /// of two bytes. Both sides of a CFG above 1 are worked on at once.
    #[must_use]
    pub fn sampling(&self, cells: f64, frames: f64, batch: f64, sides: f64) -> f64 {
        const NUMBER: f64 = 2.0;
        const MEBIBYTE: f64 = 1_048_576.0;
        cells * frames * batch * sides * NUMBER * 0.01 * self.factor * MEBIBYTE
    }

    /// What decoding needs in bytes, for numbers of two bytes.
    #[must_use]
    pub fn decoding(&self, cells: f64, frames: f64) -> Option<f64> {
        const NUMBER: f64 = 2.0;
        let per_cell = match self.decoder {
            Decoder::Frame(bytes) => bytes,
            Decoder::Clip(few, many) => {
                if frames > 4.0 {
                    many
                } else {
                    few
                }
            }
            Decoder::AllFrames(bytes) => bytes * frames,
            Decoder::Unknown => return None,
        };
        Some(per_cell * cells * NUMBER)
    }
}
