//! The graph as it is in the editor once it is loaded: every node with all its slots and widgets.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::editor::Editor;
use super::error::{NodeName, UiError};
use super::fit::Fit;
use super::js;
use super::kind::Kind;
use super::promote;
use super::read::{Boundary, Document, Graph, Link, Mode, Node, Origin};
use super::widgets::{Slot, Widget, lay_out};
use crate::comfy::nodes::NodeFacts;

/// Subgraphs in subgraphs; nobody nests them deeper than a few levels.
const DEEPEST: usize = 64;

/// All graphs of a file that are in use; the root is the first.
#[derive(Debug)]
pub(super) struct Live<'v> {
    pub(super) graphs: Vec<LiveGraph<'v>>,
}

#[derive(Debug, Default)]
pub(super) struct LiveGraph<'v> {
    /// Of a subgraph.
    pub(super) name: &'v str,
    pub(super) nodes: Vec<LiveNode<'v>>,
    pub(super) index: HashMap<String, usize>,
    pub(super) links: HashMap<String, Link>,
    pub(super) outputs: Vec<Boundary<'v>>,
    pub(super) inputs: Vec<Boundary<'v>>,
    /// For each input the widget that instances show for it: its node, and its place there.
    pub(super) promoted: Vec<Option<(usize, usize)>>,
    /// For each input whether it led to a widget when the graph was saved.
    pub(super) was_promoted: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct LiveNode<'v> {
    pub(super) id: String,
    /// The name under which the server knows it.
    pub(super) class: &'v str,
    pub(super) title: Option<&'v str>,
    /// Under which texts refer to it.
    pub(super) reference: Option<&'v str>,
    pub(super) mode: Mode,
    pub(super) kind: Kind<'v>,
    pub(super) slots: Vec<Slot>,
    /// The types of the outputs.
    pub(super) outputs: Vec<String>,
    pub(super) widgets: Vec<Widget>,
    /// How its values go with its widgets.
    pub(super) fit: Fit,
    /// For an instance of a subgraph.
    pub(super) instance: Instance,
}

/// What an instance of a subgraph has of its own.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// Its widgets by the subgraph's input.
    pub(super) by_input: Vec<Option<usize>>,
    /// Widgets of inner nodes that it sets without an input: node, widget there, widget here.
    pub(super) sets: Vec<(usize, usize, usize)>,
}

impl LiveNode<'_> {
    /// As messages call it, inside of what `prefix` names.
    pub(super) fn name(&self, prefix: &str) -> NodeName {
        NodeName {
            id: format!("{prefix}{}", self.id).into(),
            title: self.title.map(Into::into),
            class: self.class.into(),
            within: Box::default(),
        }
    }
}

impl<'v> Live<'v> {
    pub(super) fn of(
        mut document: Document<'v>,
        facts: &'v NodeFacts,
        editor: Editor,
    ) -> Result<Self, UiError> {
        if editor == Editor::Late {
            document.tell_ids_apart();
        }
        let mut saved = vec![document.root];
        saved.append(&mut document.definitions);
        // The frontend, too, takes the last of several definitions with one id.
        let by_id: HashMap<&str, usize> = (1..saved.len()).map(|at| (saved[at].id, at)).collect();
        let order = innermost_first(&saved, &by_id)?;
        let mut live = Self {
            graphs: saved.iter().map(|_| LiveGraph::default()).collect(),
        };
        let mut saved: Vec<Option<Graph<'v>>> = saved.into_iter().map(Some).collect();
        for at in order {
            if let Some(graph) = saved[at].take() {
                live.graphs[at] = live.load(graph, &by_id, facts, editor);
            }
        }
        Ok(live)
    }

