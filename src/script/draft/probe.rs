//! What each function of the libraries adds to a workflow.
//!
//! It is found out by calling it with a mark in the place of each argument, so that it is known as
//! the library at hand has it, whoever wrote that. What can't be called in this way (it counts with
//! its arguments, or takes them apart) is no pattern.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::comfy::Workflow;
use crate::script::{Generation, Key, Kind, Layer, Source, build};

/// The name of the script that calls a function.
const PROBE: &str = "probe";

/// The class of the node that takes what a function returns.
const RETURNED: &str = "what it returns";

/// A function and the nodes that it adds.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::script) struct Pattern {
    pub(super) library: String,
    pub(super) function: String,
    /// The names of its parameters behind the workflow.
    pub(super) parameters: Vec<String>,
    /// The nodes in the order in which it adds them.
    pub(super) nodes: Vec<PatternNode>,
    pub(super) returns: Returns,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PatternNode {
    pub(super) class: String,
    pub(super) title: Option<String>,
    pub(super) inputs: Vec<(String, Slot)>,
}

/// What stands in an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Slot {
    /// The same whatever the arguments are.
    Fixed(Value),
    /// An argument, between two texts where it is part of one.
    Argument {
        parameter: usize,
        before: String,
        behind: String,
    },
    /// An output of another of the nodes.
    Link { node: usize, slot: u32 },
}

/// What a function hands back: outputs by key, or one by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Returns {
    Outputs(Vec<(String, (usize, u32))>),
    Output((usize, u32)),
    Nothing,
}

/// What the libraries of a generation add, found out when it is first asked for.
#[derive(Debug, Default)]
pub(in crate::script) struct Idioms(OnceLock<Vec<Pattern>>);

impl Idioms {
    pub(super) fn of(&self, generation: &Generation) -> &[Pattern] {
        self.0.get_or_init(|| patterns(generation))
    }
}

/// What stands for the argument of a parameter.
fn mark(parameter: usize) -> String {
    format!("\u{2}{parameter}\u{3}")
}

/// The functions of all libraries that are described, take a workflow first, and add nodes to it:
/// those that add most come first.
fn patterns(generation: &Generation) -> Vec<Pattern> {
    let mut patterns: Vec<Pattern> = generation
        .of_kind(Kind::Lib)
        .flat_map(|library| {
            let name = &library.script.key.name;
            let functions = library.script.described().into_iter();
            functions
                .filter_map(|(function, parameters)| probe(generation, name, function, parameters))
        })
        .collect();
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.nodes.len()));
    patterns
}

fn probe(
    generation: &Generation,
    library: &str,
    function: String,
    parameters: Vec<String>,
) -> Option<Pattern> {
    let marks = (0..parameters.len()).map(|at| format!(", \"{}\"", mark(at)));
    let text = format!(
        "import \"{library}\" as it;\nfn build(p) {{ let g = workflow(); \
         let made = it::{function}(g{}); g.node(\"{RETURNED}\", #{{ made: made }}); g }}",
        marks.collect::<String>()
    );
    let source = Source {
        key: Key {
            kind: Kind::Template,
            name: PROBE.to_owned(),
        },
        layer: Layer::File,
        path: PROBE.into(),
        text,
    };
    let built = build(&generation.with(&source), PROBE, Map::new()).ok()?;
    let pattern = Pattern {
        library: library.to_owned(),
        function,
        nodes: nodes(&built)?,
        returns: returned(&built)?,
        parameters,
    };
    pattern.says_all().then_some(pattern)
}

/// Where a node that the probe made stands.
fn place(id: &str) -> Option<usize> {
    id.parse::<usize>().ok()?.checked_sub(1)
}

fn nodes(built: &Workflow) -> Option<Vec<PatternNode>> {
    let own = built.len() - 1;
    let mut nodes = Vec::with_capacity(own);
    for (at, node) in built.nodes().take(own).enumerate() {
        if place(node.id) != Some(at) {
            return None;
        }
        let class = node.class_type()?;
        let inputs = node.inputs().into_iter().flatten();
        let inputs: Option<Vec<(String, Slot)>> = inputs
            .map(|(name, value)| Some((name.clone(), slot(value, own)?)))
            .collect();
        nodes.push(PatternNode {
            class: class.to_owned(),
            title: node
                .title()
                .filter(|title| *title != class)
                .map(str::to_owned),
            inputs: inputs?,
        });
    }
    (!nodes.is_empty()).then_some(nodes)
}

fn slot(value: &Value, count: usize) -> Option<Slot> {
    if let Some((node, slot)) = link(value, count) {
        return Some(Slot::Link { node, slot });
    }
    let Some(text) = value.as_str() else {
        return (!value.to_string().contains("\\u0002")).then(|| Slot::Fixed(value.clone()));
    };
    let Some((before, rest)) = text.split_once('\u{2}') else {
        return Some(Slot::Fixed(value.clone()));
    };
    let (parameter, behind) = rest.split_once('\u{3}')?;
    (!behind.contains('\u{2}')).then_some(Slot::Argument {
        parameter: parameter.parse().ok()?,
        before: before.to_owned(),
        behind: behind.to_owned(),
    })
}

fn link(value: &Value, count: usize) -> Option<(usize, u32)> {
    let [Value::String(id), slot] = value.as_array()?.as_slice() else {
        return None;
    };
    let node = place(id).filter(|node| *node < count)?;
    Some((node, u32::try_from(slot.as_u64()?).ok()?))
}

fn returned(built: &Workflow) -> Option<Returns> {
    let count = built.len() - 1;
    let last = built
        .nodes()
        .last()
        .filter(|node| node.class_type() == Some(RETURNED))?;
    match last.inputs()?.get("made")? {
        Value::Null => Some(Returns::Nothing),
        Value::Object(outputs) => {
            let outputs = outputs.iter();
            let outputs: Option<Vec<_>> = outputs
                .map(|(key, value)| Some((key.clone(), link(value, count)?)))
                .collect();
            outputs.map(Returns::Outputs)
        }
        value => link(value, count).map(Returns::Output),
    }
}

impl Pattern {
    /// Whether every argument can be told from the nodes.
    fn says_all(&self) -> bool {
        let slots = || self.nodes.iter().flat_map(|node| &node.inputs);
        (0..self.parameters.len()).all(|wanted| {
            slots().any(|(_, slot)| matches!(slot, Slot::Argument { parameter, .. } if *parameter == wanted))
        })
    }

    /// How what is returned is reached: the key of an output, or an empty one for the output itself.
    pub(super) fn key_of(&self, node: usize, slot: u32) -> Option<&str> {
        match &self.returns {
            Returns::Outputs(outputs) => {
                let mut outputs = outputs.iter();
                let (key, _) = outputs.find(|(_, output)| *output == (node, slot))?;
                Some(key)
            }
            Returns::Output(output) => (*output == (node, slot)).then_some(""),
            Returns::Nothing => None,
        }
    }
}
