//! What flows along the links. Pictures, masks, latents, sounds and clips are real enough to be
//! computed with; models, conditionings and the rest are opaque tokens that remember the words
//! they were made from.

use std::sync::Arc;

use image::RgbaImage;
use serde_json::Value as Json;

use super::picture::Painting;

/// One value on a link.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number, text, boolean or choice.
    Json(Json),
    /// A batch of pictures.
    Images(Arc<Vec<Frame>>),
    /// A batch of masks; the red channel counts.
    Masks(Arc<Vec<Frame>>),
    /// What a sampler works on.
    Latent(Arc<Latent>),
    /// Sound.
    Audio(Arc<Audio>),
    /// Pictures with a frame rate and perhaps sound.
    Video(Arc<Video>),
    /// Whatever has no content here: models, conditionings, samplers, meshes.
    Opaque(Arc<Opaque>),
    /// The members of an output slot that is declared a list.
    List(Vec<Value>),
    /// Blocks every node downstream; with a message they report it.
    Blocked(Option<String>),
}

/// A picture that is either there or can be painted when somebody looks.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Pixels.
    Pixels(Arc<RgbaImage>),
    /// Painted on demand: member `index` of a batch.
    Painted {
        /// What is painted.
        painting: Arc<Painting>,
        /// Which of a batch.
        index: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
}

/// What a sampler works on: sizes in pixels, and what it will look like once decoded.
#[derive(Clone, Debug)]
pub struct Latent {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures after decoding: batch size, or the length of a clip.
    pub count: u32,
    /// What the decoder will show.
    pub content: Content,
    /// Where the sampler may change it.
    pub mask: Option<Arc<Vec<Frame>>>,
    /// Sound, for audio models: seconds.
    pub seconds: f64,
    /// The pictures are moments of one clip.
    pub is_clip: bool,
}

/// What a latent holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Zeros.
    Empty,
    /// Encoded pictures.
    Encoded(Arc<Vec<Frame>>),
    /// A sampler's work.
    Sampled(Arc<Painting>),
}

/// Sound as it is synthesised when saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Length.
    pub seconds: f64,
    /// Samples a second.
    pub sample_rate: u32,
    /// Chooses the melody.
    pub digest: [u8; 32],
    /// Whether there is anything to hear.
    pub silent: bool,
}

/// A clip.
#[derive(Clone, Debug)]
pub struct Video {
    /// The pictures.
    pub frames: Arc<Vec<Frame>>,
    /// Pictures a second.
    pub fps: f64,
    /// The sound track.
    pub audio: Option<Arc<Audio>>,
    /// A file that is passed on as it is.
    pub file: Option<std::path::PathBuf>,
}

/// A token for what is not simulated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opaque {
    /// The type of the output slot it came from.
    pub kind: String,
    /// The words that went into it, such as a prompt's.
    pub words: Vec<String>,
    /// For schedules of a sampler: how many steps there are.
    pub steps: Option<u64>,
    /// For schedules of a sampler: how much is changed, 0 to 1.
    pub denoise: Option<f64>,
}

impl Frame {
    /// Wraps pixels.
    #[must_use]
    pub fn from_pixels(pixels: RgbaImage) -> Self {
        Self::Pixels(Arc::new(pixels))
    }

    /// The pixels, painted now if they were not yet.
    #[must_use]
    pub fn pixels(&self) -> Arc<RgbaImage> {
        match self {
            Self::Pixels(pixels) => pixels.clone(),
            Self::Painted {
                painting,
                index,
                width,
                height,
            } => Arc::new(painting.paint(*index, *width, *height)),
        }
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Pixels(pixels) => pixels.dimensions(),
            Self::Painted { width, height, .. } => (*width, *height),
        }
    }
}

