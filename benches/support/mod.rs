//! What benches share: the ways in which the tests drive the program, and how figures are shown.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "each bench needs some of it; what is the tests' has their liberties"
)]

pub(crate) mod figures;
#[path = "../../tests/support/mcp.rs"]
pub(crate) mod mcp;
#[path = "../../tests/support/mmf.rs"]
pub(crate) mod mmf;
#[path = "../../tests/support/rig.rs"]
pub(crate) mod rig;
#[path = "../../tests/support/shipped.rs"]
pub(crate) mod shipped;
#[path = "../../tests/support/sim.rs"]
pub(crate) mod sim;
