//! The widgets of inner nodes that an instance of a subgraph shows, and its own values for them.
//!
//! Today an instance has a widget for each input of the subgraph that leads to a widget inside,
//! and its values are saved in their order. Before, it listed inner widgets in
//! `properties.proxyWidgets`, each by node and name; where such an instance has values, they stand
//! in the order of that list.

use serde_json::{Map, Value};

use super::fit::{Fit, Misfit};
use super::ids::Shown;
use super::js;
use super::kind::Kind;
use super::live::{Instance, LiveGraph, LiveNode};
use super::read::{Node, Origin};
use super::widgets::{Slot, Widget};

/// For each input of a subgraph the first widget inside that it leads to.
pub(super) fn promoted(graph: &LiveGraph<'_>) -> Vec<Option<(usize, usize)>> {
    let inputs = graph.inputs.iter().enumerate();
    inputs
        .map(|(slot, input)| {
            let listed = input.links.iter();
            let mut targets = listed.filter_map(|link| widget_behind(graph, link));
            targets.next().or_else(|| {
                // Some programs write no list of links.
                let mut links: Vec<&String> = graph
                    .links
                    .iter()
                    .filter(|(_, link)| link.origin == Origin::Inputs && link.origin_slot == slot)
                    .map(|(id, _)| id)
                    .collect();
                links.sort();
                links
                    .into_iter()
                    .find_map(|link| widget_behind(graph, link))
            })
        })
        .collect()
}

fn widget_behind(graph: &LiveGraph<'_>, link: &String) -> Option<(usize, usize)> {
    let record = graph.links.get(link)?;
    let at = *graph.index.get(&record.target)?;
    let node = &graph.nodes[at];
    if node.fit.gone.iter().any(|(gone, _)| gone == link) {
        return None;
    }
    let slots = &node.slots;
    let slot = slots.iter().find(|slot| slot.link.as_ref() == Some(link));
    Some((at, slot.or_else(|| slots.get(record.target_slot))?.widget?))
}

/// Loads an instance of a subgraph.
pub(super) fn instance<'v>(graph: &LiveGraph<'v>, at: usize, node: &Node<'v>) -> LiveNode<'v> {
    let mut slots: Vec<Slot> = graph
        .inputs
        .iter()
        .map(|input| Slot {
            name: input.name.to_owned(),
            io_type: input.io_type.clone(),
            ..Slot::default()
        })
        .collect();
    let mut connected = vec![false; slots.len()];
    for saved in &node.inputs {
        let free = slots.iter().enumerate();
        let mut free = free.filter(|(at, slot)| !connected[*at] && slot.name == saved.name);
        if let Some((at, _)) = free.next() {
            slots[at].link.clone_from(&saved.link);
            connected[at] = true;
        }
    }
    let mut widgets = Vec::new();
    let mut by_input = Vec::with_capacity(slots.len());
    for (slot, target) in slots.iter_mut().zip(&graph.promoted) {
        slot.widget = target.map(|(node, widget)| {
            let inner = &graph.nodes[node].widgets[widget];
            widgets.push(Widget {
                name: slot.name.clone(),
                value: inner.value.clone(),
                bounds: inner.bounds,
                captured: inner.captured,
                declared: inner.declared.clone(),
                saved: 1,
                ..Widget::default()
            });
            widgets.len() - 1
        });
        by_input.push(slot.widget);
    }
    let mut live = LiveNode {
        class: node.class,
        title: node.title.filter(|title| !title.is_empty()),
        reference: node
            .properties
            .and_then(|properties| properties.get("Node name for S&R")?.as_str()),
        mode: node.mode,
        kind: Kind::Instance(at),
        slots,
        outputs: graph
            .outputs
            .iter()
            .map(|output| output.io_type.clone())
            .collect(),
        widgets,
        fit: Fit::default(),
        instance: Instance {
            by_input,
            sets: Vec::new(),
        },
        id: node.id.clone(),
    };
    live.take_values(graph, node);
    live
}

