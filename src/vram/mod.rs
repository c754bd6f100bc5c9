//! How much graphics memory a workflow needs, reckoned the way `ComfyUI` reckons it, and corrected
//! by what runs really took.
//!
//! The weights by the header of their file, its size or their number; the work of the sampler by the
//! family's factor and the size of the latent; the autoencoder's by the size of the picture. A server
//! lets go of one model to make room for the next, so the most demanding phase counts. What can't be
//! told is said to be unknown, between which figures it must lie, and is never taken for nothing.
//!
//! ```text
//! estimate        the answer; ways: what would help; fits: the same for a model alone
//!   observed      what runs took, by shape
//!   verdict       whether it fits
//!   need          what a phase needs: weights (by header, inventory and names), family, vae, extents
//!   plan          the phases of a workflow: phases, graph, sizes
//!   machine       what the server works on: card
//! ```

mod card;
mod estimate;
mod extents;
mod family;
mod fits;
mod graph;
mod header;
mod inventory;
mod machine;
mod names;
mod need;
mod observed;
mod phases;
mod plan;
mod relief;
mod shape;
mod sizes;
mod vae;
mod verdict;
mod ways;
mod weights;

pub use card::Card;
pub use estimate::{Breakdown, Estimate, ModelNeed, PhaseNeed, Question, estimate};
pub use family::{Attention, Edition, Family, Grid, family};
pub use fits::{Alternative, Fits, Precision, fits, fits_on};
pub use header::{Header, Part, Turned};
pub use inventory::{Inventory, Sizes};
pub use machine::{Kind, Machine, Numbers, held_now};
pub(crate) use names::named_bytes;
pub use observed::{Ended, Observations, Observed, Shortage};
pub use plan::{Loaded, Phase, PhaseKind, Plan, Tile};
pub use relief::{Change, Relief, relieved};
pub use shape::shape;
pub use sizes::Work;
pub use vae::{Extent, Vae, Workshop};
pub use verdict::{Fit, Offload};
pub use ways::WayOut;
pub use weights::{Source, Span};

/// Bytes in what people call a gigabyte of graphics memory.
pub(crate) const GIB: f64 = 1_073_741_824.0;

/// Bytes in gigabytes, to two places.
#[must_use]
pub(crate) fn gigabytes(bytes: f64) -> f64 {
    (bytes / GIB * 100.0).round() / 100.0
}
