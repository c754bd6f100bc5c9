//! `scripts::`: what scripts there are, running one from another, and checking and saving what an
//! agent wrote.

use std::sync::Arc;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, ImmutableString, NativeCallContext, export_module};
use serde_json::{Map, Value, json};

use super::{SharedModule, comfy, indexed, templates};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::Options;
use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::host::{Context, answer, thrown};
use crate::script::import::{Foreign, ImportError, Imported, editor_of, import};
use crate::script::reply::{Reply, ReplyHandle};
use crate::script::run::call as run_here;
use crate::script::save::{SaveError, save_checked};
use crate::script::value::{from_dynamic, to_dynamic};
use crate::script::{Checked, Generation, Key, Kind, Layer, Served, Source, check, kind_of_text};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// How to write a script, in few words; its examples are checked by a test.
pub(super) const GUIDE: &str = include_str!("../guide.md");

/// The name of a script that has none.
const NAMELESS: &str = "script";

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use serde_json::Map;

    use crate::script::value::from_map;

    /// All scripts of all kinds: `#{ name, kind, title }`, with the `path` of those that are files
    /// and the `problem` of those that are broken.
    /// Throws `INVALID_PARAMS` for a kind that there is not.
    /// Example: `scripts::list(#{ kind: "pipeline" })`
    #[rhai_fn(return_raw)]
    pub fn list(call: NativeCallContext) -> Fallible<Dynamic> {
        answer(super::listing(&Context::of(&call), &Map::new()))
    }

    /// The scripts of a `kind`, and those with a `text` in their name or title.
    #[rhai_fn(name = "list", return_raw)]
    pub fn list_some(call: NativeCallContext, query: rhai::Map) -> Fallible<Dynamic> {
        super::kind(query.get("kind").unwrap_or(&Dynamic::UNIT))?;
        let query = from_map(&query).map_err(|error| error.to_string())?;
        answer(super::listing(&Context::of(&call), &query))
    }

    /// How to write a script, in few words.
    /// Example: `scripts::guide()`
    pub fn guide() -> ImmutableString {
        super::GUIDE.into()
    }

    /// The source of a script.
    /// Throws `NOT_FOUND`.
    /// Example: `scripts::source("lib", "save")`
    #[rhai_fn(return_raw)]
    pub fn source(call: NativeCallContext, kind: &str, name: &str) -> Fallible<ImmutableString> {
        let context = Context::of(&call);
        let kind = super::kind(&kind.into())?.unwrap_or(Kind::Tool);
        Ok(context.generation.text(kind, name).map_err(thrown)?.into())
    }

    /// Runs a pipeline or tool within this script, or a template with its workflow to the end, and
    /// returns its result: a value, or the reply if it shows something beside its value.
    /// Throws `NOT_FOUND`, `INVALID_PARAMS`, and what the script throws; `LIMIT_EXCEEDED` where
    /// scripts run each other too deep.
    /// Example: `scripts::run("best_of", #{ PROMPT: "a fox" }).best`
    #[rhai_fn(return_raw)]
    pub fn run(call: NativeCallContext, name: &str, parameters: rhai::Map) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let kinds = [Kind::Pipeline, Kind::Template, Kind::Tool];
        let served = context.generation.find(&kinds, name).map_err(thrown)?;
        let given = from_map(&parameters).map_err(|error| error.to_string())?;
        super::run(&context, &context.generation, served, given)
    }

    /// The same, of these kinds only.
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_of(
        call: NativeCallContext,
        name: &str,
        parameters: rhai::Map,
        kinds: rhai::Array,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let mut among = Vec::with_capacity(kinds.len());
        for named in &kinds {
            among.extend(super::kind(named)?);
        }
        let served = context.generation.find(&among, name).map_err(thrown)?;
        let given = from_map(&parameters).map_err(|error| error.to_string())?;
        super::run(&context, &context.generation, served, given)
    }

    /// The same with a script that is given as text.
    /// Throws the same as `run`.
    /// Example: `scripts::run_source("fn run(p) { p.n + 1 }", #{})`
    #[rhai_fn(return_raw)]
    pub fn run_source(
        call: NativeCallContext,
        text: &str,
        parameters: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let source = super::source(NAMELESS, text, None);
        let generation = Arc::new(context.generation.with(&source));
        let served = generation.get(source.key.kind, NAMELESS).map_err(thrown)?;
        let given = from_map(&parameters).map_err(|error| error.to_string())?;
        super::run(&context, &generation, served, given)
    }

    /// The mistakes of a script given as text, without running it: `#{ ok, kind, problems }`; the
    /// kind is told from its function unless it is given.
    /// Throws `INVALID_PARAMS` for a kind that there is not.
    /// Example: `scripts::check("fn run(p) { 1 }", ()).ok`
    #[rhai_fn(name = "check", return_raw)]
    pub fn check_text(call: NativeCallContext, text: &str, kind: Dynamic) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let source = super::source(NAMELESS, text, super::kind(&kind)?);
        answer(super::describe(&source, &super::checked(&context, &source)))
    }

    /// A workflow as a template called `name`: `#{ source, params, notes }`. It is given as a map in
    /// either format, or by the name of a template of the server, an `asset_id` or the path of a
    /// file.
    /// Throws `NOT_FOUND`, `NO_WORKFLOW_DATA`.
    /// Example: `scripts::draft(g.to_map(), "mine").source`
    #[rhai_fn(return_raw)]
    pub fn draft(call: NativeCallContext, from: Dynamic, name: &str) -> Fallible<Dynamic> {
        draft_with(call, from, name, rhai::Map::new())
    }

    /// The same; with `as_is: true` what ComfyUI's editor would send of a graph that was saved with
    /// other versions of its classes, which otherwise is an error that names the nodes.
    /// Throws `NOT_FOUND`, `NO_WORKFLOW_DATA`.
    /// Example: `scripts::draft(g.to_map(), "mine", #{ as_is: true }).source`
    #[rhai_fn(name = "draft", return_raw)]
    pub fn draft_with(
        call: NativeCallContext,
        from: Dynamic,
        name: &str,
        options: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let as_is = options.get("as_is") == Some(&true.into());
        answer(super::draft(&context, &from, name, as_is)?)
    }

    /// Writes a script that has no mistakes to the user's or project's folder and takes it into
    /// use: `#{ name, kind, path, problems }`. The options may say `kind` and `overwrite`.
    /// Throws `NOT_ALLOWED`, `INVALID_FILENAME`, `INVALID_PARAMS` where there is one,
    /// `SCRIPT_ERROR` for one with a mistake.
    /// Example: `scripts::save("mine", "fn run(p) { 1 }", #{ kind: "pipeline" }).path`
    #[rhai_fn(name = "save", return_raw)]
    pub fn save_text(
        call: NativeCallContext,
        name: &str,
        text: &str,
        options: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let kind = options.get("kind").cloned().map(to_dynamic);
        let kind = super::kind(&kind.unwrap_or_default())?;
        let overwrite = options.get("overwrite") == Some(&true.into());
        let source = super::source(name, text, kind);
        if source.key.kind == Kind::Hook {
            let message = "a hook is the user's rule for scripts, and not saved by one";
            let failure = Failure::new(Code::NOT_ALLOWED, message);
            let hint = "the user writes it, with mmf script new hook NAME";
            return Err(thrown(failure.hint(hint)));
        }
        let given = json!([name, text, options]);
        context.once("scripts::save", given, || {
            context.budget.write(text.len() as u64)?;
            answer(super::save_source(&context, &source, overwrite).map_err(thrown)?)
        })
    }
}

