//! Many runs of one workflow: the combinations of a sweep, and putting parameters into a workflow
//! that no template built.

mod combinations;
mod error;
mod fill;

pub use combinations::{Combination, MOST_RUNS, check_size, combinations};
pub use error::BatchError;
pub use fill::{fill, takes};
