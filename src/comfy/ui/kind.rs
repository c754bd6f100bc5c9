//! What a saved node is, by its class.

use super::read::Node;
use crate::comfy::nodes::{NodeClass, NodeFacts};

/// Nodes that only the editor knows and that don't run: `ComfyUI`'s own, and those of rgthree's
/// pack.
const NOT_RUN: [&str; 14] = [
    "Note",
    "MarkdownNote",
    "Label (rgthree)",
    "Bookmark (rgthree)",
    "Fast Muter (rgthree)",
    "Fast Bypasser (rgthree)",
    "Fast Groups Muter (rgthree)",
    "Fast Groups Bypasser (rgthree)",
    "Fast Actions Button (rgthree)",
    "Mute / Bypass Relay (rgthree)",
    "Mute / Bypass Repeater (rgthree)",
    "Random Unmuter (rgthree)",
    "Node Collector (rgthree)",
    "Context Merge Helper (rgthree)",
];

/// Nodes that hand on what comes in.
const PASSES_ON: [&str; 2] = ["Reroute", "Reroute (rgthree)"];

/// Classes that have another name today and are else the same.
const RENAMED: [(&str, &str); 5] = [
    ("T2IAdapterLoader", "ControlNetLoader"),
    ("ConditioningAverage ", "ConditioningAverage"),
    ("SDV_img2vid_Conditioning", "SVD_img2vid_Conditioning"),
    ("Load3DAnimation", "Load3D"),
    ("Preview3DAnimation", "Preview3D"),
];

/// What a node is to the one who runs it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'v> {
    /// A class of the server.
    Class(&'v NodeClass),
    /// No class of the server.
    Unknown,
    /// An instance of a subgraph: where that stands among the graphs.
    Instance(usize),
    /// Hands on what comes in under the same slot.
    PassesOn,
    /// Has a value for the widgets that it leads to.
    Primitive,
    /// Hands on what comes into the `SetNode` of that name.
    Get(&'v str),
    /// Hands on what comes in, under a name.
    Set(&'v str),
    /// Not there when the graph runs.
    NotRun,
}

impl<'v> Kind<'v> {
    pub(super) fn of(node: &Node<'v>, facts: &'v NodeFacts) -> Self {
        let class = node.class;
        if NOT_RUN.contains(&class) {
            return Self::NotRun;
        }
        if PASSES_ON.contains(&class) {
            return Self::PassesOn;
        }
        if class == "PrimitiveNode" {
            return Self::Primitive;
        }
        if let Some(class) = facts.class(class) {
            return Self::Class(class);
        }
        if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == class)
            && let Some(class) = facts.class(new)
        {
            return Self::Class(class);
        }
        // KJNodes' pair, with the name that joins them as its one value.
        let name = || node.values.and_then(|values| values.get(0)?.as_str());
        match class {
            "GetNode" => Self::Get(name().unwrap_or_default()),
            "SetNode" => Self::Set(name().unwrap_or_default()),
            _ => Self::Unknown,
        }
    }
}

/// What stands for the class of a node that the server does not have, if its inputs are others.
pub(super) fn successor<'f>(class: &str, facts: &'f NodeFacts) -> Option<&'f str> {
    let replacement = facts.replacement(class)?;
    let new = facts.class(&replacement.new)?;
    Some(new.name())
}
