//! What the nodes of a workflow mean to the person who made it: which text is the prompt, which
//! number the seed, and so on, in any graph.
//!
//! A class name says little: text encoders alone come in dozens, custom nodes bring more, and
//! guidance may stand in a sampler, a guider or a node of its own. So the links are followed from
//! the samplers upstream, by the types that the server's facts give them (and by the names of
//! inputs where a class is unknown), to the values that are written there.
//!
//! ```text
//! graph    links with their types, and what runs at all
//! literal  from an input to the place where its value is written
//! text     from a sampler's conditioning to the texts that it says
//! trace    from the samplers to everything else
//! change   other values for what was found; value: whether an input takes them; edit: writing them
//! ```

mod change;
mod edit;
mod error;
mod graph;
mod literal;
mod role;
mod text;
mod trace;
mod value;

pub use change::{Change, Changes, Left};
pub use error::{ChangeError, Misfit};
pub use role::Role;
pub use trace::{Anatomy, Spot};
