//! The calls at a script's top that make up its declaration: `title`, `about`, `param`,
//! `input_schema`, `meta`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{AST, exported_module};
use serde_json::Value;

use super::arguments::{did_you_mean, nearest};
use super::bindings::facts;
use super::budget::Budget;
use super::declaration::CompletionSource;
use super::engine::SharedModule;
use super::value::from_map;
use super::{Declaration, InputSchema, Param, Type, engine, needs};
use crate::knowledge::Knowledge;

/// What the third argument of `param` may say.
const OPTIONS: [&str; 11] = [
    "required", "nullable", "rest", "value", "about", "min", "max", "step", "choices", "folder",
    "complete",
];

/// A declaration in the making, and the facts that it may quote.
#[derive(Clone)]
pub(super) struct Declaring(Arc<State>);

struct State {
    declaration: Mutex<Declaration>,
    knowledge: Arc<Knowledge>,
    quoted: AtomicBool,
}

impl Declaring {
    /// The facts, of which the declaration speaks from now on.
    pub(super) fn quote(&self) -> Arc<Knowledge> {
        self.0.quoted.store(true, Ordering::Relaxed);
        self.0.knowledge.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Declaration> {
        let declaration = self.0.declaration.lock();
        declaration.unwrap_or_else(PoisonError::into_inner)
    }
}

static MODULE: LazyLock<SharedModule> = LazyLock::new(|| {
    let mut module = exported_module!(functions);
    module.build_index();
    module.into()
});

/// The functions by which scripts declare themselves.
pub(super) fn module() -> SharedModule {
    MODULE.clone()
}

/// Runs a script's declaring statements; tells, too, whether they quote facts.
pub(super) fn evaluate(
    ast: &AST,
    knowledge: &Arc<Knowledge>,
) -> Result<(Declaration, bool), Box<EvalAltResult>> {
    let declaring = Declaring(Arc::new(State {
        declaration: Mutex::default(),
        knowledge: knowledge.clone(),
        quoted: AtomicBool::new(false),
    }));
    let budget = Budget::of_checks();
    let mut engine = engine::bare(budget.limits());
    budget.meter(&mut engine);
    engine.register_global_module(MODULE.clone());
    engine.register_global_module(facts::module());
    engine.set_default_tag(Dynamic::from(declaring.clone()));
    budget.alone(|| engine.run_ast(ast))?;
    let declaration = declaring.lock().clone();
    Ok((declaration, declaring.0.quoted.load(Ordering::Relaxed)))
}

#[export_module]
mod functions {
    use rhai::Map;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// One line for people.
    /// Example: `title("Two seeds");`
    pub fn title(context: NativeCallContext, text: &str) {
        super::edit(&context, |declaration| {
            text.clone_into(&mut declaration.title);
        });
    }

    /// What the script does and gives.
    /// Example: `about("Paints a prompt with two seeds.");`
    pub fn about(context: NativeCallContext, text: &str) {
        super::edit(&context, |declaration| {
            text.clone_into(&mut declaration.about);
        });
    }

    /// Further facts by name.
    /// Throws a text for needs of another form.
    /// Example: `meta(#{ category: "discovery", read_only: true });`
    #[rhai_fn(return_raw)]
    pub fn meta(context: NativeCallContext, facts: Map) -> Fallible<()> {
        let facts = super::from_map(&facts).map_err(|error| error.to_string())?;
        if let Some(needs) = facts.get("needs") {
            super::needs::read(needs)?;
        }
        super::edit(&context, |declaration| declaration.meta.extend(facts));
        Ok(())
    }

    /// An optional parameter without bounds.
    /// Throws the same as with options.
    #[rhai_fn(name = "param", return_raw)]
    pub fn plain_param(context: NativeCallContext, name: &str, ty: &str) -> Fallible<()> {
        param(context, name, ty, Map::new())
    }

    /// A parameter.
    /// Throws a text for a type or an option that there is not, or for a value that it does not
    /// allow.
    /// Example: `param("STEPS", "int", #{ value: 20, min: 1, max: 150, about: "Sampling steps" });`
    #[rhai_fn(return_raw)]
    pub fn param(context: NativeCallContext, name: &str, ty: &str, options: Map) -> Fallible<()> {
        let param = super::param_of(name, ty, &options)?;
        super::edit(&context, |declaration| {
            if declaration.input_schema.is_some() {
                return Err(super::BOTH.into());
            }
            if declaration.param(name).is_some() {
                return Err(format!("the parameter \"{name}\" is declared twice").into());
            }
            declaration.params.push(param);
            Ok(())
        })
    }

