//! Nodes that nothing comes of.

use super::view::View;
use crate::comfy::check::Finding;

/// So many are named one by one.
const NAMED: usize = 5;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    // Where there is no output at all, the server says so, and everything is taken to run.
    let idle = || {
        view.nodes
            .iter()
            .enumerate()
            .filter(|(at, _)| !view.is_live(*at))
    };
    let count = idle().count();
    for (_, node) in idle().take(NAMED) {
        let finding = Finding::warning("orphaned_node", node.id, node.class_type);
        found.push(finding.says("no output needs it, so it does not run"));
    }
    if count > NAMED {
        let more = count - NAMED;
        let finding = Finding::warning("orphaned_node", "", "").of_the_whole();
        found.push(finding.says(format!("{more} more nodes do not run")));
    }
}