    /// Loads a graph whose subgraphs are loaded.
    fn load(
        &self,
        graph: Graph<'v>,
        by_id: &HashMap<&str, usize>,
        facts: &'v NodeFacts,
        editor: Editor,
    ) -> LiveGraph<'v> {
        let was_promoted = was_promoted(&graph);
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        let mut index = HashMap::with_capacity(graph.nodes.len());
        for node in graph.nodes {
            index.insert(node.id.clone(), nodes.len());
            nodes.push(match by_id.get(node.class) {
                Some(&at) => promote::instance(&self.graphs[at], at, &node),
                None => LiveNode::load(node, facts, editor),
            });
        }
        let mut live = LiveGraph {
            name: graph.name,
            nodes,
            index,
            links: graph.links,
            inputs: graph.inputs,
            outputs: graph.outputs,
            promoted: Vec::new(),
            was_promoted,
        };
        live.push_primitives();
        live.promoted = promote::promoted(&live);
        live
    }
}

/// For each input of a subgraph whether a link leads from it to what was a widget when the graph was
/// saved.
fn was_promoted(graph: &Graph<'_>) -> Vec<bool> {
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    let of_widgets = inputs.filter(|input| input.widget.is_some());
    let links: HashSet<&String> = of_widgets.filter_map(|input| input.link.as_ref()).collect();
    let inputs = graph.inputs.iter();
    inputs
        .map(|input| input.links.iter().any(|link| links.contains(link)))
        .collect()
}

/// The graphs that the root uses, each behind those that it uses itself.
fn innermost_first(
    graphs: &[Graph<'_>],
    by_id: &HashMap<&str, usize>,
) -> Result<Vec<usize>, UiError> {
    struct Visit<'a> {
        graphs: &'a [Graph<'a>],
        by_id: &'a HashMap<&'a str, usize>,
        open: Vec<usize>,
        done: Vec<bool>,
        order: Vec<usize>,
    }
    impl Visit<'_> {
        fn graph(&mut self, at: usize) -> Result<(), UiError> {
            if self.done[at] {
                return Ok(());
            }
            if self.open.contains(&at) || self.open.len() > DEEPEST {
                return Err(UiError::EndlessSubgraph(self.graphs[at].name.to_owned()));
            }
            self.open.push(at);
            for node in &self.graphs[at].nodes {
                if let Some(&inner) = self.by_id.get(node.class) {
                    self.graph(inner)?;
                }
            }
            self.open.pop();
            self.done[at] = true;
            self.order.push(at);
            Ok(())
        }
    }
    let mut visit = Visit {
        graphs,
        by_id,
        open: Vec::new(),
        done: vec![false; graphs.len()],
        order: Vec::new(),
    };
    visit.graph(0)?;
    Ok(visit.order)
}

impl<'v> LiveNode<'v> {
    fn load(node: Node<'v>, facts: &'v NodeFacts, editor: Editor) -> Self {
        let kind = Kind::of(&node, facts);
        let (class, mut layout) = match kind {
            Kind::Class(class) => (class.name(), lay_out(class, node.values)),
            _ => (node.class, super::widgets::Layout::default()),
        };
        match kind {
            Kind::Unknown => layout.widgets = unnamed_widgets(&node),
            Kind::Primitive => layout.widgets.extend(primitive(&node)),
            _ => {}
        }
        if let Some(named) = node.named {
            layout.fit.compare(named, &layout.widgets);
        }
        layout.widgets.extend(editor.showing(class));
        let mut slots = layout.slots;
        for saved in &node.inputs {
            if let Some(slot) = slots.iter_mut().find(|slot| slot.name == saved.name) {
                slot.link.clone_from(&saved.link);
                continue;
            }
            // An input that stands for a widget goes with it.
            if saved.widget.is_some() && matches!(kind, Kind::Class(_)) {
                if let Some(link) = &saved.link {
                    let gone = (link.clone(), saved.name.to_owned());
                    layout.fit.gone.push(gone);
                }
                continue;
            }
            slots.push(Slot {
                name: saved.name.to_owned(),
                io_type: saved.io_type.clone(),
                link: saved.link.clone(),
                ..Slot::default()
            });
        }
        let reference = node
            .properties
            .and_then(|properties| properties.get("Node name for S&R")?.as_str());
        Self {
            class,
            title: node.title.filter(|title| !title.is_empty()),
            reference,
            mode: node.mode,
            outputs: output_types(kind, &node),
            kind,
            slots,
            fit: layout.fit,
            widgets: layout.widgets,
            instance: Instance::default(),
            id: node.id,
        }
    }
}

