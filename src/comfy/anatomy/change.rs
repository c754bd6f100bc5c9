//! Other values for what a workflow has, all or none.
//!
//! Where a role stands in several nodes, the one that counts most is meant and with it all that
//! had the same value; the others are left and named, so that nothing happens unseen.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::edit::{Edit, apply};
use super::error::{ChangeError, Misfit};
use super::graph::Graph;
use super::role::Role;
use super::trace::{Anatomy, Spot};
use super::value::conform;
use crate::comfy::Workflow;
use crate::comfy::nodes::{Input, NodeFacts};
use crate::failure::shown;
use crate::ids::RANDOM_SEED_LIMIT;

/// One input that got another value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The node.
    pub node_id: String,
    /// Its class.
    pub class_type: String,
    /// Its input.
    pub input: String,
    /// What was there; a link if another node computed it.
    pub from: Value,
    /// What is there now.
    pub to: Value,
    /// The node of which this one is a new copy, so that the other may stay as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
}

/// One input of the same role that had another value and kept it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Left {
    /// What was asked for.
    pub name: String,
    /// `node_id.input`, by which it can be changed, too.
    pub at: String,
    /// What is there.
    pub value: Value,
}

/// What became of the changes that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// What changed. What already was as asked is not among it.
    pub changed: Vec<Change>,
    /// What could have been meant, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// What else to know about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The seed with which the workflow runs now, if it has one.
    pub seed: Option<Value>,
}

impl Workflow {
    /// Sets roles (`prompt`, `seed`, ...), inputs of any name, or exact ones (`node_id.input`).
    /// Null draws a seed from `draw`, which gives none where there is no chance, and -1 keeps it;
    /// null for anything else leaves that as it is.
    pub fn change(
        &mut self,
        facts: &NodeFacts,
        wanted: &Map<String, Value>,
        draw: impl Fn() -> Option<u64>,
    ) -> Result<Changes, ChangeError> {
        let anatomy = Anatomy::of(self, facts);
        let mut plan = Plan {
            graph: Graph::new(self, facts),
            anatomy: &anatomy,
            edits: Vec::new(),
            changes: Changes::default(),
        };
        let mut misfits = Vec::new();
        for (name, value) in wanted {
            if let Err(misfit) = plan.want(name, value, &draw) {
                misfits.push(misfit);
            }
        }
        if !misfits.is_empty() {
            return Err(ChangeError {
                misfits,
                has: anatomy.summary(),
                settings: anatomy.settings(),
            });
        }
        let Plan {
            edits, mut changes, ..
        } = plan;
        changes.changed = apply(self, edits);
        changes.seed = Anatomy::of(self, facts).value(Role::Seed).cloned();
        Ok(changes)
    }

    /// Whether [`Workflow::change`] has a place for that name.
    #[must_use]
    pub fn can_change(&self, facts: &NodeFacts, name: &str) -> bool {
        let anatomy = Anatomy::of(self, facts);
        let plan = Plan {
            graph: Graph::new(self, facts),
            anatomy: &anatomy,
            edits: Vec::new(),
            changes: Changes::default(),
        };
        let role = Role::named(name).filter(|role| !anatomy.spots(*role).is_empty());
        plan.exact(name).is_some() || role.is_some() || !plan.everywhere(name).is_empty()
    }
}

struct Plan<'g> {
    graph: Graph<'g>,
    anatomy: &'g Anatomy,
    edits: Vec<Edit>,
    changes: Changes,
}

