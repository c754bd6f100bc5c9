//! Runs one prompt: node by node in the order of the schedule, with the messages in the order in
//! which `ComfyUI` sends them. Runs on the worker's own thread.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::bench::Bench;
use super::cache::{Cache, Entry, Signature, sign};
use super::calls::{self, Called};
use super::graph::{Graph, Knowledge, NodeNotFound, Schedule, link};
use super::node::Raised;
use super::progress::Progress;
use super::queue::Item;
use super::report::{Raise, Report};
use super::value::Value;
use super::world::World;

/// What kills the real server's worker thread: the prompt stays in the queue for ever.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerDeath {
    #[error("KeyError: 'inputs' (node {0} has no inputs)")]
    NoInputs(String),
    #[error("NodeNotFoundError: Node {0} not found")]
    NodeNotFound(String),
}

impl From<NodeNotFound> for WorkerDeath {
    fn from(NodeNotFound(id): NodeNotFound) -> Self {
        Self::NodeNotFound(id)
    }
}

/// One prompt on its way.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) item: &'a Item,
    pub(super) graph: Graph,
    pub(super) progress: Progress,
    /// Results of earlier prompts and of this one.
    cache: &'a mut Cache,
    signatures: HashMap<String, Signature>,
    /// Results of this prompt, also of nodes whose signature does not keep.
    results: HashMap<String, Entry>,
    pub(super) schedule: Schedule,
    pub(super) executed: Vec<String>,
    shown: Map<String, Json>,
    expansions: HashMap<String, Vec<Called>>,
    pub(super) report: Report,
}

/// What came of a node's turn.
enum Turn {
    Done,
    /// It waits for lazy inputs or for its expansion.
    Waits,
    Failed,
}

impl<'a> Run<'a> {
    pub(super) fn new(world: &'a World, item: &'a Item, cache: &'a mut Cache) -> Self {
        Self {
            world,
            item,
            graph: Graph::new(item.prompt.clone()),
            progress: Progress::new(&item.id),
            cache,
            signatures: HashMap::new(),
            results: HashMap::new(),
            schedule: Schedule::default(),
            executed: Vec::new(),
            shown: Map::new(),
            expansions: HashMap::new(),
            report: Report::default(),
        }
    }

    /// The client that sent the prompt, if it said who it is.
    pub(super) fn client(&self) -> Option<&str> {
        self.item.extra_data.get("client_id").and_then(Json::as_str)
    }

    /// Executes the prompt to its end.
    pub(super) fn execute(mut self) -> Result<Report, WorkerDeath> {
        self.world.interrupt.reset();
        self.message("execution_start", Map::new(), false);
        self.sign_prompt()?;
        let cached: Vec<String> = self
            .item
            .prompt
            .keys()
            .filter(|id| self.results.contains_key(*id))
            .cloned()
            .collect();
        let nodes = Map::from_iter([("nodes".to_owned(), json!(cached))]);
        self.message("execution_cached", nodes, false);
        for id in self.item.outputs.clone() {
            self.with_schedule(|schedule, graph, knows| schedule.add(&id, graph, knows))?;
        }
        if self.run_schedule()? {
            self.show_intermediate_outputs();
            self.message("execution_success", Map::new(), false);
        } else {
            self.report.failed = true;
        }
        for (id, shown) in std::mem::take(&mut self.shown) {
            self.report
                .outputs
                .insert(id.clone(), shown["output"].clone());
            self.report.meta.insert(id, shown["meta"].clone());
        }
        self.world.set_current(None);
        Ok(self.report)
    }

    /// Signs every node and takes over what earlier prompts have left.
    fn sign_prompt(&mut self) -> Result<(), WorkerDeath> {
        for id in self.item.prompt.keys() {
            if self.graph.inputs(id).is_none() {
                return Err(WorkerDeath::NoInputs(id.clone()));
            }
            sign(id, &self.graph, self.world, &mut self.signatures);
        }
        self.cache.begin(&self.signatures);
        for id in self.item.prompt.keys() {
            if let Some(entry) = self.cache.get(&self.signatures[id]) {
                self.results.insert(id.clone(), entry);
            }
        }
        Ok(())
    }

    /// Executes what is scheduled; false if a node failed.
    fn run_schedule(&mut self) -> Result<bool, WorkerDeath> {
        while !self.schedule.is_empty() {
            let knowledge = self.knowledge();
            let Some(id) = self.schedule.next(&knowledge) else {
                self.fail_cycle();
                return Ok(false);
            };
            match self.turn(&id)? {
                Turn::Done => self.schedule.complete(&id),
                Turn::Waits => {}
                Turn::Failed => return Ok(false),
            }
        }
        Ok(true)
    }

