//! The whole prompt: every class known, some output there, and from each output up its links.
//!
//! The server recurses along the links and gives up somewhere below a thousand nodes; here a
//! list of open checks stands for the recursion, so that depth is no matter.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::comfy::nodes::{NodeClass, NodeFacts};

use super::node::{Found, NodeCheck, Shared, Step};
use super::own::{CoreValidation, OwnValidation};
use super::python::{self, Exception};
use super::replace;
use super::rules::Rules;
use super::verdict::{NodeErrors, Outcome, ServerError, Verdict};

/// Says what a server would say to a prompt.
pub struct Validator<'a> {
    facts: &'a NodeFacts,
    rules: Rules,
    own: &'a dyn OwnValidation,
}

impl<'a> Validator<'a> {
    /// A validator with the rules of the bundled version, which takes every uploaded file to
    /// exist.
    #[must_use]
    pub fn new(facts: &'a NodeFacts) -> Self {
        Self {
            facts,
            rules: Rules::default(),
            own: const { &CoreValidation { exists: None } },
        }
    }

    /// With the rules of another server version.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// With other knowledge of what classes check themselves.
    #[must_use]
    pub fn own_validation(mut self, own: &'a dyn OwnValidation) -> Self {
        self.own = own;
        self
    }

    /// What `POST /prompt` does with a prompt: old classes are replaced, then it is validated.
    #[must_use]
    pub fn receive(&self, prompt: &Value, targets: Option<&[String]>) -> Verdict {
        if !self.rules.replaces_nodes() {
            return self.validate(prompt, targets);
        }
        let mut prompt = prompt.clone();
        match replace::replace_old_classes(self.facts, &mut prompt) {
            Ok(()) => self.validate(&prompt, targets),
            Err(raised) => Verdict {
                outcome: Outcome::Raised(raised),
                prompt,
            },
        }
    }

    /// What the server's validator says. With `targets`, only these output nodes count
    /// (`partial_execution_targets`).
    #[must_use]
    pub fn validate(&self, prompt: &Value, targets: Option<&[String]>) -> Verdict {
        let targets = targets.filter(|_| self.rules.selects_outputs());
        let mut coerced = Vec::new();
        let outcome = match self.judge(prompt, targets, &mut coerced) {
            Ok(outcome) => outcome,
            Err(Stop::Rejected(error)) => Outcome::Rejected {
                error: *error,
                node_errors: Vec::new(),
            },
            Err(Stop::Raised(raised)) => Outcome::Raised(raised),
        };
        let mut prompt = prompt.clone();
        for (id, name, value) in coerced {
            prompt[id]["inputs"][&name] = value;
        }
        Verdict { outcome, prompt }
    }

    fn judge<'p>(
        &self,
        prompt: &'p Value,
        targets: Option<&[String]>,
        coerced: &mut Vec<(&'p str, String, Value)>,
    ) -> Result<Outcome, Stop>
    where
        'a: 'p,
    {
        let nodes = match prompt {
            Value::Object(nodes) => nodes,
            Value::Array(items) if items.is_empty() => return Err(no_outputs()),
            Value::String(text) if text.is_empty() => return Err(no_outputs()),
            other => return Err(Stop::Raised(not_a_prompt(other))),
        };
        let (classes, outputs) = self.survey(nodes, targets)?;
        if outputs.is_empty() {
            return Err(no_outputs());
        }
        let class_of = |id: &str| classes.get(id).copied();
        let shared = Shared {
            rules: &self.rules,
            own: self.own,
            class_of: &class_of,
        };
        let mut walk = Walk {
            nodes,
            shared,
            order: Vec::new(),
            results: HashMap::new(),
            coerced,
        };
        let mut good = Vec::new();
        let mut own_errors = Vec::new();
        let mut report = Report::default();
        for output in outputs {
            if walk.validate(output) {
                good.push(output.to_owned());
                continue;
            }
            for error in walk.errors(output) {
                own_errors.push(format!("{}: {}", error.message, error.details));
            }
            report.add(&walk, output);
        }
        let node_errors = report.nodes;
        if !good.is_empty() {
            return Ok(Outcome::Accepted {
                outputs: good,
                node_errors,
            });
        }
        let error = ServerError::new(
            "prompt_outputs_failed_validation",
            "Prompt outputs failed validation",
            own_errors.join("\n"),
            json!({}),
        );
        Ok(Outcome::Rejected { error, node_errors })
    }

