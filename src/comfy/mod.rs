//! `ComfyUI`: the workflow it is given, the client that talks to it, what its nodes are, and what
//! its validator would say.

pub mod json;
pub mod nodes;
pub mod validate;

mod workflow;

pub use workflow::{Node, Workflow, WorkflowError};
