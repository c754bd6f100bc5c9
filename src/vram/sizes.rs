//! How large latents and pictures are, found by going back to where they come from.

use super::graph::{Cargo, Graph, Link, Vertex};

/// How far back it is looked for.
const DEPTH: usize = 48;

/// The size of what is sampled, decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// Frames of the clip; 1 for a picture.
    pub frames: f64,
    /// How many at once.
    pub batch: f64,
    /// Of sound.
    pub seconds: f64,
    /// Cells of a latent that has no sides.
    pub cells: f64,
    /// Whether the frames are the layers of a picture, four to each and one for all.
    pub layered: bool,
}

impl Work {
    /// A picture or a clip.
    #[must_use]
    pub fn of(width: f64, height: f64, frames: f64, batch: f64) -> Self {
        Self {
            width,
            height,
            frames: frames.max(1.0),
            batch: batch.max(1.0),
            seconds: 0.0,
            cells: 0.0,
            layered: false,
        }
    }

    /// How much it is, to compare it with others.
    pub(super) fn amount(&self) -> f64 {
        (self.width * self.height * self.frames + self.seconds + self.cells) * self.batch
    }

    fn scaled(mut self, by: f64) -> Self {
        self.width *= by;
        self.height *= by;
        self
    }
}

/// What inputs call the number of frames.
const FRAMES: [&str; 6] = [
    "length",
    "frames_number",
    "num_frames",
    "frames",
    "video_length",
    "max_frames",
];

/// The longest side of a picture (`MAX_RESOLUTION` of `nodes.py`), the largest batch of a latent, and
/// more frames than any clip has. Beyond them, what is written there is a mistake.
const LIMITS: [(&str, f64); 3] = [
    ("width", 16_384.0),
    ("height", 16_384.0),
    ("batch_size", 4096.0),
];
const FRAMES_LIMIT: f64 = 100_000.0;

/// By how much a size is changed.
const CHANGES: [&str; 3] = ["scale_by", "megapixels", "amount"];

impl<'w> Graph<'w> {
    /// Why the size of what comes over a link can't be told: inputs whose numbers are reckoned by
    /// other nodes, or are none that there can be. What depends on a picture is not among them.
    pub(super) fn unread(&self, link: Link<'w>) -> Vec<String> {
        self.unread_within(link, DEPTH)
    }

    fn unread_within(&self, link: Link<'w>, depth: usize) -> Vec<String> {
        let node = link.from;
        let limits = LIMITS.into_iter();
        let limits = limits.chain(FRAMES.map(|name| (name, FRAMES_LIMIT)));
        let limits = limits.chain(CHANGES.map(|name| (name, f64::INFINITY)));
        let found: Vec<String> = limits
            .filter_map(|(name, limit)| self.unclear(node, name, limit))
            .collect();
        let Some(depth) = depth.checked_sub(1).filter(|_| found.is_empty()) else {
            return found;
        };
        if self.written(node).is_some() && !node.class.contains("Scale") {
            return found;
        }
        let latent = self.link(node, "video_latent");
        let latent = latent.or_else(|| self.carrying(node, Cargo::Latent));
        let before = latent.or_else(|| self.carrying(node, Cargo::Picture));
        before.map_or(found, |link| self.unread_within(link, depth))
    }

    /// What is wrong with the number of an input, if anything is.
    fn unclear(&self, node: Vertex<'w>, name: &str, limit: f64) -> Option<String> {
        let value = node.inputs.get(name)?;
        let place = || format!("{name} of node {} ({})", node.id, node.class);
        if let Some(number) = self.number(node, name) {
            // Nodes that change sizes take 0 for a side that follows from the other.
            let follows = number == 0.0 && node.class.contains("Scale");
            let is_real = follows || number > 0.0 && number <= limit;
            return (!is_real).then(|| format!("{}, which is {value}", place()));
        }
        let from = self.link(node, name)?.from;
        let of_picture = self.carrying(from, Cargo::Picture).is_some();
        (!of_picture).then(|| format!("{}, which another node reckons", place()))
    }

    /// The size of the latent that comes over a link.
    pub(super) fn latent(&self, link: Link<'w>) -> Option<Work> {
        self.size(link, DEPTH)
    }

