//! From an input to what really feeds it: through subgraphs, reroutes and bypassed nodes.

use serde_json::Value;

use super::error::UiError;
use super::expand::{Frames, Place};
use super::kind::Kind;
use super::read::{Mode, Origin};

/// No graph has a longer chain of nodes that don't run; a circle of them has no end.
const LONGEST: usize = 10_000;

/// What feeds an input.
#[derive(Debug)]
pub(super) enum Feed {
    /// An output of a node that runs.
    Output { node: Place, slot: usize },
    /// The value of a widget that a subgraph's instance shows, with that instance and the input.
    Value {
        value: Option<Value>,
        from: (Place, usize),
    },
}

/// The way back along the links, at an input or at an output.
enum At {
    /// With the type that is wanted, if it is another than the input's.
    Input(Place, usize, Option<String>),
    Output(Place, usize, String),
    End(Option<Feed>),
}

impl Frames<'_, '_> {
    /// What feeds an input; `None` if nothing does.
    pub(super) fn feed(&self, node: Place, slot: usize) -> Result<Option<Feed>, UiError> {
        let mut at = At::Input(node, slot, None);
        for _ in 0..LONGEST {
            at = match at {
                At::Input(node, slot, wanted) => self.behind_input(node, slot, wanted)?,
                At::Output(node, slot, wanted) => self.behind_output(node, slot, wanted)?,
                At::End(feed) => return Ok(feed),
            };
        }
        Err(UiError::EndlessLink {
            node: self.name(node),
            input: self.node(node).slots[slot].name.clone(),
        })
    }

    fn behind_input(
        &self,
        node: Place,
        slot: usize,
        wanted: Option<String>,
    ) -> Result<At, UiError> {
        let Some(input) = self.node(node).slots.get(slot) else {
            return Ok(At::End(None));
        };
        let Some(id) = &input.link else {
            return Ok(At::End(None));
        };
        let graph = self.graph(node.frame);
        let broken = |missing| UiError::BrokenLink {
            node: self.name(node),
            input: input.name.as_str().into(),
            link: id.as_str().into(),
            missing,
        };
        let link = graph.links.get(id);
        let link = link.ok_or_else(|| broken("is not in the file"))?;
        match &link.origin {
            Origin::Inputs => {
                let host = self.frames[node.frame].host;
                let host = host.ok_or_else(|| broken("begins outside of the graph"))?;
                if self.node(host).slots.get(link.origin_slot).is_none() {
                    return Err(broken("begins at an input that the subgraph does not have"));
                }
                Ok(self.outside(host, link.origin_slot))
            }
            Origin::Node(origin) => {
                let at = graph.index.get(origin);
                let at = *at.ok_or_else(|| broken("begins at a node that is not there"))?;
                let origin = Place {
                    frame: node.frame,
                    node: at,
                };
                let wanted = wanted.unwrap_or_else(|| input.io_type.clone());
                Ok(At::Output(origin, link.origin_slot, wanted))
            }
        }
    }

    /// From an input of a subgraph to the same input of its instance.
    fn outside(&self, host: Place, slot: usize) -> At {
        let node = self.node(host);
        if node.slots[slot].link.is_some() {
            return At::Input(host, slot, None);
        }
        let widget = node.instance.by_input.get(slot).copied().flatten();
        At::End(widget.map(|widget| Feed::Value {
            value: self.value(host, widget).0.cloned(),
            from: (host, slot),
        }))
    }

    fn behind_output(&self, node: Place, slot: usize, wanted: String) -> Result<At, UiError> {
        let live = self.node(node);
        match live.mode {
            Mode::Muted => return Ok(At::End(None)),
            Mode::Bypassed => {
                let input = self.passed_through(node, slot, &wanted);
                return Ok(input.map_or(At::End(None), |input| At::Input(node, input, None)));
            }
            Mode::Runs => {}
        }
        match live.kind {
            Kind::Class(_) | Kind::Unknown => Ok(At::End(Some(Feed::Output { node, slot }))),
            Kind::PassesOn | Kind::Set(_) => Ok(At::Input(node, slot, Some(wanted))),
            Kind::Primitive | Kind::NotRun => Ok(At::End(None)),
            Kind::Instance(_) => self.inside(node, slot, wanted),
            Kind::Get(name) => match self.setter(node.frame, name) {
                Some(setter) => Ok(At::Input(setter, 0, Some(wanted))),
                None => Err(UiError::NothingSet {
                    node: self.name(node),
                    name: name.to_owned(),
                }),
            },
        }
    }

