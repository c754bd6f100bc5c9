//! Running a script: on a thread of its own, within limits, until its end or its caller's.
//!
//! Scripts block while they wait for the server, so they never run on the async workers; and a
//! debug build's interpreter needs far more stack than a usual thread has.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use rhai::{Dynamic, Engine, Scope};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::answers::{self, Listing, Wrong};
use super::budget::Budget;
use super::compile::LIST;
use super::conversation::Message;
use super::explain::{explained, wrong_result, wrong_result_of};
use super::graph::Conversions;
use super::handles::WorkflowHandle;
use super::host::Context;
use super::limits::Passed;
use super::media::hand_over;
use super::reply::Resource;
use super::steps::Steps;
use super::submissions::Submissions;
use super::value::to_dynamic;
use super::{
    Caller, Generation, Host, Kind, Limit, Reply, Script, ScriptError, Served, Type, engine,
};
use crate::comfy::Workflow;
use crate::failure::{Code, Failure};

/// Runs scripts against a host.
#[derive(Clone, Debug)]
pub struct Runner {
    host: Arc<Host>,
}

impl Runner {
    /// A runner of scripts, each within the limits of its generation.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        Self { host }
    }

    /// The services that the scripts use.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Checks `given` against the declaration of a script, runs it and returns what it made: a
    /// template's workflow or what a tool or pipeline replies. Graphs in the editor's format are
    /// converted on the way.
    pub async fn run(
        &self,
        generation: Arc<Generation>,
        served: Served,
        mut given: Map<String, Value>,
        caller: Caller,
    ) -> Result<Reply, ScriptError> {
        let converted = Conversions::of(&self.host, &served, &mut given).await;
        let converted = converted.map_err(ScriptError::Arguments)?;
        let arguments = served.script.arguments(given)?;
        let mut reply = self
            .on_own_thread(generation, served, arguments, caller, call)
            .await?;
        converted.tell(&mut reply);
        Ok(reply)
    }

    /// The messages of a prompt.
    pub async fn messages(
        &self,
        generation: Arc<Generation>,
        served: Served,
        given: Map<String, Value>,
        caller: Caller,
    ) -> Result<Vec<Message>, ScriptError> {
        let script = &served.script;
        let arguments = script.arguments(script.declaration.from_text(given))?;
        let messages = |script: &Script, context: &Arc<Context>| {
            let made = evaluate(script, context)?;
            answers::messages(&made).map_err(|wrong| wrong_result(script, &wrong, &made))
        };
        self.on_own_thread(generation, served, arguments, caller, messages)
            .await
    }

    /// What stands at the address `uri` of a resource, whose variables are `given`.
    pub async fn read(
        &self,
        generation: Arc<Generation>,
        served: Served,
        uri: &str,
        given: Map<String, Value>,
        caller: Caller,
    ) -> Result<Vec<Resource>, ScriptError> {
        let script = &served.script;
        let arguments = script.arguments(script.declaration.from_text(given))?;
        let uri = uri.to_owned();
        let contents = move |script: &Script, context: &Arc<Context>| {
            let made = evaluate(script, context)?;
            answers::contents(&made, &uri, &script.declaration)
                .map_err(|wrong| wrong_result(script, &wrong, &made))
        };
        self.on_own_thread(generation, served, arguments, caller, contents)
            .await
    }

    /// What a resource lists, from its beginning or from where a listing said that more follows.
    pub async fn list(
        &self,
        generation: Arc<Generation>,
        served: Served,
        after: Option<Value>,
        caller: Caller,
    ) -> Result<Listing, ScriptError> {
        let list = move |script: &Script, context: &Arc<Context>| listing(script, context, after);
        self.on_own_thread(generation, served, Map::new(), caller, list)
            .await
    }

    /// Does something with a script whose arguments were checked.
    pub(super) async fn on_own_thread<T: Send + 'static>(
        &self,
        generation: Arc<Generation>,
        served: Served,
        arguments: Map<String, Value>,
        caller: Caller,
        work: impl FnOnce(&Script, &Arc<Context>) -> Result<T, ScriptError> + Send + 'static,
    ) -> Result<T, ScriptError> {
        // A caller that goes away takes its script along.
        let stop = caller.cancel.child_token();
        let _gone = stop.clone().drop_guard();
        // What a run that is gone through again has on the server ends with it.
        let before = caller.journal.iter();
        let before = before.flat_map(|journal| journal.prompt_ids());
        let before = before.collect::<Vec<_>>().into_iter();
        let steps = caller
            .journal
            .clone()
            .map(|journal| Arc::new(Steps::new(journal)));
        let limits = match served.script.key.kind {
            Kind::Hook => generation.limits.with(Limit::Jobs, 0),
            _ => generation.limits,
        };
        let budget = Arc::new(Budget::new(limits, stop.clone()));
        let context = Arc::new(Context {
            host: self.host.clone(),
            runtime: Handle::current(),
            generation,
            caller,
            stop,
            script: served.reference(),
            parameters: arguments,
            regenerated_from: None,
            budget,
            submissions: Arc::new(Submissions::of(before)),
            exchanges: Arc::default(),
            steps,
            depth: 0,
            beside: 0,
            places: Arc::default(),
            within: None,
        });
        let cancel = context.caller.cancel.clone();
        let submissions = context.submissions.clone();
        let work = move || {
            context.budget.begin();
            work(&served.script, &context)
        };
        let result = on_own_thread(limits.stack(), work).await;
        if cancel.is_cancelled() {
            submissions.cancel(&self.host.comfy).await;
        }
        result
    }
}