    /// What a node itself says of the size of what it makes.
    pub(super) fn written(&self, node: Vertex<'w>) -> Option<Work> {
        let batch = self.number(node, "batch_size").unwrap_or(1.0).max(1.0);
        if let (Some(width), Some(height)) =
            (self.number(node, "width"), self.number(node, "height"))
        {
            let frames = FRAMES.iter().find_map(|name| self.number(node, name));
            // A picture of layers has one frame more than layers, four to a step of the latent.
            let layers = self.number(node, "layers").map(|layers| layers * 4.0 + 1.0);
            let is_real = [(width, 0), (height, 1), (batch, 2)]
                .into_iter()
                .all(|(number, at)| number > 0.0 && number <= LIMITS[at].1)
                && frames.is_none_or(|frames| frames <= FRAMES_LIMIT);
            let work = Work::of(width, height, frames.or(layers).unwrap_or(1.0), batch);
            let layered = frames.is_none() && layers.is_some();
            return is_real.then_some(Work { layered, ..work });
        }
        let nothing = Work {
            batch,
            ..Work::of(0.0, 0.0, 1.0, 1.0)
        };
        if let Some(seconds) = self.number(node, "seconds") {
            return Some(Work { seconds, ..nothing });
        }
        let is_body = node.class.contains("3D") || node.class.contains("Trellis");
        let cells = self.number(node, "resolution").filter(|_| is_body);
        cells.map(|cells| Work { cells, ..nothing })
    }

    /// The size of the pictures that come over a link.
    pub(super) fn picture(&self, link: Link<'w>) -> Option<Work> {
        self.size(link, DEPTH)
    }

    fn size(&self, link: Link<'w>, depth: usize) -> Option<Work> {
        let depth = depth.checked_sub(1)?;
        let node = link.from;
        let upstream = || {
            let latent = self.carrying(node, Cargo::Latent);
            let latent = self.link(node, "video_latent").or(latent);
            let before = latent.or_else(|| self.carrying(node, Cargo::Picture))?;
            self.size(before, depth)
        };
        let number = |name: &str| self.number(node, name);
        match node.class {
            "LatentUpscaleBy" | "ImageScaleBy" => {
                return Some(upstream()?.scaled(number("scale_by")?));
            }
            "LTXVLatentUpsampler" => return Some(upstream()?.scaled(2.0)),
            "ImageUpscaleWithModel" => return Some(upstream()?.scaled(self.upscaling(node))),
            "ImageScaleToTotalPixels" => {
                let side = (number("megapixels")? * 1_048_576.0).sqrt();
                let frames = upstream().map_or(1.0, |work| work.frames);
                return Some(Work::of(side, side, frames, 1.0));
            }
            "FluxKontextImageScale" => return Some(Work::of(1024.0, 1024.0, 1.0, 1.0)),
            "RepeatLatentBatch" => {
                let before = upstream()?;
                let batch = before.batch * number("amount")?;
                return Some(Work { batch, ..before });
            }
            _ => {}
        }
        match self.written(node) {
            // What changes the size of a clip says nothing of its frames.
            Some(own) if node.class.contains("Scale") || node.class.contains("Upscale") => {
                let before = upstream();
                let (frames, batch) = before.map_or((1.0, 1.0), |work| (work.frames, work.batch));
                Some(Work {
                    frames,
                    batch,
                    ..own
                })
            }
            Some(own) => Some(own),
            None => upstream(),
        }
    }

    /// By how much an upscaler enlarges, as its file's name says: `4x-UltraSharp`, `x2plus`.
    pub(super) fn upscaling(&self, node: Vertex<'w>) -> f64 {
        let models = self.upstream(node, &[Cargo::Upscaler]);
        let file = models.iter().find_map(|model| model.text("model_name"));
        let file = file.unwrap_or_default().to_lowercase();
        let says = |by: u32| file.contains(&format!("{by}x")) || file.contains(&format!("x{by}"));
        [8, 4, 3, 2, 1]
            .into_iter()
            .find(|by| says(*by))
            .map_or(4.0, f64::from)
    }
}