fn draft(context: &Context, from: &Dynamic, name: &str, as_is: bool) -> Fallible<Value> {
    let host = &context.host;
    let foreign = match from.as_immutable_string_ref() {
        Ok(named) => context.wait(Foreign::named(host, &named))?,
        Err(_) => Foreign::of_value(
            from_dynamic(from)
                .map_err(|error| thrown(Failure::new(Code::INVALID_PARAMS, error.to_string())))?,
        ),
    };
    let editor = context.wait(async { Ok::<_, Failure>(editor_of(&host.comfy).await) })?;
    let options = Options {
        as_is,
        editor,
        ..Options::new(&host.clock)
    };
    let Imported {
        source,
        params,
        notes,
    } = import(
        &context.generation,
        &facts(context),
        &options,
        &foreign,
        name,
    )
    .map_err(|error| {
        let is_avoidable = matches!(&error, ImportError::Graph(error) if error.is_avoidable());
        let failure = Failure::from(error);
        thrown(if is_avoidable {
            failure.or_hint("pass as_is: true for what ComfyUI's editor would send")
        } else {
            failure
        })
    })?;
    Ok(json!({ "source": source.text, "params": params, "notes": notes }))
}

fn listing(context: &Context, query: &Map<String, Value>) -> Vec<Value> {
    let mut listing = context.generation.listing();
    listing.retain(|script| is_wanted(script, query));
    let built_in = json!(Layer::BuiltIn);
    for script in listing.iter_mut().filter_map(Value::as_object_mut) {
        if script.shift_remove("layer").as_ref() == Some(&built_in) {
            script.shift_remove("path");
        }
    }
    listing
}