    /// From an output of an instance to what is behind it in the subgraph.
    fn inside(&self, host: Place, slot: usize, wanted: String) -> Result<At, UiError> {
        let Some(&frame) = self.frames[host.frame].instances.get(&host.node) else {
            return Ok(At::End(None));
        };
        let graph = self.graph(frame);
        let listed = graph.outputs.get(slot).and_then(|output| {
            let mut links = output.links.iter();
            links.find_map(|link| graph.links.get(link))
        });
        let link = listed.or_else(|| {
            // Some programs write no list of links.
            let mut links = graph.links.values();
            links.find(|link| link.goes_out() && link.target_slot == slot)
        });
        let Some(link) = link else {
            return Ok(At::End(None));
        };
        match &link.origin {
            Origin::Inputs if self.node(host).slots.len() > link.origin_slot => {
                Ok(self.outside(host, link.origin_slot))
            }
            Origin::Inputs => Ok(At::End(None)),
            Origin::Node(origin) => match graph.index.get(origin) {
                Some(&node) => Ok(At::Output(Place { frame, node }, link.origin_slot, wanted)),
                None => Err(UiError::BrokenLink {
                    node: self.name(host),
                    input: graph
                        .outputs
                        .get(slot)
                        .map_or("", |output| output.name)
                        .into(),
                    link: origin.as_str().into(),
                    missing: "begins at a node that is not in the subgraph",
                }),
            },
        }
    }

    /// The primitive whose value an input's widget has.
    pub(super) fn primitive(&self, node: Place, slot: usize) -> Option<Place> {
        let graph = self.graph(node.frame);
        let link = graph
            .links
            .get(self.node(node).slots[slot].link.as_ref()?)?;
        let Origin::Node(origin) = &link.origin else {
            return None;
        };
        let origin = *graph.index.get(origin)?;
        let is_one = matches!(graph.nodes[origin].kind, Kind::Primitive);
        is_one.then_some(Place {
            frame: node.frame,
            node: origin,
        })
    }

    /// The input that a bypassed node hands on as its output.
    fn passed_through(&self, node: Place, slot: usize, wanted: &str) -> Option<usize> {
        let live = self.node(node);
        let slots = &live.slots;
        if wanted == "*" || wanted.is_empty() {
            let opposite = if slots.len() > slot { slot } else { 0 };
            return (!slots.is_empty()).then_some(opposite);
        }
        let given = live.outputs.get(slot).map_or("*", String::as_str);
        let fits = |at: usize| {
            slots.get(at).is_some_and(|input| {
                connects(&input.io_type, given) && connects(&input.io_type, wanted)
            })
        };
        if fits(slot) {
            return Some(slot);
        }
        let exact = slots.iter().position(|input| input.io_type == wanted);
        exact.or_else(|| (0..slots.len()).find(|&at| fits(at)))
    }

    /// The `SetNode` of that name in the graph or in one around it.
    fn setter(&self, frame: usize, name: &str) -> Option<Place> {
        let mut frame = Some(frame);
        while let Some(at) = frame {
            let mut nodes = self.graph(at).nodes.iter();
            let sets = |kind| matches!(kind, Kind::Set(set) if set == name);
            if let Some(node) = nodes.position(|node| sets(node.kind)) {
                return Some(Place { frame: at, node });
            }
            frame = self.frames[at].host.map(|host| host.frame);
        }
        None
    }
}

/// Whether the editor lets such types be connected.
fn connects(one: &str, other: &str) -> bool {
    let any = |name: &str| name.is_empty() || name == "*";
    if any(one) || any(other) || one == other {
        return true;
    }
    let mut names = one.split(',');
    names.any(|one| {
        let mut others = other.split(',');
        others.any(|other| any(one) || any(other) || one.eq_ignore_ascii_case(other))
    })
}

#[cfg(test)]
mod tests {
    use super::connects;

    #[test]
    fn types_connect_where_their_lists_overlap() {
        assert!(connects("IMAGE,MASK", "IMAGE"));
        assert!(connects("*", "IMAGE"));
        assert!(connects("image", "IMAGE"));
        assert!(!connects("IMAGE", "MASK"));
        assert!(!connects("IMAGES", "IMAGE"));
    }
}
