//! Building a workflow:
//!
//! ```rhai
//! let g = workflow();
//! let clip = g.node("CLIPLoader", #{ clip_name: p.CLIP, type: "sd3" });
//! let positive = g.node("CLIPTextEncode", #{ text: p.PROMPT, clip: clip[0] });
//! ```
//!
//! `workflow()` gives a handle, not a value: passed to a function of a library, it is the same
//! workflow that grows there. `node[slot]` is a link to one of the node's outputs, and a node by
//! itself stands for its first output.

use rhai::plugin::{Dynamic, EvalAltResult, ImmutableString, NativeCallContext, export_module};
use rhai::{INT, exported_module};
use serde_json::{Value, json};

use super::{SharedModule, indexed};
use crate::comfy::{Node, Workflow};
use crate::script::handles::{Link, NodeHandle, WorkflowHandle};
use crate::script::spot::Spot;

pub(super) fn module() -> SharedModule {
    let mut module = exported_module!(functions);
    module.set_custom_type::<WorkflowHandle>("Workflow");
    module.set_custom_type::<NodeHandle>("Node");
    module.set_custom_type::<Link>("Link");
    indexed(module)
}

/// A node as scripts see it.
pub(super) fn told(node: &Node<'_>) -> Value {
    json!({
        "id": node.id,
        "class_type": node.class_type(),
        "title": node.title(),
        "inputs": node.inputs().cloned().unwrap_or_default(),
    })
}