    /// The class of every node and the outputs to run; stops at the first node without a class.
    fn survey<'p>(
        &self,
        nodes: &'p Map<String, Value>,
        targets: Option<&[String]>,
    ) -> Result<(HashMap<&'p str, &'a NodeClass>, Vec<&'p str>), Stop> {
        let mut classes = HashMap::with_capacity(nodes.len());
        let mut outputs = Vec::new();
        for (id, node) in nodes {
            let class_type = if python::contains(node, "class_type")? {
                Some(python::item(node, "class_type")?)
            } else {
                None
            };
            if let Some(unhashable @ (Value::Array(_) | Value::Object(_))) = class_type {
                return Err(Stop::Raised(Exception::unhashable(unhashable)));
            }
            let class = class_type
                .and_then(Value::as_str)
                .and_then(|name| self.facts.class(name));
            let Some(class) = class else {
                return Err(self.missing_class(id, node, class_type));
            };
            classes.insert(&**id, class);
            if class.is_output_node() && targets.is_none_or(|targets| targets.contains(id)) {
                outputs.push(&**id);
            }
        }
        Ok((classes, outputs))
    }

    fn missing_class(&self, id: &str, node: &Value, class_type: Option<&Value>) -> Stop {
        let details = format!("Node ID '#{id}'");
        if !self.rules.names_missing_classes() {
            let message = match class_type {
                Some(class) => format!(
                    "Cannot execute because node {} does not exist.",
                    python::text(class)
                ),
                None => {
                    "Cannot execute because a node is missing the class_type property.".to_owned()
                }
            };
            return Stop::reject(ServerError::new(
                "invalid_prompt",
                message,
                details,
                json!({}),
            ));
        }
        let title = match title(node) {
            Ok(title) => title.or(class_type),
            Err(raised) => return Stop::Raised(raised),
        };
        let message = match (class_type, title) {
            (Some(_), title) => format!(
                "Node '{}' not found. The custom node may not be installed.",
                python::text(title.unwrap_or_default())
            ),
            (None, title) => {
                let shown = title
                    .filter(|title| python::is_true(title))
                    .map(python::text);
                format!(
                    "Node '{}' has no class_type. The workflow may be corrupted or a custom node \
                     is missing.",
                    shown.unwrap_or_else(|| format!("ID #{id}"))
                )
            }
        };
        Stop::reject(ServerError::new(
            "missing_node_type",
            message,
            details,
            json!({ "node_id": id, "class_type": class_type, "node_title": title }),
        ))
    }
}

fn no_outputs() -> Stop {
    let error = ServerError::new("prompt_no_outputs", "Prompt has no outputs", "", json!({}));
    Stop::reject(error)
}

/// What comes of looking for nodes in something else.
fn not_a_prompt(prompt: &Value) -> Exception {
    let given = python::type_name(prompt);
    let message = match prompt {
        Value::Array(items) => {
            let key = items.first().map_or("NoneType", python::type_name);
            format!("list indices must be integers or slices, not {key}")
        }
        Value::String(_) => "string indices must be integers, not 'str'".to_owned(),
        _ => format!("'{given}' object is not iterable"),
    };
    Exception::new("TypeError", message)
}

/// `node.get("_meta", {}).get("title")`
fn title(node: &Value) -> Result<Option<&Value>, Exception> {
    let get = |value: &'_ Value| {
        let given = python::type_name(value);
        Exception::new(
            "AttributeError",
            format!("'{given}' object has no attribute 'get'"),
        )
    };
    let Value::Object(body) = node else {
        return Err(get(node));
    };
    match body.get("_meta") {
        None => Ok(None),
        Some(Value::Object(meta)) => Ok(meta.get("title")),
        Some(other) => Err(get(other)),
    }
}

/// Why a prompt is not even looked at node by node.
enum Stop {
    Rejected(Box<ServerError>),
    Raised(Exception),
}

impl Stop {
    fn reject(error: ServerError) -> Self {
        Self::Rejected(Box::new(error))
    }
}

impl From<Exception> for Stop {
    fn from(raised: Exception) -> Self {
        Self::Raised(raised)
    }
}

/// The way up the links, with what is known about the nodes so far.
struct Walk<'w, 'p> {
    nodes: &'p Map<String, Value>,
    shared: Shared<'w, 'p>,
    /// The nodes in the order in which their results came to be.
    order: Vec<&'p str>,
    results: HashMap<&'p str, NodeResult>,
    coerced: &'w mut Vec<(&'p str, String, Value)>,
}

#[derive(Default)]
struct NodeResult {
    is_bad: bool,
    errors: Vec<ServerError>,
}

/// A node whose check is under way.
struct Open<'p> {
    id: &'p str,
    check: NodeCheck<'p>,
}

