//! What is wrong with a workflow, in the one form in which everyone hears it.
//!
//! A [`Finding`] says where, what and what could be meant instead. [`server_findings`] are the
//! server's own complaints; what it lets through is looked at by [`crate::preflight`].

mod classes;
pub mod defaults;
mod finding;
mod fixable;
mod server;
pub mod suggest;

pub use finding::{Finding, Rule, Severity};
pub use server::{cycle_path, node_findings, server_findings};