impl Latent {
    /// The pictures that a decoder makes of it.
    #[must_use]
    pub fn decode(&self) -> Vec<Frame> {
        match &self.content {
            Content::Sampled(painting) => (0..self.count)
                .map(|index| Frame::Painted {
                    painting: painting.clone(),
                    index,
                    width: self.width,
                    height: self.height,
                })
                .collect(),
            Content::Encoded(frames) => frames
                .iter()
                .cycle()
                .take(self.count.max(1) as usize)
                .map(|frame| resized(frame, self.width, self.height))
                .collect(),
            Content::Empty => {
                // What a decoder makes of zeros is a flat, brownish grey.
                let grey = RgbaImage::from_pixel(
                    self.width,
                    self.height,
                    image::Rgba([128, 122, 115, 255]),
                );
                vec![Frame::from_pixels(grey); self.count.max(1) as usize]
            }
        }
    }
}

/// The frame at another size; the same frame if it has it already.
#[must_use]
pub fn resized(frame: &Frame, width: u32, height: u32) -> Frame {
    if frame.size() == (width, height) {
        return frame.clone();
    }
    let filter = image::imageops::FilterType::Triangle;
    Frame::from_pixels(image::imageops::resize(
        &*frame.pixels(),
        width,
        height,
        filter,
    ))
}

impl Value {
    /// A batch of pictures.
    #[must_use]
    pub fn images(frames: Vec<Frame>) -> Self {
        Self::Images(Arc::new(frames))
    }

    /// A batch of masks.
    #[must_use]
    pub fn masks(frames: Vec<Frame>) -> Self {
        Self::Masks(Arc::new(frames))
    }

    /// The constant, if it is one.
    #[must_use]
    pub fn as_json(&self) -> Option<&Json> {
        match self {
            Self::Json(json) => Some(json),
            _ => None,
        }
    }

    /// How an error report shows it: constants as they are, the rest described.
    #[must_use]
    pub fn describe(&self) -> Json {
        match self {
            Self::Json(json) if !json.is_array() && !json.is_object() => json.clone(),
            Self::Json(json) => Json::String(json.to_string()),
            Self::Images(frames) => tensor("IMAGE", frames, 3),
            Self::Masks(frames) => tensor("MASK", frames, 1),
            Self::Latent(latent) => Json::String(format!(
                "{{'samples': <LATENT for {} x {} x {}>}}",
                latent.count, latent.width, latent.height
            )),
            Self::Audio(audio) => Json::String(format!("<AUDIO of {} s>", audio.seconds)),
            Self::Video(video) => Json::String(format!("<VIDEO of {} frames>", video.frames.len())),
            Self::Opaque(opaque) => Json::String(format!("<{} object>", opaque.kind)),
            Self::List(members) => Json::String(format!("<list of {}>", members.len())),
            Self::Blocked(_) => Json::String("<ExecutionBlocker>".to_owned()),
        }
    }

    /// Roughly how many bytes keeping it costs; decides what the cache lets go.
    #[must_use]
    pub fn weight(&self) -> usize {
        let frames = |frames: &[Frame]| -> usize {
            let bytes = |frame: &Frame| match frame {
                Frame::Pixels(pixels) => pixels.as_raw().len(),
                Frame::Painted { .. } => 64,
            };
            frames.iter().map(bytes).sum()
        };
        match self {
            Self::Images(batch) | Self::Masks(batch) => frames(batch),
            Self::Latent(latent) => match &latent.content {
                Content::Encoded(batch) => frames(batch),
                _ => 256,
            },
            Self::Video(video) => frames(&video.frames),
            Self::List(members) => members.iter().map(Self::weight).sum(),
            Self::Json(_) | Self::Audio(_) | Self::Opaque(_) | Self::Blocked(_) => 128,
        }
    }

    /// The words that went into it.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Opaque(opaque) => opaque.words.clone(),
            Self::Latent(latent) => match &latent.content {
                Content::Sampled(painting) => painting.words.clone(),
                _ => Vec::new(),
            },
            Self::List(members) => members.iter().flat_map(Self::words).collect(),
            _ => Vec::new(),
        }
    }
}

fn tensor(kind: &str, frames: &[Frame], channels: u32) -> Json {
    let (width, height) = frames.first().map_or((0, 0), Frame::size);
    Json::String(format!(
        "tensor([...], shape=({}, {height}, {width}, {channels})) # {kind}",
        frames.len()
    ))
}
