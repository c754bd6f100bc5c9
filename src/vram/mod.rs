//! How much graphics memory a workflow needs, reckoned the way `ComfyUI` reckons it.
//!
//! The weights by the size of their file or their number; the work of the sampler by the family's
//! factor and the size of the latent; the decoder by the size of the picture. What can't be told is
//! said to be unknown, never taken for nothing.

mod card;
mod estimate;
mod family;
mod fits;
mod graph;

pub use card::Card;
pub use estimate::{Breakdown, Confidence, Estimate, Fit, ModelNeed, Sizes, estimate};
pub use family::{Family, family};
pub use fits::{Alternative, Fits, Precision, fits};
pub use graph::{Loaded, Plan, Work};

/// Bytes in what people call a gigabyte of graphics memory.
pub(crate) const GIB: f64 = 1_073_741_824.0;

/// Bytes in gigabytes, to two places.
#[must_use]
pub(crate) fn gigabytes(bytes: f64) -> f64 {
    (bytes / GIB * 100.0).round() / 100.0
}