impl LiveNode<'_> {
    fn take_values(&mut self, graph: &LiveGraph<'_>, node: &Node<'_>) {
        let Some(values) = node.values.and_then(Value::as_array) else {
            return;
        };
        match node.shown_widgets().filter(|shown| !shown.is_empty()) {
            None => self.take_in_order(graph, node, values),
            Some(shown) => {
                for (shown, value) in shown.iter().zip(values) {
                    if !value.is_null() {
                        self.take_shown(graph, shown, value);
                    }
                }
            }
        }
    }

    /// Values that have places only: those of the inputs that lead to a widget today.
    fn take_in_order(&mut self, graph: &LiveGraph<'_>, node: &Node<'_>, values: &[Value]) {
        for (widget, value) in self.widgets.iter_mut().zip(values) {
            // Nothing of its own.
            if !value.is_null() {
                widget.value = Some(js::value(value));
            }
        }
        self.fit.values = values.len();
        self.fit.surplus = values.iter().skip(self.widgets.len()).cloned().collect();
        let saved = node
            .named
            .cloned()
            .unwrap_or_else(|| by_input(graph, values));
        if !saved.is_empty() {
            self.fit.compare(&saved, &self.widgets);
        }
        self.find_misfits();
    }

    fn find_misfits(&mut self) {
        for widget in self.widgets.iter().take(self.fit.values) {
            if let (Some(input), Some(value)) = (&widget.declared, &widget.value) {
                let misfit = Misfit::of(input, &widget.name, value);
                self.fit.misfits.extend(misfit);
            }
        }
    }

    /// One value of the older kind.
    fn take_shown(&mut self, graph: &LiveGraph<'_>, shown: &Shown, value: &Value) {
        let value = Some(js::value(value));
        if shown.node == "-1" {
            let mut widgets = self.widgets.iter_mut();
            if let Some(widget) = widgets.find(|widget| widget.name == shown.widget) {
                widget.value = value;
            }
            return;
        }
        let Some((node, widget)) = inner_widget(graph, shown) else {
            return;
        };
        let inner = &graph.nodes[node];
        let linked = inner
            .slots
            .iter()
            .find(|slot| slot.widget == Some(widget))
            .and_then(|slot| graph.links.get(slot.link.as_ref()?));
        match linked {
            // The link is what counts.
            Some(link) if link.origin != Origin::Inputs => {}
            Some(link) => {
                if let Some(Some(own)) = self.instance.by_input.get(link.origin_slot) {
                    self.widgets[*own].value = value;
                }
            }
            None => {
                self.instance.sets.push((node, widget, self.widgets.len()));
                self.widgets.push(Widget {
                    name: shown.widget.clone(),
                    value,
                    ..Widget::default()
                });
            }
        }
    }
}

/// The values by the inputs that led to a widget when the graph was saved; nothing where that is not
/// certain.
fn by_input(graph: &LiveGraph<'_>, values: &[Value]) -> Map<String, Value> {
    let inputs = graph.inputs.iter().zip(&graph.was_promoted);
    let names = inputs.filter(|(_, was)| **was).map(|(input, _)| input.name);
    let mut by_input = Map::new();
    for (name, value) in names.zip(values) {
        if by_input.insert(name.to_owned(), value.clone()).is_some() {
            return Map::new();
        }
    }
    by_input
}

fn inner_widget(graph: &LiveGraph<'_>, shown: &Shown) -> Option<(usize, usize)> {
    let node = *graph.index.get(&shown.node)?;
    let widgets = &graph.nodes[node].widgets;
    // Some versions wrote the ids of nested nodes before the name: `3: seed`.
    let mut name = shown.widget.as_str();
    loop {
        if let Some(widget) = widgets.iter().position(|widget| widget.name == name) {
            return Some((node, widget));
        }
        let (id, rest) = name.split_once(':')?;
        id.trim().parse::<u64>().ok()?;
        name = rest.trim_start();
    }
}
