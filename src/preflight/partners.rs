//! Nodes that run elsewhere, for credits, where no account is configured.
//!
//! The server may be signed in by other means, so this is a warning.

use super::view::View;
use crate::comfy::ACCOUNT_HELP;
use crate::comfy::check::Finding;
use crate::comfy::nodes::NodeClass;

/// One account pays for all, so the first such node is enough.
pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    let mut live = view.live_nodes().map(|(_, node)| node);
    let partner = live.find(|node| node.class.is_some_and(NodeClass::is_api_node));
    if let Some(node) = partner {
        let finding = Finding::warning("no_account_key", node.id, node.class_type);
        found.push(finding.says(format!(
            "it runs elsewhere, for credits, and needs an account: {ACCOUNT_HELP}"
        )));
    }
}
