//! What can be done about a workflow that the server refuses: where to get the files and the nodes that
//! it lacks.

use serde_json::{Value, json};

use super::Generation;
use crate::comfy::{ComfyError, Rejection};
use crate::failure::Failure;
use crate::jobs::JobError;

/// A failure to submit, with what is known of the files and nodes that are missing.
pub(crate) fn explained(generation: &Generation, mut error: JobError) -> Failure {
    let mut packs = vec![];
    if let JobError::Comfy(ComfyError::Rejected(rejection)) = &mut error {
        generation.knowledge().locate(&mut rejection.missing);
        packs = generation.packs();
        packs.retain_mut(|pack| {
            pack.nodes.retain(|class| is_unknown(rejection, class));
            !pack.nodes.is_empty()
        });
        packs.dedup();
    }
    let failure = Failure::from(error);
    match packs.first() {
        Some(pack) => failure
            .hint(pack.advice())
            .detail("missing_packs", json!(packs)),
        None => failure,
    }
}

/// Whether the server says that it has no such class. Servers before 0.12.0 say so in words
/// alone.
fn is_unknown(rejection: &Rejection, class: &str) -> bool {
    const KINDS: [&str; 2] = ["missing_node_type", "invalid_prompt"];
    let error = &rejection.error;
    let says = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        let words = text.split(|c: char| c.is_whitespace() || c == '\'');
        words.into_iter().any(|word| word == class)
    };
    let is_of_kind = KINDS.iter().any(|kind| error["type"] == *kind);
    is_of_kind && (error["extra_info"]["class_type"] == class || says(&error["message"]))
}
