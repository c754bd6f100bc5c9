//! The tests that use the crate and the binary from outside, as one test crate.

// Said here too, though all of this crate is test code: clippy grants tests their liberties
// (`unwrap`, printing) only below an explicit `cfg(test)`.
#[cfg(test)]
mod suite;
#[cfg(test)]
mod support;
