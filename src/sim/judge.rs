//! Whether a prompt may run, and which of its outputs.

use serde_json::{Map, Value as Json, json};

use super::world::World;

/// What is said of a prompt.
pub(super) enum Judgement {
    /// It waits its turn, as the server has rewritten it.
    Accepted {
        prompt: Map<String, Json>,
        outputs: Vec<String>,
        /// Errors of outputs that will not run.
        node_errors: Json,
    },
    /// 400 with this body.
    Rejected(Json),
    /// The judge itself fails: 500.
    Raised,
}

pub(super) fn judge(world: &World, prompt: &Json, targets: Option<&Json>) -> Judgement {
    let Json::Object(nodes) = prompt else { return Judgement::Raised };
    let mut outputs = Vec::new();
    for (id, node) in nodes {
        let class = node["class_type"].as_str();
        let Some(known) = class.and_then(|class| world.catalog.facts().class(class)) else {
            let name = class.unwrap_or_default();
            return rejected(&json!({
                "type": "missing_node_type",
                "message": format!("Node '{name}' not found. The custom node may not be installed."),
                "details": format!("Node ID '#{id}'"),
                "extra_info": { "node_id": id, "class_type": class, "node_title": node["_meta"]["title"] },
            }));
        };
        let wanted = targets.and_then(Json::as_array).is_none_or(|targets| targets.contains(&json!(id)));
        if known.is_output_node() && wanted {
            outputs.push(id.clone());
        }
    }
    if outputs.is_empty() {
        return rejected(&json!({
            "type": "prompt_no_outputs",
            "message": "Prompt has no outputs",
            "details": "",
            "extra_info": {},
        }));
    }
    Judgement::Accepted { prompt: nodes.clone(), outputs, node_errors: json!({}) }
}

fn rejected(error: &Json) -> Judgement {
    Judgement::Rejected(json!({ "error": error, "node_errors": {} }))
}
