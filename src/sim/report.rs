//! What is told of a run: to the history, to those who listen, and of what went wrong.

use serde_json::{Map, Value as Json, json};

use super::calls::Gathered;
use super::executor::Run;
use super::node::Raised;
use super::queue::Item;
use super::value::Value;

/// What `/history` gets to know about a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) outputs: Map<String, Json>,
    pub(super) meta: Map<String, Json>,
    pub(super) messages: Vec<Json>,
    pub(super) failed: bool,
}

impl Report {
    /// The history's entry, in the real one's order of keys.
    pub(super) fn entry(self, item: &Item) -> Json {
        let status = if self.failed { "error" } else { "success" };
        json!({
            "prompt": item.to_json(),
            "outputs": self.outputs,
            "status": {
                "status_str": status,
                "completed": !self.failed,
                "messages": self.messages,
            },
            "meta": self.meta,
        })
    }
}

/// What a node raised, and the inputs it saw.
#[derive(Debug)]
pub(super) struct Raise {
    raised: Raised,
    inputs: Map<String, Json>,
}

impl Raise {
    pub(super) fn new(raised: Raised, inputs: &Gathered) -> Self {
        let inputs = described(inputs);
        Self { raised, inputs }
    }
}

impl From<Raised> for Raise {
    /// Raised before there were inputs.
    fn from(raised: Raised) -> Self {
        let inputs = Map::new();
        Self { raised, inputs }
    }
}

impl Run<'_> {
    /// A block reached the node with a message: it is reported, and the run goes on.
    pub(super) fn report_block(&self, id: &str, message: &str) {
        let data = json!({
            "prompt_id": self.item.id,
            "node_id": id,
            "node_type": self.graph.class(id),
            "executed": self.executed,
            "exception_message": format!("Execution Blocked: {message}"),
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        });
        self.world.hub.send("execution_error", &data, self.client());
    }

    /// Ends the run with what a node raised.
    pub(super) fn fail(&mut self, id: &str, raise: &Raise) {
        let real = self.graph.real(id).to_owned();
        let class = self.graph.class(&real).to_owned();
        let mut data = Map::from_iter([
            ("node_id".to_owned(), json!(real)),
            ("node_type".to_owned(), json!(class)),
            ("executed".to_owned(), json!(self.executed)),
        ]);
        let Raised::Exception { kind, message } = &raise.raised else {
            self.message("execution_interrupted", data, true);
            return;
        };
        let current: Vec<&String> = self.item.prompt.keys().collect();
        data.extend([
            (
                "exception_message".to_owned(),
                json!(format!("{message}\n{}", tips(kind))),
            ),
            ("exception_type".to_owned(), json!(kind)),
            ("traceback".to_owned(), json!(traceback(&class, kind))),
            ("current_inputs".to_owned(), json!(raise.inputs)),
            ("current_outputs".to_owned(), json!(current)),
        ]);
        self.message("execution_error", data, false);
    }

    /// Ends the run because what is left waits for itself.
    pub(super) fn fail_cycle(&mut self) {
        let id = self.schedule.any().cloned().unwrap_or_default();
        let raised = Raised::new("graph.DependencyCycleError", "Dependency cycle detected");
        self.fail(&id, &raised.into());
    }

    /// One of the messages that the history keeps too.
    pub(super) fn message(&mut self, event: &str, data: Map<String, Json>, broadcast: bool) {
        let mut message = Map::from_iter([("prompt_id".to_owned(), json!(self.item.id))]);
        message.extend(data);
        message.insert(
            "timestamp".to_owned(),
            json!(self.world.clock.now().as_millisecond()),
        );
        let message = Json::Object(message);
        self.report.messages.push(json!([event, message]));
        if broadcast || self.client().is_some() {
            self.world.hub.send(event, &message, self.client());
        }
    }
}

fn described(inputs: &Gathered) -> Map<String, Json> {
    let describe = |values: &Vec<Value>| values.iter().map(Value::describe).collect::<Json>();
    inputs
        .iter()
        .map(|(name, values)| (name.clone(), describe(values)))
        .collect()
}

/// What the server adds to the message when it knows better.
fn tips(kind: &str) -> &'static str {
    if kind == "torch.OutOfMemoryError" {
        "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before \
         you might have accidentally set the batch_size to a large number."
    } else {
        ""
    }
}

fn traceback(class: &str, kind: &str) -> [String; 2] {
    [
        "  File \"execution.py\", in execute\n    output_data, output_ui, has_subgraph, \
         has_pending_tasks = await get_output_data(prompt_id, unique_id, obj, input_data_all)\n"
            .to_owned(),
        format!("  File \"simulator\", in {class}\n    raise {kind}\n"),
    ]
}