impl<'p> Walk<'_, 'p> {
    /// Validates an output and all that is behind it; false if it can't run.
    fn validate(&mut self, output: &'p str) -> bool {
        let mut open: Vec<Open<'p>> = Vec::new();
        let mut entering = Some(output);
        loop {
            let step = match entering.take() {
                Some(id) => self.enter(id, &mut open),
                None => self.advance(&mut open),
            };
            match step {
                Ok(Some(next)) => entering = Some(next),
                Ok(None) if open.is_empty() => return !self.is_bad(output),
                Ok(None) => {}
                Err((id, raised)) => match open.last_mut() {
                    Some(parent) => {
                        parent.check.found.upstream_is_bad = true;
                        let error = raised_inside(parent, id, &raised, self.nodes);
                        self.set(id, error);
                    }
                    None => {
                        self.set(id, raised_at_output(&raised));
                        return false;
                    }
                },
            }
        }
    }

    /// Begins with a node, or takes over what is known about it.
    fn enter(
        &mut self,
        id: &'p str,
        open: &mut Vec<Open<'p>>,
    ) -> Result<Option<&'p str>, (&'p str, Exception)> {
        if self.results.contains_key(id) {
            self.tell_parent(id, open);
            return Ok(None);
        }
        if let Some(from) = open.iter().position(|node| node.id == id) {
            if self.shared.rules.reports_cycles() {
                self.report_cycle(&open[from..]);
            }
            if let Some(parent) = open.last_mut() {
                parent.check.found.upstream_is_bad = true;
            }
            return Ok(None);
        }
        let begun = match ((self.shared.class_of)(id), self.nodes.get(id)) {
            (Some(class), Some(body)) => NodeCheck::begin(&self.shared, class, body),
            _ => Err(Exception::key(&id.into())),
        };
        let check = begun.map_err(|raised| (id, raised))?;
        open.push(Open { id, check });
        Ok(None)
    }

    /// Goes on with the innermost open node.
    fn advance(
        &mut self,
        open: &mut Vec<Open<'p>>,
    ) -> Result<Option<&'p str>, (&'p str, Exception)> {
        let Some(node) = open.last_mut() else {
            return Ok(None);
        };
        let step = node.check.advance(&self.shared);
        if let Ok(Step::Follow(id)) = step {
            return Ok(Some(id));
        }
        let Some(Open { id, check }) = open.pop() else {
            return Ok(None);
        };
        let Found {
            errors,
            upstream_is_bad,
            coerced,
        } = check.found;
        let coerced = coerced
            .into_iter()
            .map(|(name, value)| (id, name.into_owned(), value));
        self.coerced.extend(coerced);
        step.map_err(|raised| (id, raised))?;
        let result = self.result(id);
        result.is_bad |= upstream_is_bad || !errors.is_empty();
        for error in errors {
            if !result.errors.contains(&error) {
                result.errors.push(error);
            }
        }
        self.tell_parent(id, open);
        Ok(None)
    }

    fn tell_parent(&self, id: &str, open: &mut [Open<'p>]) {
        if self.is_bad(id)
            && let Some(parent) = open.last_mut()
        {
            parent.check.found.upstream_is_bad = true;
        }
    }

    fn report_cycle(&mut self, cycle: &[Open<'p>]) {
        let named = |node: &Open<'_>| {
            let class = self
                .nodes
                .get(node.id)
                .and_then(|body| body.get("class_type"));
            format!("{} ({})", node.id, python::text(class.unwrap_or_default()))
        };
        let path: Vec<String> = cycle.iter().chain(cycle.first()).map(named).collect();
        let path = path.join(" -> ");
        let members: Vec<&str> = cycle.iter().map(|node| node.id).collect();
        for &id in &members {
            self.set(
                id,
                ServerError::new(
                    "dependency_cycle",
                    "Dependency cycle detected",
                    path.clone(),
                    json!({ "node_id": id, "cycle_nodes": members }),
                ),
            );
        }
    }

    fn result(&mut self, id: &'p str) -> &mut NodeResult {
        self.results.entry(id).or_insert_with(|| {
            self.order.push(id);
            NodeResult::default()
        })
    }

    /// Puts one error in place of all that was known about a node.
    fn set(&mut self, id: &'p str, error: ServerError) {
        *self.result(id) = NodeResult {
            is_bad: true,
            errors: vec![error],
        };
    }

    fn is_bad(&self, id: &str) -> bool {
        self.results.get(id).is_some_and(|result| result.is_bad)
    }

    fn errors(&self, id: &str) -> &[ServerError] {
        self.results
            .get(id)
            .map(|result| &*result.errors)
            .unwrap_or_default()
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

fn raised_inside(
    parent: &Open<'_>,
    id: &str,
    raised: &Exception,
    nodes: &Map<String, Value>,
) -> ServerError {
    let followed = parent.check.followed();
    let link = nodes
        .get(parent.id)
        .and_then(|body| body.get("inputs")?.get(&*followed.name));
    debug_assert!(
        link.is_some_and(|link| link[0] == id),
        "the node behind the followed link"
    );
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

/// The answer's `node_errors`, gathered output by output.
#[derive(Default)]
struct Report {
    nodes: Vec<NodeErrors>,
    at: HashMap<String, usize>,
}

impl Report {
    /// Takes over what is known when an output has failed. The server lists the output under
    /// every faulty node that it has seen so far, also where it does not depend on it.
    fn add(&mut self, walk: &Walk<'_, '_>, output: &str) {
        for id in &walk.order {
            let errors = walk.errors(id);
            if errors.is_empty() {
                continue;
            }
            let at = *self.at.entry((*id).to_owned()).or_insert_with(|| {
                let class_type = walk.nodes.get(*id).and_then(|body| body.get("class_type"));
                self.nodes.push(NodeErrors {
                    node_id: (*id).to_owned(),
                    class_type: class_type.cloned().unwrap_or_default(),
                    errors: errors.to_vec(),
                    dependent_outputs: Vec::new(),
                });
                self.nodes.len() - 1
            });
            self.nodes[at].dependent_outputs.push(output.to_owned());
        }
    }
}
