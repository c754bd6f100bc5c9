//! Chains that are too deep for the server.
//!
//! Its validator calls itself once for each node along a chain of links, and Python gives up such
//! calls at a limit. The server's own calls before that count too, some dozens.

use crate::comfy::check::Finding;
use crate::comfy::validate::DEEPEST;

/// From here on it depends on what else is called: 0.3.75 gave up at about 990.
const NEAR: usize = 900;

pub(super) fn find(depth: usize, found: &mut Vec<Finding>) {
    let how = match depth {
        0..NEAR => return,
        NEAR..=DEEPEST => Finding::warning,
        _ => Finding::error,
    };
    let finding = how("too_deep", "", "").of_the_whole();
    found.push(finding.says(format!(
        "{depth} nodes follow one another, and the server gives up at about {DEEPEST} (Python's \
         recursion limit)"
    )));
}
