//! A `ComfyUI` that needs no graphics card: the server's protocol in full, its validator, its
//! order of execution and its caching, with painted pictures in place of what a model would make.
//!
//! It stands behind `mmf sim`, `--sim` and `mmf demo`, and all offline tests. Over HTTP and
//! WebSocket it behaves as `ComfyUI` 0.33 does, or an older one if told so, including the races and the mistakes that clients
//! have to live with, and it can be told to misbehave further ([`Fault`]).

mod bench;
mod cache;
mod calls;
mod catalog;
mod executor;
mod fault;
mod faults;
mod folders;
mod font;
mod graph;
mod hub;
mod interrupt;
mod jobs;
mod lifecycle;
mod listener;
mod media;
mod node;
mod nodes;
mod options;
mod picture;
mod progress;
mod python_json;
mod queue;
mod release;
mod report;
mod routes;
mod shape;
mod socket;
mod sync;
mod value;
mod world;

pub use cache::Caching;
pub use fault::{Fault, FaultError, FaultKind};
pub use faults::Faults;
pub use folders::{FolderType, Folders, SaveSlot, remove_own_folders};
pub use lifecycle::{Sim, SimError};
pub use node::{Call, Inputs, Outcome, Raised, Server, SimNode};
pub use options::{SIMULATED_ACCOUNT, SimOptions, default_models};
pub use picture::Painting;
pub use shape::{ClassShape, InputShape};
pub use value::{Audio, Content, Frame, Latent, Opaque, Value, Video};
