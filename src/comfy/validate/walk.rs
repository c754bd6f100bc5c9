//! From an output up its links, node by node.
//!
//! The server recurses along the links and gives up somewhere below a thousand nodes; here a
//! list of open checks stands for the recursion, so that depth is no matter.

use serde_json::{Value, json};

use super::node::{NodeCheck, Shared, Step};
use super::python::Exception;
use super::verdict::ServerError;

/// Python gives up a recursion of so many calls (its default limit).
pub const DEEPEST: usize = 1000;

/// So many nodes of a cycle that is longer are named.
const SHOWN: usize = 8;

/// What is known about the nodes so far, one output after the other.
pub(super) struct Walk<'w, 'p> {
    shared: &'w Shared<'w, 'p>,
    results: Vec<NodeResult>,
    /// The nodes in the order in which their results came to be.
    order: Vec<usize>,
    /// Node, input and the value that the server writes there.
    pub(super) coerced: Vec<(usize, String, Value)>,
    /// How many nodes were open at once at most: as deep as the server recurses.
    pub(super) depth: usize,
}

#[derive(Clone, Default)]
struct NodeResult {
    is_known: bool,
    is_bad: bool,
    is_open: bool,
    errors: Vec<ServerError>,
}

/// A node whose check is under way.
struct Open<'p> {
    node: usize,
    check: NodeCheck<'p>,
}

/// An exception that ended the check of a node.
struct Raised {
    node: usize,
    exception: Exception,
}

impl<'w, 'p> Walk<'w, 'p> {
    pub(super) fn new(shared: &'w Shared<'w, 'p>) -> Self {
        Self {
            shared,
            results: vec![NodeResult::default(); shared.nodes.len()],
            order: Vec::new(),
            coerced: Vec::new(),
            depth: 0,
        }
    }

    /// Validates an output and all that is behind it; false if it can't run.
    pub(super) fn validate(&mut self, output: usize) -> bool {
        let mut open: Vec<Open<'p>> = Vec::new();
        let mut entering = Some(output);
        loop {
            let step = match entering.take() {
                Some(node) => self.enter(node, &mut open).map(|()| None),
                None => self.advance(&mut open),
            };
            match step {
                Ok(Some(next)) => entering = Some(next),
                Ok(None) if open.is_empty() => return !self.results[output].is_bad,
                Ok(None) => {}
                Err(raised) => {
                    let error = match open.last_mut() {
                        Some(parent) => {
                            parent.check.found.upstream_is_bad = true;
                            raised_inside(parent, &raised.exception)
                        }
                        None => raised_at_output(&raised.exception),
                    };
                    self.set(raised.node, error);
                    if open.is_empty() {
                        return false;
                    }
                }
            }
        }
    }

    /// How many nodes have a result.
    pub(super) fn results(&self) -> usize {
        self.order.len()
    }

    /// Nodes with errors of their own, in the order in which that came out, without the first so
    /// many results.
    pub(super) fn faulty_from(&self, seen: usize) -> impl Iterator<Item = (usize, &[ServerError])> {
        let new = self.order.iter().skip(seen);
        let errors = new.map(|&node| (node, self.errors(node)));
        errors.filter(|(_, errors)| !errors.is_empty())
    }

    pub(super) fn errors(&self, node: usize) -> &[ServerError] {
        &self.results[node].errors
    }

    /// Begins with a node, or takes over what is known about it.
    fn enter(&mut self, node: usize, open: &mut Vec<Open<'p>>) -> Result<(), Raised> {
        let result = &self.results[node];
        if result.is_known {
            tell_parent(result.is_bad, open);
        } else if result.is_open {
            if self.shared.rules.reports_cycles() {
                self.report_cycle(node, open);
            }
            tell_parent(true, open);
        } else {
            let check = NodeCheck::begin(self.shared, self.shared.nodes.at(node))
                .map_err(|exception| Raised { node, exception })?;
            self.results[node].is_open = true;
            open.push(Open { node, check });
            self.depth = self.depth.max(open.len());
        }
        Ok(())
    }

    /// Goes on with the innermost open node, until a link leads on.
    fn advance(&mut self, open: &mut Vec<Open<'p>>) -> Result<Option<usize>, Raised> {
        let Some(innermost) = open.last_mut() else {
            return Ok(None);
        };
        let step = innermost.check.advance(self.shared);
        if let Ok(Step::Follow(node)) = step {
            return Ok(Some(node));
        }
        let Some(Open { node, check }) = open.pop() else {
            return Ok(None);
        };
        self.results[node].is_open = false;
        let NodeCheck { notes, found, .. } = check;
        let coerced = notes.coerced.into_iter();
        self.coerced
            .extend(coerced.map(|(name, value)| (node, name.into_owned(), value)));
        step.map_err(|exception| Raised { node, exception })?;
        let result = self.known(node);
        result.is_bad |= found.upstream_is_bad || !found.errors.is_empty();
        for error in found.errors {
            // A cycle may have left errors here already.
            if !result.errors.contains(&error) {
                result.errors.push(error);
            }
        }
        tell_parent(result.is_bad, open);
        Ok(None)
    }

    fn report_cycle(&mut self, node: usize, open: &[Open<'p>]) {
        let from = open
            .iter()
            .rposition(|open| open.node == node)
            .unwrap_or_default();
        let nodes = self.shared.nodes;
        let mut cycle: Vec<usize> = open[from..].iter().map(|open| open.node).collect();
        if cycle.len() > DEEPEST {
            // The server gives up long before it comes round.
            cycle.truncate(SHOWN);
        }
        let named = |&node: &usize| {
            let node = nodes.at(node);
            format!("{} ({})", node.id, node.class.name())
        };
        let path: Vec<String> = cycle.iter().chain(cycle.first()).map(named).collect();
        let path = path.join(" -> ");
        let ids: Vec<&str> = cycle.iter().map(|&node| nodes.at(node).id).collect();
        for (&node, id) in cycle.iter().zip(&ids) {
            self.set(
                node,
                ServerError::new(
                    "dependency_cycle",
                    "Dependency cycle detected",
                    path.clone(),
                    json!({ "node_id": id, "cycle_nodes": ids }),
                ),
            );
        }
    }

    fn known(&mut self, node: usize) -> &mut NodeResult {
        let result = &mut self.results[node];
        if !result.is_known {
            result.is_known = true;
            self.order.push(node);
        }
        result
    }

    /// Puts one error in place of all that was known about a node.
    fn set(&mut self, node: usize, error: ServerError) {
        let result = self.known(node);
        result.is_bad = true;
        result.errors = vec![error];
    }
}

fn tell_parent(is_bad: bool, open: &mut [Open<'_>]) {
    if is_bad && let Some(parent) = open.last_mut() {
        parent.check.found.upstream_is_bad = true;
    }
}

fn raised_at_output(raised: &Exception) -> ServerError {
    ServerError::new(
        "exception_during_validation",
        "Exception when validating node",
        &*raised.message,
        json!({ "exception_type": raised.kind, "traceback": [] }),
    )
}

fn raised_inside(parent: &Open<'_>, raised: &Exception) -> ServerError {
    let (followed, link) = parent.check.followed();
    ServerError::new(
        "exception_during_inner_validation",
        "Exception when validating inner node",
        &*raised.message,
        json!({
            "input_name": followed.name,
            "input_config": followed.input.config(),
            "exception_message": raised.message,
            "exception_type": raised.kind,
            "traceback": [],
            "linked_node": link,
        }),
    )
}
