//! The client of a `ComfyUI` server: HTTP, the one socket, and jobs from submission to outcome.
//!
//! ```text
//! comfy (handle)   submit  wait  cancel  files  models  templates  stats  facts
//!   follow         finds out how jobs end: history after the socket's word, and polls beside it
//!   socket         the connection; message: what comes over it
//!   tracker, job   who is interested in what, and what is known about it
//!   listings       which model files are there; account: who pays for nodes that run elsewhere
//!   story          what the socket told of a job, for when the history is slow to answer
//!   queue, outcome what the server answers
//!   http, tls      requests; pieces: answers that blocking code reads; fault: what is wrong with answers
//! ```

mod account;
mod advice;
mod cancel;
mod comfy;
mod facts;
mod fault;
mod feed;
mod files;
mod follow;
mod http;
mod job;
mod listings;
mod message;
mod models;
mod outcome;
mod pieces;
mod queue;
mod queue_view;
mod sanitise;
mod socket;
mod stats;
mod story;
mod submit;
mod templates;
mod tracker;
mod wait;

pub use account::ACCOUNT_HELP;
pub use cancel::Cancelled;
pub use comfy::Comfy;
pub use files::{Download, UploadedFile};
pub use job::{JobEvent, Progress};
pub use models::ModelFile;
pub use outcome::{End, NodeFailure, Outcome};
pub use queue::{Queue, QueueEntry, QueueHead};
pub use sanitise::Dropped;
pub use stats::{Device, SystemStats};
pub use story::Submission;
pub use submit::{PreviewMethod, Submit, Submitted};
pub use wait::{JobState, Status, Watch};