/// Adds a node, which is known from then on to be made at the call.
fn added(
    call: &NativeCallContext,
    workflow: &WorkflowHandle,
    class_type: &str,
    inputs: serde_json::Map<String, Value>,
) -> NodeHandle {
    let id = workflow.lock().add(class_type, inputs);
    workflow.note(&id, Spot::of(call));
    NodeHandle {
        workflow: workflow.clone(),
        id: id.into(),
    }
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod functions {
    use rhai::{Array, Map};

    use super::{Link, NodeHandle, Workflow, WorkflowHandle};
    use crate::script::value::{from_dynamic, from_map, int, text, to_dynamic};

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// A new, empty workflow.
    /// Example: `let g = workflow();`
    pub fn workflow() -> WorkflowHandle {
        WorkflowHandle::default()
    }

    /// Reads a workflow from a map in API format.
    /// Throws a text for what is no workflow in API format.
    #[rhai_fn(name = "workflow", return_raw)]
    pub fn workflow_of(nodes: Map) -> Fallible<WorkflowHandle> {
        let nodes = from_map(&nodes).map_err(|error| error.to_string())?;
        let workflow = Workflow::from_json(nodes.into()).map_err(|error| error.to_string())?;
        Ok(WorkflowHandle::new(workflow))
    }

    /// Adds a node of a class with its inputs and returns it.
    /// Throws a text for inputs that have no form in JSON, such as functions.
    /// Example: `g.node("EmptyImage", #{ width: 64, height: 64, batch_size: 1, color: 255 })`
    #[rhai_fn(return_raw, global)]
    pub fn node(
        call: NativeCallContext,
        workflow: &mut WorkflowHandle,
        class_type: &str,
        inputs: Map,
    ) -> Fallible<NodeHandle> {
        let inputs = from_map(&inputs).map_err(|error| error.to_string())?;
        Ok(super::added(&call, workflow, class_type, inputs))
    }

    /// Adds a node that needs no inputs.
    #[rhai_fn(name = "node", global)]
    pub fn node_without_inputs(
        call: NativeCallContext,
        workflow: &mut WorkflowHandle,
        class_type: &str,
    ) -> NodeHandle {
        super::added(&call, workflow, class_type, serde_json::Map::new())
    }

    /// The nodes as maps: `#{ id, class_type, title, inputs }`.
    /// Example: `g.nodes().map(|node| node.class_type)`
    #[rhai_fn(global, pure)]
    pub fn nodes(workflow: &mut WorkflowHandle) -> Array {
        let workflow = workflow.lock();
        let nodes = workflow.nodes();
        nodes.map(|node| to_dynamic(super::told(&node))).collect()
    }

    /// The ids of all nodes of a class.
    /// Example: `g.find("KSampler")`
    #[rhai_fn(global, pure)]
    pub fn find(workflow: &mut WorkflowHandle, class_type: &str) -> Array {
        let workflow = workflow.lock();
        let found = workflow
            .nodes()
            .filter(|node| node.class_type() == Some(class_type));
        found.map(|node| text(node.id).into()).collect()
    }

    /// Sets one input of the node with an id.
    /// Throws a text for an id that no node has.
    /// Example: `g.set(g.find("KSampler")[0], "steps", 20)`
    #[rhai_fn(name = "set", return_raw, global)]
    pub fn set_by_id(
        workflow: &mut WorkflowHandle,
        id: &str,
        input: &str,
        value: Dynamic,
    ) -> Fallible<()> {
        let value = from_dynamic(&value).map_err(|error| error.to_string())?;
        if workflow.lock().set_input(id, input, value) {
            Ok(())
        } else {
            Err(format!("the workflow has no node \"{id}\"").into())
        }
    }

    /// Gives the nodes, in the order in which they were added, the ids of a list; links follow.
    /// There may be more nodes than ids or fewer: ids are names, no more.
    /// Throws a text for ids that are no strings or come twice.
    /// Example: `g.number(["4", "12:34"])`
    #[rhai_fn(return_raw, global)]
    pub fn number(workflow: &mut WorkflowHandle, ids: Array) -> Fallible<()> {
        let ids: Vec<String> = ids
            .into_iter()
            .map(|id| {
                id.into_string()
                    .map_err(|ty| format!("an id is a string, not {ty}"))
            })
            .collect::<Result<_, _>>()?;
        let renumbered = workflow.renumber(&ids);
        Ok(renumbered.map_err(|error| error.to_string())?)
    }

    /// How many nodes the workflow has.
    /// Example: `if g.size > 100 { log("info", "a large one"); }`
    #[rhai_fn(get = "size", global, pure)]
    pub fn size(workflow: &mut WorkflowHandle) -> INT {
        int(workflow.lock().len())
    }

    /// The workflow as a map in API format.
    /// Example: `g.to_map()["1"].class_type`
    #[rhai_fn(global, pure)]
    pub fn to_map(workflow: &mut WorkflowHandle) -> Dynamic {
        to_dynamic(workflow.snapshot().into_json())
    }

    /// The link to one of a node's outputs.
    /// Throws a text for a slot below 0.
    /// Example: `g.node("SaveImage", #{ images: node[0], filename_prefix: "x" })`
    #[rhai_fn(index_get, return_raw, global, pure)]
    pub fn output(node: &mut NodeHandle, slot: INT) -> Fallible<Link> {
        if slot < 0 {
            return Err(format!("a node's outputs count from 0, not {slot}").into());
        }
        Ok(Link {
            id: node.id.clone(),
            slot,
        })
    }

    /// The node's id.
    /// Example: `node.id`
    #[rhai_fn(get = "id", global, pure)]
    pub fn id(node: &mut NodeHandle) -> ImmutableString {
        node.id.clone()
    }

    /// Sets or replaces one input and returns the node.
    /// Throws a text for a value that has no form in JSON.
    /// Example: `node.set("steps", 30)`
    #[rhai_fn(return_raw, global)]
    pub fn set(node: &mut NodeHandle, input: &str, value: Dynamic) -> Fallible<NodeHandle> {
        let value = from_dynamic(&value).map_err(|error| error.to_string())?;
        node.workflow.lock().set_input(&node.id, input, value);
        Ok(node.clone())
    }

    /// Sets the title that `ComfyUI` shows above the node and returns the node.
    /// Example: `g.node("CLIPTextEncode", #{ text: "a fox", clip: node[1] }).titled("Prompt")`
    #[rhai_fn(global)]
    pub fn titled(node: &mut NodeHandle, title: &str) -> NodeHandle {
        node.workflow.lock().set_title(&node.id, title);
        node.clone()
    }

    /// Seeds above 2^63-1 go on counting instead of overflowing.
    /// Example: `p.SEED + 1`
    #[rhai_fn(name = "+", global)]
    pub fn add_to_seed(seed: u64, n: INT) -> Dynamic {
        seed_of(i128::from(seed) + i128::from(n))
    }

    /// The same the other way round.
    /// Example: `1 + p.SEED`
    #[rhai_fn(name = "+", global)]
    pub fn add_seed(n: INT, seed: u64) -> Dynamic {
        add_to_seed(seed, n)
    }

    /// Seeds above 2^63-1 count down, too.
    /// Example: `p.SEED - 1`
    #[rhai_fn(name = "-", global)]
    pub fn subtract_from_seed(seed: u64, n: INT) -> Dynamic {
        seed_of(i128::from(seed) - i128::from(n))
    }

    fn seed_of(sum: i128) -> Dynamic {
        // Wraps round at 2^64, where ComfyUI's seeds end.
        let seed = sum.rem_euclid(1 << 64);
        to_dynamic(u64::try_from(seed).unwrap_or_default().into())
    }
}
