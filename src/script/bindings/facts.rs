//! What is known of a model, for the declarations of scripts that run it:
//!
//! ```rhai
//! const FACTS = facts("Qwen-Image-2512");
//! param("STEPS", "int", #{ value: FACTS.steps, min: 1, max: 150 });
//! param("VAE", "model", #{ value: FACTS.file("vae"), folder: "vae" });
//! ```
//!
//! So that a setting stands in one place, and a user's own `sota.toml` changes the templates, too.

use std::sync::{Arc, LazyLock};

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};

use super::{SharedModule, indexed};
use crate::knowledge::{Knowledge, Recipe};
use crate::script::declare::Declaring;
use crate::script::host::Context;

static MODULE: LazyLock<SharedModule> = LazyLock::new(|| {
    let mut module = exported_module!(functions);
    module.set_custom_type::<Recipe>("Facts");
    indexed(module)
});

pub(in crate::script) fn module() -> SharedModule {
    MODULE.clone()
}

/// What is known where a script declares itself, builds or runs. A library is no script of its own:
/// its constants are made before anybody knows who will import it.
fn knowledge(call: &NativeCallContext) -> Option<Arc<Knowledge>> {
    let tag = call.tag()?.clone();
    if let Some(knowledge) = tag.clone().try_cast::<Arc<Knowledge>>() {
        return Some(knowledge);
    }
    if let Some(declaring) = tag.clone().try_cast::<Declaring>() {
        return Some(declaring.quote());
    }
    let context = tag.try_cast::<Arc<Context>>()?;
    Some(context.generation.knowledge().clone())
}

fn recipe(
    call: &NativeCallContext,
    model: &str,
    variant: Option<&str>,
) -> Result<Recipe, Box<EvalAltResult>> {
    let knowledge = knowledge(call).ok_or("facts are for scripts that run, not for a library")?;
    Recipe::of(&knowledge, model, variant).map_err(|error| error.to_string().into())
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod functions {
    use super::{Dynamic, EvalAltResult, NativeCallContext, Recipe};
    use crate::script::value::to_dynamic;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// What is known of running the model of that name.
    /// Throws a text for a model that is not known, with what is like it.
    /// Example: `facts("Qwen-Image-2512").steps`
    #[rhai_fn(return_raw)]
    pub fn facts(context: NativeCallContext, model: &str) -> Fallible<Recipe> {
        super::recipe(&context, model, None)
    }

    /// The same for one of its variants.
    #[rhai_fn(name = "facts", return_raw)]
    pub fn facts_of_variant(
        context: NativeCallContext,
        model: &str,
        variant: &str,
    ) -> Fallible<Recipe> {
        super::recipe(&context, model, Some(variant))
    }

    /// One fact, such as `steps`, `cfg`, `width`.
    /// Throws a text for a fact that is not known, with those that are.
    /// Example: `facts("Qwen-Image-2512")["width"]`
    #[rhai_fn(index_get, return_raw, global, pure)]
    pub fn fact(recipe: &mut Recipe, name: &str) -> Fallible<Dynamic> {
        let fact = recipe.fact(name).map_err(|error| error.to_string())?;
        Ok(to_dynamic(fact))
    }

    /// The file that it loads from a folder.
    /// Throws a text for a folder of which it loads no file, or several.
    /// Example: `facts("Qwen-Image-2512").file("vae")`
    #[rhai_fn(return_raw, global, pure)]
    pub fn file(recipe: &mut Recipe, folder: &str) -> Fallible<String> {
        file_of(recipe, folder, "")
    }

    /// The same where it loads several: the one that has these words in its name, and none of those
    /// that begin with a minus.
    #[rhai_fn(name = "file", return_raw, global, pure)]
    pub fn file_of(recipe: &mut Recipe, folder: &str, words: &str) -> Fallible<String> {
        let file = recipe.file(folder, words);
        file.map(str::to_owned)
            .map_err(|error| error.to_string().into())
    }
}
