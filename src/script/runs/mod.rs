//! Runs that outlive the call that began them.
//!
//! Clients give a call up after a minute, and a job on the server takes longer. So a tool that says
//! `meta(#{ long: true })` runs detached from its caller, who is given a handle to go on with when
//! its patience is over. From then on the run is a file in the data folder: any process that works
//! there can tell where it stands and what came of it, also after the one that ran it has ended.
//!
//! ```text
//! runs/<run_id>.json        one run
//! runs/<run_id>.journal     what it has done so far
//! runs/<run_id>.cancel      somebody wants it to end
//! runs/processes/<id>.lock  held for as long as the process that runs it lives
//! runs/lock                 held while a run of a dead process is taken up
//! runs/tmp/                 files being written
//! ```

mod blocking;
mod error;
mod folder;
mod journal;
mod live;
mod record;
mod registry;
mod shell;
mod take_up;
mod written;

pub use error::RunError;
pub use journal::{CallEnd, Done, Given, Intent, Journal};
pub use live::Run;
pub(crate) use record::failure_of;
pub use record::{Record, Status, is_run};
pub use registry::{Runs, Waited};
pub use shell::Here;
