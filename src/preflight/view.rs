//! A prompt as rules look at it: nodes with their classes, links, and what runs at all.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::comfy::nodes::{Dynamic, Input, NodeClass, NodeFacts};
use crate::comfy::validate::{Rules, expand};

/// A prompt with what is known of its classes. Whatever is no node is left out.
pub(super) struct View<'a> {
    pub(super) rules: &'a Rules,
    pub(super) nodes: Vec<Node<'a>>,
    by_id: HashMap<&'a str, usize>,
    live: Vec<bool>,
    sure: Vec<bool>,
}

/// One node of it.
pub(super) struct Node<'a> {
    pub(super) id: &'a str,
    pub(super) class_type: &'a str,
    pub(super) class: Option<&'a NodeClass>,
    pub(super) body: &'a Map<String, Value>,
    /// Where its links come from, by input.
    pub(super) links: Vec<(&'a str, Link<'a>)>,
}

/// What the server's executor takes for a link, wherever it stands, and what is meant as one.
#[derive(Clone, Copy)]
pub(super) struct Link<'a> {
    /// The node's id as it is written; empty if that is no text.
    pub(super) id: &'a str,
    /// The node, if there is one.
    pub(super) node: Option<usize>,
    /// Whether the executor takes it for a link: the id is text and the slot a number, as which
    /// Python also takes true and false.
    pub(super) is_followed: bool,
    /// Whether its node runs only if the one that it leads to asks for it.
    pub(super) is_lazy: bool,
}

impl<'a> Node<'a> {
    pub(super) fn inputs(&self) -> Option<&'a Map<String, Value>> {
        self.body.get("inputs")?.as_object()
    }

    pub(super) fn input(&self, name: &str) -> Option<&'a Value> {
        self.inputs()?.get(name)
    }

    /// The number that is written in an input.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.input(name)?.as_f64()
    }

    /// The text that is written in an input.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.input(name)?.as_str()
    }

    pub(super) fn link(&self, name: &str) -> Option<Link<'a>> {
        let mut links = self.links.iter();
        links.find(|(own, _)| *own == name).map(|(_, link)| *link)
    }

    /// Whether its class has a name, but not one that is known.
    fn is_unknown(&self) -> bool {
        self.class.is_none()
    }
}

impl<'a> View<'a> {
    pub(super) fn new(prompt: &'a Value, facts: &'a NodeFacts, rules: &'a Rules) -> Self {
        let mut view = Self {
            rules,
            nodes: vec![],
            by_id: HashMap::new(),
            live: vec![],
            sure: vec![],
        };
        for (id, body) in prompt.as_object().into_iter().flatten() {
            let Some(body) = body.as_object() else {
                continue;
            };
            let class_type = body.get("class_type").and_then(Value::as_str);
            let class_type = class_type.unwrap_or_default();
            view.by_id.insert(id, view.nodes.len());
            view.nodes.push(Node {
                id,
                class_type,
                class: facts.class(class_type),
                body,
                links: vec![],
            });
        }
        for at in 0..view.nodes.len() {
            view.nodes[at].links = view.links_of(&view.nodes[at]);
        }
        view.live = view.reached(|_| true);
        view.sure = view.reached(|link| !link.is_lazy);
        view
    }

    fn links_of(&self, node: &Node<'a>) -> Vec<(&'a str, Link<'a>)> {
        let inputs = node.inputs().into_iter().flatten();
        let lazy = self.lazy_inputs(node);
        let links = inputs.filter_map(|(name, value)| {
            let [id, slot] = &value.as_array()?[..] else {
                return None;
            };
            let written = id.as_str();
            let node = match written {
                Some(id) => self.by_id.get(id).copied(),
                None => self.by_id.get(&*id.as_u64()?.to_string()).copied(),
            };
            let link = Link {
                id: written.unwrap_or_default(),
                node,
                is_followed: written.is_some() && (slot.is_number() || slot.is_boolean()),
                is_lazy: lazy.contains(name),
            };
            (link.is_followed || node.is_some()).then_some((name.as_str(), link))
        });
        links.collect()
    }

    /// The inputs whose nodes run only when they are asked for.
    fn lazy_inputs(&self, node: &Node<'a>) -> HashSet<String> {
        let Some(class) = node.class.filter(|class| may_be_lazy(class)) else {
            return HashSet::new();
        };
        let given = node.body.get("inputs").unwrap_or(&Value::Null);
        let expanded = expand(class, given, self.rules).unwrap_or_default();
        let inputs = expanded.inputs.into_iter();
        let lazy = inputs.filter(|declared| declared.input.flag("lazy"));
        lazy.map(|declared| declared.name.into_owned()).collect()
    }