/// Expands a template: a function of its parameters, so it needs no host.
pub fn build(
    generation: &Generation,
    name: &str,
    given: Map<String, Value>,
) -> Result<Workflow, ScriptError> {
    let script = &generation.get(Kind::Template, name)?.script;
    let arguments = script.arguments(given)?;
    let budget = Arc::new(Budget::new(generation.limits, CancellationToken::new()));
    let build = || build_checked(generation, script, arguments, &budget);
    Ok(budget.alone(build)?.into_workflow())
}

/// The same on a thread of its own, with the stack that scripts need.
pub async fn build_apart(
    generation: Arc<Generation>,
    name: String,
    given: Map<String, Value>,
) -> Result<Workflow, ScriptError> {
    let stack = generation.limits.stack();
    on_own_thread(stack, move || build(&generation, &name, given)).await
}

/// A template's workflow for each of several sets of arguments, or why there is none.
pub async fn build_each_apart(
    generation: Arc<Generation>,
    name: String,
    sets: Vec<Map<String, Value>>,
) -> Result<Vec<Result<Workflow, ScriptError>>, ScriptError> {
    let stack = generation.limits.stack();
    let build = move |given| build(&generation, &name, given);
    on_own_thread(stack, move || Ok(sets.into_iter().map(build).collect())).await
}

/// Expands a template whose arguments were checked.
pub(super) fn build_checked(
    generation: &Generation,
    script: &Script,
    arguments: Map<String, Value>,
    budget: &Arc<Budget>,
) -> Result<WorkflowHandle, ScriptError> {
    let mut engine = engine::running(budget, generation.libraries_of(script), true);
    let knowledge = script.quoted.as_ref();
    let knowledge = knowledge.unwrap_or_else(|| generation.knowledge());
    engine.set_default_tag(Dynamic::from(knowledge.clone()));
    let made = enter(&engine, generation, script, arguments)?;
    made.try_cast_result::<WorkflowHandle>()
        .map_err(|made| wrong_result(script, "return the workflow that it made", &made))
}

/// Runs a script that may have effects, within the present thread.
pub(super) fn call(script: &Script, context: &Arc<Context>) -> Result<Reply, ScriptError> {
    if script.key.kind == Kind::Template {
        let workflow = build_checked(
            &context.generation,
            script,
            handed_over(script, context)?,
            &context.budget,
        )?;
        return Ok(Reply {
            nodes: workflow.made(),
            ..workflow.snapshot().into_json().into()
        });
    }
    let made = evaluate(script, context)?;
    if script.key.kind == Kind::Prompt {
        let messages = answers::messages(&made);
        let messages = messages.map_err(|wrong| wrong_result(script, &wrong, &made))?;
        let said = messages.into_iter().flat_map(|message| message.content);
        return Ok(Reply {
            content: said.collect(),
            ..Reply::default()
        });
    }
    let reply = answers::reply(&made);
    let mut reply = reply.map_err(|error| wrong_result(script, &error.to_string(), &made))?;
    if context.depth == 0 {
        context.exchanges.tell(&mut reply);
    }
    Ok(reply)
}

/// The arguments of a template with the media that they name on the server.
fn handed_over(script: &Script, context: &Arc<Context>) -> Result<Map<String, Value>, ScriptError> {
    let mut arguments = context.parameters.clone();
    let handed_over = hand_over(&context.host, &script.declaration, &mut arguments);
    let handing_over = async {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Err(ScriptError::Cancelled),
            result = handed_over => result.map_err(ScriptError::Arguments),
        }
    };
    let handed_over = context
        .budget
        .apart(|| context.runtime.block_on(handing_over));
    let bytes = handed_over?;
    if context.budget.write(bytes).is_err() {
        let failure = context.budget.passed().map(Passed::failure);
        return Err(failure.map_or(ScriptError::Cancelled, ScriptError::Arguments));
    }
    Ok(arguments)
}

/// Runs a script and gives what it returned.
fn evaluate(script: &Script, context: &Arc<Context>) -> Result<Dynamic, ScriptError> {
    let engine = engine_of(script, context);
    enter(
        &engine,
        &context.generation,
        script,
        context.parameters.clone(),
    )
}

/// What a resource lists, or nothing if it lists nothing.
fn listing(
    script: &Script,
    context: &Arc<Context>,
    after: Option<Value>,
) -> Result<Listing, ScriptError> {
    let (Some(template), Some(arity)) = (&script.uri, script.arity(LIST)) else {
        return Ok(Listing::default());
    };
    let after = after.map_or(Dynamic::UNIT, to_dynamic);
    let arguments = if arity == 0 { vec![] } else { vec![after] };
    let engine = engine_of(script, context);
    let made = call_function(&engine, &context.generation, script, LIST, arguments)?;
    let wrong = |wrong: Wrong| wrong_result_of(LIST, script, &wrong, &made);
    answers::listing(&made, template).map_err(wrong)
}