/// The frontend keeps the values of a class that it does not know under such names.
fn unnamed_widgets(node: &Node<'_>) -> Vec<Widget> {
    let values = node.values.and_then(Value::as_array);
    let values = values.into_iter().flatten().enumerate();
    values
        .map(|(at, value)| Widget {
            name: if at == 0 {
                "UNKNOWN".to_owned()
            } else {
                format!("UNKNOWN_{at}")
            },
            value: Some(js::value(value)),
            ..Widget::default()
        })
        .collect()
}

/// The value of a primitive, if any was saved.
fn primitive(node: &Node<'_>) -> Option<Widget> {
    let replaces = node
        .properties
        .and_then(|properties| properties.get("Run widget replace on values"));
    Some(Widget {
        name: "value".to_owned(),
        value: Some(js::value(node.values?.get(0)?)),
        replaces: replaces.is_some_and(js::truthy),
        ..Widget::default()
    })
}

/// What the class declares, and behind it what only the file has.
fn output_types(kind: Kind<'_>, node: &Node<'_>) -> Vec<String> {
    let saved = |slot: usize| node.outputs.get(slot).map(|output| output.io_type.clone());
    let Kind::Class(class) = kind else {
        return (0..node.outputs.len()).filter_map(saved).collect();
    };
    let declared = class.outputs();
    let mut types: Vec<String> = declared
        .iter()
        .enumerate()
        .map(|(slot, output)| match output.io_type().name() {
            // Follows from what is connected; the file has what it was.
            "COMFY_MATCHTYPE_V3" => saved(slot).unwrap_or_else(|| "*".to_owned()),
            name => name.to_owned(),
        })
        .collect();
    let more = node.outputs.iter().filter(|output| {
        let mut names = declared.iter().map(crate::comfy::nodes::Output::name);
        !names.any(|name| name == output.name)
    });
    types.extend(more.map(|output| output.io_type.clone()));
    types
}

impl LiveGraph<'_> {
    /// Puts the values of primitives into the widgets that they are directly connected to.
    fn push_primitives(&mut self) {
        let mut targets: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for slot in &node.slots {
                let link = slot.link.as_ref().and_then(|link| self.links.get(link));
                if let (Some(widget), Some(Origin::Node(id))) =
                    (slot.widget, link.map(|link| &link.origin))
                    && let Some(&origin) = self.index.get(id)
                    && matches!(self.nodes[origin].kind, Kind::Primitive)
                {
                    targets.entry(origin).or_default().push((at, widget));
                }
            }
        }
        for (origin, targets) in targets {
            let Some(value) = self.nodes[origin].widgets.first().cloned() else {
                continue;
            };
            let bounds = targets
                .iter()
                .map(|&(node, widget)| self.nodes[node].widgets[widget].bounds);
            let value = within_all(value, bounds);
            for (node, widget) in targets {
                let target = &mut self.nodes[node].widgets[widget];
                target.value.clone_from(&value.value);
                target.replaces = value.replaces;
            }
        }
    }
}

/// The value within what all of its targets allow, if there is such a range.
fn within_all(mut value: Widget, bounds: impl Iterator<Item = Option<(f64, f64)>>) -> Widget {
    let Some(number) = value.value.as_ref().and_then(Value::as_f64) else {
        return value;
    };
    let all = bounds
        .flatten()
        .reduce(|(a, b), (c, d)| (a.max(c), b.min(d)));
    if let Some((min, max)) = all
        && min <= max
        && !(min..=max).contains(&number)
    {
        value.value = Some(js::value(&number.clamp(min, max).into()));
    }
    value
}
