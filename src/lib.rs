//! `MassMediaFactory`: a Rhai scripting automation engine for `ComfyUI`.
//!
//! Everything a user sees is a script: templates build workflows, tools are the MCP surface,
//! pipelines do whole jobs. This crate is the house around them. Imports go downwards only:
//!
//! ```text
//! cli, mcp          what people and agents talk to
//!   app             composition: one place that puts the parts together
//!     config        where everything is, and what is allowed
//!     script        declarations, generations, engine, bindings, runs, checks
//!       jobs        a prompt from submission to kept assets, and the ledger of all of them
//!         batch     many runs of one workflow
//!         vram      what memory a workflow needs
//!         preflight what is wrong with a workflow
//!         knowledge which models are current, with which settings
//!         vision    a model that looks at pictures, where one is configured
//!         comfy     the server: client, socket, node facts, validation, graphs and drawings
//!         assets    pictures, clips and sounds with their provenance, measures and sheets
//!           store   records and their index; one file of it knows sled
//! ```
//!
//! Beside the tower stands [`sim`], a `ComfyUI` that needs no GPU and shares `comfy`'s node facts
//! and validator. The leaves [`clock`], [`ids`],
//! [`paths`] and [`failure`] may be used by everyone.

pub mod app;
pub mod assets;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod comfy;
pub mod config;
pub mod failure;
pub mod ids;
pub mod jobs;
pub mod knowledge;
pub mod mcp;
pub mod paths;
pub mod preflight;
pub mod script;
pub mod sim;
pub mod store;
mod tls;
pub mod vision;
pub mod vram;