    /// All arguments at once, as a JSON schema.
    /// Throws a text for what is no JSON schema, or beside `param`.
    /// Example: `input_schema(#{ type: "object", properties: #{ n: #{ type: "integer" } } });`
    #[rhai_fn(return_raw)]
    pub fn input_schema(context: NativeCallContext, schema: Map) -> Fallible<()> {
        let schema = super::from_map(&schema).map_err(|error| error.to_string())?;
        let schema = super::InputSchema::new(schema)?;
        super::edit(&context, |declaration| {
            if !declaration.params.is_empty() {
                return Err(super::BOTH.into());
            }
            declaration.input_schema = Some(schema);
            Ok(())
        })
    }
}

/// Two descriptions of the same arguments would contradict each other sooner or later.
const BOTH: &str = "a script has parameters or an input_schema, not both";

/// Changes the declaration that the engine carries.
fn edit<T>(context: &NativeCallContext, change: impl FnOnce(&mut Declaration) -> T) -> T {
    #[expect(
        clippy::expect_used,
        reason = "these functions are registered in the declaring engine alone, which has the tag"
    )]
    let declaring = context
        .tag()
        .and_then(|tag| tag.clone().try_cast::<Declaring>())
        .expect("the declaring engine carries its declaration");
    change(&mut declaring.lock())
}

fn param_of(name: &str, ty: &str, options: &rhai::Map) -> Result<Param, String> {
    check_name(name)?;
    let options = from_map(options).map_err(|error| error.to_string())?;
    if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        let suggestion = did_you_mean(nearest(unknown, OPTIONS.into_iter()).as_deref());
        let known = OPTIONS.join(", ");
        return Err(format!(
            "a parameter has no \"{unknown}\"{suggestion}; it may have {known}"
        ));
    }
    let reader = Options {
        param: name,
        options: &options,
    };
    let param = Param {
        name: name.to_owned(),
        ty: type_of(ty)?,
        about: reader
            .read("about", "a string", |value| {
                value.as_str().map(str::to_owned)
            })?
            .unwrap_or_default(),
        required: reader
            .read("required", "true or false", Value::as_bool)?
            .unwrap_or(false),
        nullable: reader
            .read("nullable", "true or false", Value::as_bool)?
            .unwrap_or(false),
        rest: reader
            .read("rest", "true or false", Value::as_bool)?
            .unwrap_or(false),
        default: options.get("value").cloned().unwrap_or_default(),
        min: reader.read("min", "a number", Value::as_f64)?,
        max: reader.read("max", "a number", Value::as_f64)?,
        step: reader.read("step", "a number above 0", |value| {
            value.as_f64().filter(|step| *step > 0.0)
        })?,
        choices: reader
            .read("choices", "a list", |value| value.as_array().cloned())?
            .unwrap_or_default(),
        folder: reader.read("folder", "a string", |value| {
            value.as_str().map(str::to_owned)
        })?,
        complete: reader.read("complete", &format!("one of {}", sources()), |value| {
            CompletionSource::ALL
                .into_iter()
                .find(|source| value == source.as_str())
        })?,
    };
    check_sense(param)
}

fn sources() -> String {
    CompletionSource::ALL
        .map(CompletionSource::as_str)
        .join(", ")
}

fn check_name(name: &str) -> Result<(), String> {
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts_well && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(format!(
            "\"{name}\" can't name a parameter: use letters, digits and _"
        ))
    }
}

fn type_of(name: &str) -> Result<Type, String> {
    Type::ALL
        .into_iter()
        .find(|ty| ty.as_str() == name)
        .ok_or_else(|| {
            let names = || Type::ALL.into_iter().map(Type::as_str);
            let suggestion = did_you_mean(nearest(name, names()).as_deref());
            let known: Vec<&str> = names().collect();
            format!(
                "no type \"{name}\"{suggestion}; the types are {}",
                known.join(", ")
            )
        })
}

/// A declaration that contradicts itself is a mistake to be told now, not at the first call.
fn check_sense(mut param: Param) -> Result<Param, String> {
    let name = &param.name;
    if param.required && !param.default.is_null() {
        return Err(format!(
            "\"{name}\" is required and has a value: drop one of the two"
        ));
    }
    if param.rest && param.ty != Type::Object {
        return Err(format!(
            "\"{name}\" can't take the rest of the arguments: only an object can"
        ));
    }
    if param.nullable && !param.default.is_null() {
        return Err(format!(
            "\"{name}\" is nullable and has a value: drop one of the two"
        ));
    }
    if let (Some(min), Some(max)) = (param.min, param.max)
        && min > max
    {
        return Err(format!(
            "\"{name}\" has a min of {min} above its max of {max}"
        ));
    }
    if !param.default.is_null() {
        let default = std::mem::take(&mut param.default);
        param.default = param
            .accept(default)
            .map_err(|error| format!("the value of {error}"))?;
    }
    Ok(param)
}

struct Options<'a> {
    param: &'a str,
    options: &'a serde_json::Map<String, Value>,
}

impl Options<'_> {
    fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.options.get(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            format!(
                "\"{key}\" of \"{}\" is {value}, it has to be {wanted}",
                self.param
            )
        })
    }
}
