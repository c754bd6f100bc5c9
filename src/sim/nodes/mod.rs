//! What the node types do. Those that handle pictures, texts and files really compute; samplers
//! and decoders make pictures out of a hash; everything else passes tokens on.

mod generic;
mod image;
mod latent;
mod mask;
mod media;
mod sampling;
mod save;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use super::node::{Call, Outcome, Raised, SimNode};

/// Behaviours by class.
type Behaviours = HashMap<String, Arc<dyn SimNode>>;

/// Gives several classes the same function.
fn plain(
    behaviours: &mut Behaviours,
    classes: &[&str],
    function: fn(&mut Call<'_>) -> Result<Outcome, Raised>,
) {
    for class in classes {
        behaviours.insert((*class).to_owned(), Arc::new(function));
    }
}

/// All behaviours that differ from the generic one.
pub(super) fn all() -> Behaviours {
    let mut behaviours = Behaviours::new();
    image::register(&mut behaviours);
    latent::register(&mut behaviours);
    mask::register(&mut behaviours);
    media::register(&mut behaviours);
    sampling::register(&mut behaviours);
    save::register(&mut behaviours);
    text::register(&mut behaviours);
    behaviours
}

/// What a class does that has no behaviour of its own.
pub(super) fn generic() -> Arc<dyn SimNode> {
    Arc::new(generic::Generic)
}
