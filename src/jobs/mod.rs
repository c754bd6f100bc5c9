//! Jobs: a prompt from its submission until its outputs are kept as assets.
//!
//! The server knows prompts and files, the asset store knows bytes and provenance; a job is what
//! connects them. It is collected in the background while it runs, each output as soon as a node
//! reports it, so that a wiped temp folder or a client that never asks again loses nothing.

mod collect;
mod error;
mod follow;
mod ledger;
mod memory;
mod noting;
mod origin;
mod prompt_text;
mod regenerate;
mod upload;
mod wait;

pub use error::JobError;
pub use follow::{Finished, KeptOutput};
pub use ledger::{JobQuery, JobRecord, JobStatus, Ledger, NodeTime};
pub use origin::Origin;
pub use regenerate::{Behind, as_run, parameter, script_behind, varied};
pub use upload::{MediaSource, Upload, UploadError, Uploaded};
pub use wait::{Books, Jobs, Order};
