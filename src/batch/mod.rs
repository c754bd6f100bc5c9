//! Many runs of one workflow: the axes and combinations of a sweep, the order in which the runs
//! cost least, and putting parameters into a workflow that no template built.

mod axis;
mod combinations;
mod error;
mod fill;
mod order;
mod spread;

pub use axis::{Axis, Known, MOST_RUNS, axes, check_size};
pub use combinations::{Combination, combinations};
pub use error::BatchError;
pub use fill::{fill, placeholders, takes};
pub use order::{Orderer, order};
pub use spread::Wholeness;