impl Plan<'_> {
    fn want(
        &mut self,
        name: &str,
        value: &Value,
        draw: &impl Fn() -> Option<u64>,
    ) -> Result<(), Misfit> {
        let role = Role::named(name);
        let keeps = match role {
            Some(Role::Seed) => value.as_i64() == Some(-1),
            _ => value.is_null(),
        };
        if keeps {
            return Ok(());
        }
        if let Some((node, input)) = self.exact(name) {
            return self.set_exactly(name, &node, &input, value);
        }
        let Some(role) = role.filter(|role| !self.anatomy.spots(*role).is_empty()) else {
            return self.set_everywhere(name, role, value);
        };
        let value = match (role, value) {
            (Role::Seed, Value::Null) => {
                let drawn = draw().ok_or_else(|| Misfit::NoChance(name.to_owned()))?;
                json!(drawn % self.seed_limit())
            }
            (_, value) => value.clone(),
        };
        self.set_role(name, role, &value)
    }

    /// The first number that all seeds of the workflow are below, or 2^53.
    fn seed_limit(&self) -> u64 {
        let spots = self.anatomy.spots(Role::Seed).iter();
        let most = spots.filter_map(|spot| self.declared(spot)?.max()?.as_u64());
        let least = most.min().unwrap_or(u64::MAX);
        least.saturating_add(1).min(RANDOM_SEED_LIMIT)
    }

    fn set_role(&mut self, name: &str, role: Role, value: &Value) -> Result<(), Misfit> {
        let spots = self.anatomy.spots(role);
        let partial = |spot: &&Spot| spot.value.as_f64() != Some(1.0);
        let first = spots
            .iter()
            .find(|spot| role == Role::Denoise && partial(spot));
        let Some(first) = first.or_else(|| spots.first()) else {
            return Ok(());
        };
        let is_meant = |spot: &&Spot| {
            role == Role::Seed || spot.group == first.group || spot.value == first.value
        };
        let (meant, others): (Vec<&Spot>, Vec<&Spot>) = spots.iter().partition(is_meant);
        if matches!(role, Role::Lora | Role::Image) && !others.is_empty() {
            return Err(ambiguous(name, spots));
        }
        for spot in &meant {
            self.set_spot(name, role, spot, value)?;
        }
        if role == Role::Steps {
            self.move_marks(first, &meant, value);
        }
        for spot in others {
            self.changes.left.push(Left {
                name: role.as_str().to_owned(),
                at: spot.path(),
                value: spot.value.clone(),
            });
        }
        Ok(())
    }

    fn set_spot(
        &mut self,
        name: &str,
        role: Role,
        spot: &Spot,
        value: &Value,
    ) -> Result<(), Misfit> {
        let other = match role {
            Role::Prompt => Some(Role::NegativePrompt),
            Role::NegativePrompt => Some(Role::Prompt),
            _ => None,
        };
        let others = self.anatomy.spots.iter().filter(|(other, _)| {
            // A number that is cfg and guidance at once is one and the same setting.
            **other != role
                && !matches!(
                    (role, other),
                    (Role::Cfg, Role::Guidance) | (Role::Guidance, Role::Cfg)
                )
        });
        let is_shared = others
            .flat_map(|(_, spots)| spots)
            .any(|theirs| theirs.is_at(spot) && theirs.feeds != spot.feeds);
        if let (Some((node, input)), true) = (&spot.feeds, is_shared) {
            // What is written there means something else, too: this input gets a value of its own.
            let before = self.graph.input(node, input).cloned().unwrap_or_default();
            return self.set(name, &Spot::new(node, input, &before), value, None);
        }
        let both = other.is_some_and(|other| {
            let mut theirs = self.anatomy.spots(other).iter();
            theirs.any(|theirs| theirs.is_at(spot) && theirs.feeds == spot.feeds)
        });
        let encoder = spot.feeds.as_ref().map_or(&spot.node_id, |(node, _)| node);
        if !both {
            return self.set(name, spot, value, None);
        }
        if role == Role::Prompt {
            let note = format!("node {encoder} is the negative prompt too, which changed with it");
            self.changes.notes.push(note);
            return self.set(name, spot, value, None);
        }
        let edges = self.anatomy.edges.get(encoder).cloned().unwrap_or_default();
        if edges[1].is_empty() || !edges[0].is_disjoint(&edges[1]) {
            return Err(Misfit::NoPlace {
                name: name.to_owned(),
                reason: Some(format!("node {encoder} says the positive prompt with it")),
            });
        }
        let mut edges: Vec<(String, String)> = edges[1].iter().cloned().collect();
        edges.sort();
        let own = match &spot.feeds {
            Some((node, input)) => {
                let before = self.graph.input(node, input).cloned().unwrap_or_default();
                Spot::new(node, input, &before)
            }
            None => spot.clone(),
        };
        self.set(name, &own, value, Some(edges))
    }

    fn set(
        &mut self,
        name: &str,
        spot: &Spot,
        value: &Value,
        copy_for: Option<Vec<(String, String)>>,
    ) -> Result<(), Misfit> {
        let misfit = |at: &Spot, allowed: String| Misfit::Value {
            name: name.to_owned(),
            received: shown(value),
            place: format!("{} ({})", at.path(), self.graph.class_type(&at.node_id)),
            allowed,
        };
        let mut fitting = conform(self.declared(spot), &spot.value, value.clone())
            .map_err(|allowed| misfit(spot, allowed))?;
        if let Some((node, input)) = &spot.feeds {
            // A primitive takes any number; what it feeds does not.
            let end = Spot::new(node, input, &spot.value);
            fitting = conform(self.declared(&end), &spot.value, fitting)
                .map_err(|allowed| misfit(&end, allowed))?;
        }
        self.edits.push(Edit {
            node_id: spot.node_id.clone(),
            input: spot.input.clone(),
            value: fitting,
            copy_for,
        });
        Ok(())
    }

    fn declared(&self, spot: &Spot) -> Option<&Input> {
        self.graph.class(&spot.node_id)?.input(&spot.input)
    }

    /// Two samplers that share the steps keep their shares when there are more of them or fewer.
    fn move_marks(&mut self, first: &Spot, meant: &[&Spot], steps: &Value) {
        let (Some(before), Some(after)) = (first.value.as_u64(), steps.as_f64()) else {
            return;
        };
        for mark in &self.anatomy.marks {
            let mut own = meant.iter().flat_map(|spot| {
                let feeds = spot.feeds.as_ref().map(|(node, _)| node);
                [Some(&spot.node_id), feeds]
            });
            let node = mark.feeds.as_ref().map_or(&mark.node_id, |(node, _)| node);
            let belongs = mark.input == "step" || own.any(|own| own == Some(node));
            let Some(at) = mark.value.as_u64().filter(|at| (1..=before).contains(at)) else {
                continue;
            };
            if belongs {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "step counts are small"
                )]
                let moved = ((at as f64 * after / before as f64).round() as u64).max(1);
                self.edits.push(Edit {
                    node_id: mark.node_id.clone(),
                    input: mark.input.clone(),
                    value: json!(moved),
                    copy_for: None,
                });
            }
        }
    }

    /// A node's id and an input, of which ids of flattened subgraphs have a colon and some inputs
    /// a dot.
    fn exact(&self, name: &str) -> Option<(String, String)> {
        let mut dots = name.match_indices('.').map(|(at, _)| at);
        dots.find_map(|at| {
            let (node, input) = (&name[..at], &name[at + 1..]);
            self.graph
                .node(node)
                .map(|node| (node.id.to_owned(), input.to_owned()))
        })
    }

    fn set_exactly(
        &mut self,
        name: &str,
        node: &str,
        input: &str,
        value: &Value,
    ) -> Result<(), Misfit> {
        let before = self.graph.input(node, input).cloned();
        let spot = Spot::new(node, input, &before.clone().unwrap_or_default());
        if before.is_none() && self.declared(&spot).is_none() {
            let inputs = self.graph.node(node).and_then(|node| node.inputs());
            let names: Vec<&str> = inputs
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str())
                .collect();
            return Err(Misfit::NoPlace {
                name: name.to_owned(),
                reason: Some(format!(
                    "node {node} ({}) has {}",
                    self.graph.class_type(node),
                    names.join(", ")
                )),
            });
        }
        let is_link = value.as_array().is_some_and(|link| {
            let source = link.first().and_then(Value::as_str);
            link.len() == 2 && source.is_some_and(|id| self.graph.node(id).is_some())
        });
        if is_link {
            self.edits.push(Edit {
                node_id: node.to_owned(),
                input: input.to_owned(),
                value: value.clone(),
                copy_for: None,
            });
            return Ok(());
        }
        self.set(name, &spot, value, None)
    }

    /// All nodes that have an input of that name with one and the same value.
    fn set_everywhere(
        &mut self,
        name: &str,
        role: Option<Role>,
        value: &Value,
    ) -> Result<(), Misfit> {
        let spots = self.everywhere(name);
        let Some(first) = spots.first() else {
            return Err(Misfit::NoPlace {
                name: name.to_owned(),
                reason: role.and_then(|role| self.anatomy.reasons.get(&role).cloned()),
            });
        };
        if spots.iter().any(|spot| spot.value != first.value) {
            return Err(ambiguous(name, &spots));
        }
        for spot in &spots {
            self.set(name, spot, value, None)?;
        }
        Ok(())
    }

    /// All inputs of that name, in any letters, that hold a value.
    fn everywhere(&self, name: &str) -> Vec<Spot> {
        let mut spots: Vec<Spot> = Vec::new();
        for node in self.graph.nodes() {
            let own = self.graph.literals(node.id);
            spots.extend(
                own.filter(|(own, _)| own.eq_ignore_ascii_case(name))
                    .map(|(input, value)| Spot::new(node.id, input, value)),
            );
        }
        spots
    }
}

fn ambiguous(name: &str, spots: &[Spot]) -> Misfit {
    let places = spots
        .iter()
        .map(|spot| format!("{} = {}", spot.path(), shown(&spot.value)));
    Misfit::Ambiguous {
        name: name.to_owned(),
        places: places.collect(),
    }
}