    fn turn(&mut self, id: &str) -> Result<Turn, WorkerDeath> {
        // A node with the same signature may have been executed earlier in this prompt.
        let signature = self.signature(id);
        if !self.results.contains_key(id)
            && let Some(entry) = self.cache.get(&signature)
        {
            self.results.insert(id.to_owned(), entry);
        }
        if let Some(entry) = self.results.get(id).cloned() {
            self.show_cached(id, &entry);
            self.progress.finish(id, &self.graph);
            self.send_progress_state();
            return Ok(Turn::Done);
        }
        let called = match self.expansions.remove(id) {
            Some(called) => Ok(self.resolve(called)),
            None => match self.start(id)? {
                Some(called) => called,
                None => return Ok(Turn::Waits),
            },
        };
        match called {
            Ok(called) => self.finish(id, called),
            Err(raise) => {
                self.fail(id, &raise);
                Ok(Turn::Failed)
            }
        }
    }

    /// Calls the node; nothing if it first needs lazy inputs.
    fn start(&mut self, id: &str) -> Result<Option<Result<Vec<Called>, Raise>>, WorkerDeath> {
        let class = self.graph.class(id).to_owned();
        self.progress.start(id, &self.graph);
        self.send_progress_state();
        let inputs = self.gather(id);
        if let Some(client) = self.client() {
            let display = self.graph.display(id);
            self.world.set_current(Some((client, display)));
            let data = json!({ "node": id, "display_node": display, "prompt_id": self.item.id });
            self.world.hub.send("executing", &data, Some(client));
        }
        self.world.node_starts(id, &class);
        let mut waits = false;
        for name in self.needed(&class, &inputs) {
            let value = self
                .graph
                .inputs(id)
                .and_then(|inputs| inputs.get(&name))
                .cloned();
            if let Some((from, _)) = value.as_ref().and_then(link)
                && !self.results.contains_key(from)
            {
                self.with_schedule(|schedule, graph, knows| {
                    schedule.wait_for(from, id, graph, knows)
                })?;
                waits = true;
            }
        }
        if waits {
            return Ok(None);
        }
        let signature = self.signature(id);
        let mut bench = Bench::new(self, id);
        let called = calls::call(&mut bench, id, &class, &inputs, &signature.hash);
        Ok(Some(called.map_err(|raised| Raise::new(raised, &inputs))))
    }

    /// The lazy inputs that the node wants: all of them, unless its type knows better.
    fn needed(&self, class: &str, inputs: &calls::Gathered) -> Vec<String> {
        if let Some(node) = self.world.catalog.node(class) {
            let slices = calls::slices(inputs, false);
            return slices.iter().flat_map(|slice| node.needs(slice)).collect();
        }
        let shape = self.world.catalog.shape(class);
        let lazy = shape.inputs.iter().filter(|input| input.lazy);
        lazy.map(|input| input.name.clone()).collect()
    }

    /// Merges a node's calls, shows what there is to show, and keeps the result.
    fn finish(&mut self, id: &str, called: Vec<Called>) -> Result<Turn, WorkerDeath> {
        if let Some(ui) = calls::merge_ui(&called) {
            let meta = json!({
                "node_id": id,
                "display_node": self.graph.display(id),
                "parent_node": self.graph.parent(id),
                "real_node_id": self.graph.real(id),
            });
            self.executed_event(id, &ui);
            self.shown
                .insert(id.to_owned(), json!({ "meta": meta, "output": ui }));
        }
        if called
            .iter()
            .any(|called| called.outcome.expansion.is_some())
        {
            return self.expand(id, called);
        }
        let shape = self.world.catalog.shape(self.graph.class(id));
        let entry = Entry {
            outputs: Arc::new(calls::merge_outputs(&shape, called)),
            ui: self.shown.get(id).cloned().map(Arc::new),
        };
        let signature = self.signature(id);
        self.cache.put(&signature, entry.clone());
        self.results.insert(id.to_owned(), entry);
        self.progress.finish(id, &self.graph);
        self.send_progress_state();
        self.executed.push(id.to_owned());
        Ok(Turn::Done)
    }

    /// Puts the nodes of an expansion into the graph and lets the node wait for them.
    fn expand(&mut self, id: &str, mut called: Vec<Called>) -> Result<Turn, WorkerDeath> {
        for one in &mut called {
            one.outcome.ui = None;
            let Some(nodes) = one.outcome.expansion.take() else {
                continue;
            };
            let ids: Vec<String> = nodes.keys().cloned().collect();
            if let Err(taken) = self.graph.expand(id, nodes) {
                let raised = Raised::new(
                    "comfy_execution.graph.DuplicateNodeError",
                    format!(
                        "Attempt to add duplicate node {taken}. Ensure node ids are unique and deterministic or use graph_utils.GraphBuilder."
                    ),
                );
                self.fail(id, &raised.into());
                return Ok(Turn::Failed);
            }
            for node in ids {
                if self.world.catalog.shape(self.graph.class(&node)).is_output {
                    self.with_schedule(|schedule, graph, knows| schedule.add(&node, graph, knows))?;
                }
            }
            for (from, _) in one.outcome.links.iter().flatten() {
                self.with_schedule(|schedule, graph, knows| {
                    schedule.wait_for(from, id, graph, knows)
                })?;
            }
        }
        self.expansions.insert(id.to_owned(), called);
        Ok(Turn::Waits)
    }