/// The engine of a script that may have effects.
pub(super) fn engine_of(script: &Script, context: &Arc<Context>) -> Engine {
    let libraries = context.generation.libraries_of(script);
    let mut engine = engine::running(&context.budget, libraries, script.key.kind.is_pure());
    carry(&mut engine, context);
    engine
}

/// Lets the bindings find the context.
pub(super) fn carry(engine: &mut Engine, context: &Arc<Context>) {
    engine.set_default_tag(Dynamic::from(context.clone()));
}

/// An engine for what goes on beside the script of a context, on a thread of its own.
pub(super) fn engine_beside(context: &Arc<Context>) -> Engine {
    let kind = Kind::named(&context.script.kind);
    let served = kind.and_then(|kind| context.generation.get(kind, &context.script.name).ok());
    let libraries = served.map(|served| served.libraries.clone());
    let mut engine = engine::running(&context.budget, &libraries.unwrap_or_default(), false);
    carry(&mut engine, context);
    engine
}

/// Calls the entry function of a script.
fn enter(
    engine: &Engine,
    generation: &Generation,
    script: &Script,
    arguments: Map<String, Value>,
) -> Result<Dynamic, ScriptError> {
    let Some(entry) = script.key.kind.entry() else {
        return Err(ScriptError::Arguments(Failure::new(
            Code::NOT_ALLOWED,
            match script.key.kind {
                Kind::Hook => format!("{} is called by itself for each job, not run", script.key),
                _ => format!("{} is imported by other scripts, not run", script.key),
            },
        )));
    };
    let arguments = vec![as_declared(script, arguments).into()];
    call_function(engine, generation, script, entry.name, arguments)
}

pub(super) fn call_function(
    engine: &Engine,
    generation: &Generation,
    script: &Script,
    function: &str,
    arguments: Vec<Dynamic>,
) -> Result<Dynamic, ScriptError> {
    engine
        .call_fn::<Dynamic>(&mut Scope::new(), &script.ast, function, arguments)
        .map_err(|error| explained(&error, engine, generation, script))
}

/// Seeds from here on are `u64` in scripts, so that counting on never overflows an int.
const LARGE_SEED: u64 = 1 << 62;

/// The arguments as the script sees them: a workflow is a workflow there, not a map.
fn as_declared(script: &Script, arguments: Map<String, Value>) -> rhai::Map {
    let typed = arguments.into_iter().map(|(name, value)| {
        let ty = script.declaration.param(&name).map(|param| param.ty);
        let value = match (ty, value) {
            (Some(Type::Workflow), value) if !value.is_null() => workflow_argument(value),
            (Some(Type::Seed), value) => match value.as_u64().filter(|seed| *seed >= LARGE_SEED) {
                Some(seed) => Dynamic::from(seed),
                None => to_dynamic(value),
            },
            (_, value) => to_dynamic(value),
        };
        (name.into(), value)
    });
    typed.collect()
}

/// The arguments were checked, so this is a workflow.
fn workflow_argument(value: Value) -> Dynamic {
    Workflow::from_json(value).map_or(Dynamic::UNIT, |workflow| {
        Dynamic::from(WorkflowHandle::new(workflow))
    })
}

/// Runs `body` on a thread with that much stack, which scripts need. A panic ends the run, not the
/// process.
async fn on_own_thread<T: Send + 'static>(
    stack: usize,
    body: impl FnOnce() -> Result<T, ScriptError> + Send + 'static,
) -> Result<T, ScriptError> {
    let (sender, receiver) = oneshot::channel();
    let guarded = move || {
        let result = catch_unwind(AssertUnwindSafe(body))
            .unwrap_or_else(|panic| Err(ScriptError::Panicked(panic_message(&*panic))));
        // Nobody waits any more when the caller has gone away.
        let _ = sender.send(result);
    };
    thread::Builder::new()
        .name("mmf-script".into())
        .stack_size(stack)
        .spawn(guarded)
        .map_err(|error| ScriptError::Panicked(format!("no thread for the script: {error}")))?;
    receiver
        .await
        .unwrap_or_else(|_| Err(ScriptError::Panicked("the script's thread vanished".into())))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    #[tokio::test]
    async fn a_binding_that_panics_ends_its_own_run_and_no_other() {
        let mut engine = Engine::new_raw();
        engine.register_fn("broken", || -> i64 { panic!("a defect") });
        let run = move || {
            engine
                .run("try { broken(); } catch { }")
                .map_err(|_| ScriptError::Cancelled)
        };
        let broken = on_own_thread(Limits::STACK, run).await;
        assert_eq!(broken, Err(ScriptError::Panicked("a defect".to_owned())));
        assert_eq!(on_own_thread(Limits::STACK, || Ok(42)).await, Ok(42));
    }
}