    /// What leads to an output node by links that count: the server runs nothing else. A class
    /// that isn't known may be one; if there is none at all, everything may run.
    fn reached(&self, counts: impl Fn(&Link<'a>) -> bool) -> Vec<bool> {
        let is_output = |node: &Node<'_>| {
            node.is_unknown() || node.class.is_some_and(NodeClass::is_output_node)
        };
        let outputs = (0..self.nodes.len()).filter(|&at| is_output(&self.nodes[at]));
        let mut open: Vec<usize> = outputs.collect();
        if open.is_empty() {
            return vec![true; self.nodes.len()];
        }
        let mut live = vec![false; self.nodes.len()];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut live[at], true) {
                let links = self.nodes[at].links.iter();
                let links = links.filter(|(_, link)| counts(link));
                open.extend(links.filter_map(|(_, link)| link.node));
            }
        }
        live
    }

    /// Whether a node is sure to run, and not only if one with lazy inputs asks for it.
    pub(super) fn is_sure(&self, at: usize) -> bool {
        self.sure.get(at) == Some(&true)
    }

    pub(super) fn is_live(&self, at: usize) -> bool {
        self.live.get(at) == Some(&true)
    }

    /// The number of a node.
    pub(super) fn at(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Whether a node is another or needs what it gives.
    pub(super) fn needs(&self, at: usize, other: usize) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if at == other {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(
                    self.nodes[at]
                        .links
                        .iter()
                        .filter_map(|(_, link)| link.node),
                );
            }
        }
        false
    }

    /// Whether the node of that id runs; so does one that isn't there.
    pub(super) fn is_live_id(&self, id: &str) -> bool {
        self.by_id.get(id).is_none_or(|&at| self.is_live(at))
    }

    /// The nodes that run, with their numbers.
    pub(super) fn live_nodes(&self) -> impl Iterator<Item = (usize, &Node<'a>)> {
        let all = self.nodes.iter().enumerate();
        all.filter(|(at, _)| self.live[*at])
    }

    /// The nodes of known classes that run.
    pub(super) fn known(&self) -> impl Iterator<Item = (&Node<'a>, &'a NodeClass)> {
        self.live_nodes()
            .filter_map(|(_, node)| Some((node, node.class?)))
    }

    /// The nodes from which something of a type comes, upstream of an input, past those that take
    /// that type themselves.
    pub(super) fn origins(&self, at: usize, input: &str, ty: &str) -> Vec<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let mut origins = vec![];
        let first = self.nodes[at].link(input).and_then(|link| link.node);
        let mut open: Vec<usize> = first.into_iter().collect();
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let through = self.through(at, ty);
            if through.is_empty() {
                origins.push(at);
            }
            open.extend(through);
        }
        origins
    }

    /// All nodes upstream of an input.
    pub(super) fn upstream(&self, at: usize, input: &str) -> Vec<usize> {
        self.upstream_past(at, input, &mut vec![false; self.nodes.len()])
    }

    /// The same without those that were seen already, which are noted.
    pub(super) fn upstream_past(&self, at: usize, input: &str, seen: &mut [bool]) -> Vec<usize> {
        let first = self.nodes[at].link(input).and_then(|link| link.node);
        let mut open: Vec<usize> = first.into_iter().collect();
        let mut found = vec![];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                found.push(at);
                open.extend(
                    self.nodes[at]
                        .links
                        .iter()
                        .filter_map(|(_, link)| link.node),
                );
            }
        }
        found
    }

    /// Where a node itself takes that type from, or anything at all.
    fn through(&self, at: usize, ty: &str) -> Vec<usize> {
        let node = &self.nodes[at];
        let takes = |name: &str| {
            let class = node.class?;
            let input = class.input(name.split('.').next()?)?;
            let own = input.io_type();
            Some(own.is(ty) || own.is("*") || own.is("COMFY_MATCHTYPE_V3"))
        };
        let links = node.links.iter();
        links
            .filter(|(name, _)| takes(name).unwrap_or(name.eq_ignore_ascii_case(ty)))
            .filter_map(|(_, link)| link.node)
            .collect()
    }
}

/// Whether any input is lazy, also one that a choice brings.
fn may_be_lazy(class: &NodeClass) -> bool {
    fn is_lazy(input: &Input) -> bool {
        let below = match input.dynamic() {
            Some(Dynamic::Combo(options)) => {
                let mut inputs = options.iter().flat_map(|option| &option.inputs);
                inputs.any(is_lazy)
            }
            Some(Dynamic::Slot(inputs)) => inputs.iter().any(is_lazy),
            Some(Dynamic::Autogrow { template, .. }) => is_lazy(template),
            None => false,
        };
        below || input.flag("lazy")
    }
    class.inputs().iter().any(is_lazy)
}