fn is_wanted(script: &Value, query: &Map<String, Value>) -> bool {
    let of_kind = query
        .get("kind")
        .is_none_or(|kind| kind.is_null() || script["kind"] == *kind);
    let text = query
        .get("text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let text = text.to_lowercase();
    let has = |field: &str| {
        let field = script[field].as_str().unwrap_or_default();
        field.to_lowercase().contains(&text)
    };
    of_kind && (has("name") || has("title"))
}

/// Runs a script within the one that is running.
pub(super) fn run(
    above: &Arc<Context>,
    generation: &Arc<Generation>,
    served: &Served,
    given: Map<String, Value>,
) -> Fallible<Dynamic> {
    above.budget.nest(above.depth)?;
    check_unchanged(above, served, &given)?;
    let context = Arc::new(Context {
        generation: generation.clone(),
        depth: above.depth + 1,
        ..(**above).clone()
    });
    if served.script.key.kind == Kind::Template {
        let workflow = templates::build_once(&context, served, &given)?;
        return context.once("comfy::run", json!([workflow.snapshot()]), || {
            answer(comfy::run(&context, &workflow)?)
        });
    }
    let context = Arc::new(Context {
        parameters: served.script.arguments(given).map_err(thrown)?,
        script: served.reference(),
        ..(*context).clone()
    });
    let reply = run_here(&served.script, &context).map_err(|error| context.ended(error))?;
    Ok(as_value(reply))
}

/// A run that is gone through again has to meet the same scripts.
fn check_unchanged(context: &Context, served: &Served, given: &Map<String, Value>) -> Fallible<()> {
    let given = json!([served.script.key.name, given]);
    let hash = context.once("scripts::run", given, || Ok(served.hash.clone().into()))?;
    if hash
        .read_lock::<ImmutableString>()
        .is_some_and(|before| *before == *served.hash)
    {
        return Ok(());
    }
    let message = format!(
        "{} was changed while the run waited to be gone on with",
        served.script.key
    );
    Err(thrown(
        Failure::new(Code::JOB_LOST, message).hint("begin it anew"),
    ))
}

fn as_value(reply: Reply) -> Dynamic {
    if reply.content.is_empty() {
        to_dynamic(reply.value)
    } else {
        Dynamic::from(ReplyHandle::new(reply))
    }
}

fn source(name: &str, text: &str, kind: Option<Kind>) -> Source {
    let kind = kind.unwrap_or_else(|| kind_of_text(text));
    Source {
        key: Key {
            kind,
            name: name.to_owned(),
        },
        layer: Layer::File,
        path: format!("{name}.rhai").into(),
        text: text.to_owned(),
    }
}

fn kind(named: &Dynamic) -> Fallible<Option<Kind>> {
    let Ok(name) = named.as_immutable_string_ref() else {
        return Ok(None);
    };
    if let Some(kind) = Kind::named(&name) {
        return Ok(Some(kind));
    }
    let kinds = Kind::ALL.map(Kind::as_str);
    let like = did_you_mean(nearest(&name, kinds.into_iter()).as_deref());
    let message = format!("no kind of script \"{}\"{like}", *name);
    let failure = Failure::new(Code::INVALID_PARAMS, message);
    Err(thrown(
        failure.hint(format!("the kinds are {}", kinds.join(", "))),
    ))
}

/// A script's mistakes. Where the server can't be asked, the classes of the bundled facts count.
fn checked(context: &Context, source: &Source) -> Checked {
    check(&context.generation, source, Some(&facts(context)))
}

/// What the server knows of nodes, or while it is away what ComfyUI itself does.
fn facts(context: &Context) -> Arc<NodeFacts> {
    let facts = context.wait(context.host.comfy.node_facts());
    facts.unwrap_or_else(|_| NodeFacts::bundled())
}

fn describe(source: &Source, checked: &Checked) -> Value {
    let problems: Vec<Value> = checked
        .problems
        .iter()
        .map(|problem| {
            json!({
                "severity": problem.severity,
                "message": problem.message,
                "line": problem.line,
                "column": problem.column,
                "hint": problem.hint,
                "frame": problem.render(false),
            })
        })
        .collect();
    let mut answer = json!({
        "ok": checked.is_good(),
        "kind": source.key.kind,
        "problems": problems,
    });
    if let Some(declaration) = &checked.declaration {
        let params = declaration.params.iter();
        let names: Vec<&str> = params.map(|param| param.name.as_str()).collect();
        answer["params"] = json!(names);
    }
    answer
}

fn save_source(context: &Context, source: &Source, overwrite: bool) -> Result<Value, Failure> {
    let host = &context.host;
    let folder = host.script_folder.as_deref().ok_or(SaveError::NotAllowed)?;
    let facts = facts(context);
    let (path, checked) = save_checked(&host.library, folder, source, &facts, overwrite)?;
    let mut answer = describe(source, &checked);
    answer["name"] = source.key.name.as_str().into();
    answer["path"] = json!(path);
    Ok(answer)
}
