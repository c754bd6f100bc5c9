//! `ComfyUI`: the workflow it is given, the client that talks to it, what its nodes are, what its
//! validator would say, what its editor makes of a saved graph, and how a workflow is shown.

pub mod anatomy;
pub mod check;
pub mod compare;
pub mod drawing;
pub mod json;
pub mod model_name;
pub mod nodes;
pub mod ui;
pub mod validate;

mod big;
mod client;
mod error;
mod features;
mod missing;
mod output;
mod server;
mod templates;
mod workflow;

pub use big::{BigIntegers, Restored};
pub use client::{
    ACCOUNT_HELP, Cancelled, Comfy, Device, Download, Dropped, End, JobEvent, JobState, ModelFile,
    NodeFailure, Outcome, PreviewMethod, Progress, Queue, QueueEntry, QueueHead, Status,
    Submission, Submit, Submitted, SystemStats, UploadedFile, Watch,
};
pub use error::{ComfyError, Rejection};
pub use features::{Feature, Features, parse_version};
pub use missing::MissingModel;
pub use output::{Folder, Output, OutputBody, OutputFile, OutputKind, node_outputs, outputs};
pub use server::{DEFAULT_URL, Server, ServerError, Timeouts};
pub use templates::ServedTemplate;
pub use workflow::{Node, Workflow, WorkflowError, link};