    /// Fills in what an expansion's nodes have computed.
    fn resolve(&self, mut called: Vec<Called>) -> Vec<Called> {
        for one in &mut called {
            let links = std::mem::take(&mut one.outcome.links);
            for (slot, link) in links.into_iter().enumerate() {
                let Some((from, from_slot)) = link else {
                    continue;
                };
                let members = self
                    .results
                    .get(&from)
                    .and_then(|entry| entry.outputs.get(from_slot));
                let value = members.and_then(|members| members.first()).cloned();
                if one.outcome.outputs.len() <= slot {
                    one.outcome
                        .outputs
                        .resize(slot + 1, Value::Json(Json::Null));
                }
                one.outcome.outputs[slot] = value.unwrap_or(Value::Json(Json::Null));
            }
        }
        called
    }

    /// The inputs of a node: per name the list of members that have come.
    fn gather(&self, id: &str) -> calls::Gathered {
        let mut gathered = calls::Gathered::new();
        for (name, value) in self.graph.inputs(id).into_iter().flatten() {
            let Some((from, slot)) = link(value) else {
                gathered.insert(name.clone(), vec![Value::Json(value.clone())]);
                continue;
            };
            let Some(entry) = self.results.get(from) else {
                continue;
            };
            // A negative slot counts from the end, as a Python index does.
            let count = i64::try_from(entry.outputs.len()).unwrap_or(i64::MAX);
            let slot = usize::try_from(if slot < 0 { count + slot } else { slot });
            let members = slot.ok().and_then(|slot| entry.outputs.get(slot));
            gathered.insert(name.clone(), members.cloned().unwrap_or_default());
        }
        gathered
    }

    fn signature(&mut self, id: &str) -> Signature {
        sign(id, &self.graph, self.world, &mut self.signatures)
    }

    fn knowledge(&self) -> Known<'_> {
        Known {
            world: self.world,
            graph: &self.graph,
            results: &self.results,
        }
    }

    fn with_schedule(
        &mut self,
        work: impl FnOnce(&mut Schedule, &Graph, &dyn Knowledge) -> Result<(), NodeNotFound>,
    ) -> Result<(), NodeNotFound> {
        let knowledge = Known {
            world: self.world,
            graph: &self.graph,
            results: &self.results,
        };
        work(&mut self.schedule, &self.graph, &knowledge)
    }

    fn show_cached(&mut self, id: &str, entry: &Entry) {
        let output = entry
            .ui
            .as_ref()
            .map_or(Json::Null, |ui| ui["output"].clone());
        self.executed_event(id, &output);
        if let Some(ui) = &entry.ui {
            self.shown.insert(id.to_owned(), (**ui).clone());
        }
    }

    /// Classes that say so show their cached results even if nothing made them run again.
    fn show_intermediate_outputs(&mut self) {
        let ids: Vec<String> = self.graph.ids().cloned().collect();
        for id in ids {
            if self.executed.contains(&id)
                || self.shown.contains_key(&id)
                || !self
                    .world
                    .catalog
                    .shape(self.graph.class(&id))
                    .has_intermediate_output
            {
                continue;
            }
            if let Some(entry) = self.results.get(&id).cloned() {
                self.show_cached(&id, &entry);
            }
        }
    }

    fn executed_event(&self, id: &str, output: &Json) {
        if let Some(client) = self.client() {
            let data = json!({
                "node": id,
                "display_node": self.graph.display(id),
                "output": output,
                "prompt_id": self.item.id,
            });
            self.world.hub.send("executed", &data, Some(client));
        }
    }

    pub(super) fn send_progress_state(&self) {
        if self.world.release.has_features() {
            self.world
                .hub
                .send("progress_state", &self.progress.state(), self.client());
        }
    }
}

struct Known<'a> {
    world: &'a World,
    graph: &'a Graph,
    results: &'a HashMap<String, Entry>,
}

impl Knowledge for Known<'_> {
    fn is_cached(&self, id: &str) -> bool {
        self.results.contains_key(id)
    }

    fn is_lazy(&self, id: &str, input: &str) -> bool {
        let shape = self.world.catalog.shape(self.graph.class(id));
        shape.input(input).is_some_and(|input| input.lazy)
    }

    fn is_output(&self, id: &str) -> bool {
        self.world.catalog.shape(self.graph.class(id)).is_output
    }
}
