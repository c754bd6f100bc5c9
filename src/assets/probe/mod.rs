//! Sizes and durations, read from the headers of the bytes themselves.

mod facts;
mod matroska;
mod mp4;
mod sound;

pub use facts::{MediaFacts, probe};
