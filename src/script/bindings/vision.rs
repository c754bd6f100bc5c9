//! `vision::`: asking a model about pictures, where one is configured.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::{Value, json};

use super::{SharedModule, indexed};
use crate::assets::AssetError;
use crate::failure::{Code, Failure};
use crate::script::host::{Context, answer, thrown};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Pixels along the longer side of what is shown to it, as most models scale pictures themselves.
const SIDE: u32 = 1024;

/// Bytes of it at most.
const BYTES: usize = 400_000;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use crate::script::value::from_map;

    /// What the model says to a question about a picture, as text.
    /// Throws `NOT_FOUND` for an asset that there is not, `VISION_NOT_CONFIGURED`, `VISION_REFUSED`,
    /// `VISION_UNREADABLE`, `CONNECTION_ERROR`, `TIMEOUT`.
    /// Example: `vision::ask(asset_id, "Is there a fox in it?")`
    #[rhai_fn(return_raw)]
    pub fn ask(call: NativeCallContext, asset_id: &str, question: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("vision::ask", json!([asset_id, question]), || {
            super::ask(&context, asset_id, question, None)
        })
    }

    /// The same as an object that fits a JSON schema: `#{ type: "object", properties: ..., required:
    /// [...] }`.
    #[rhai_fn(name = "ask", return_raw)]
    pub fn ask_for(
        call: NativeCallContext,
        asset_id: &str,
        question: &str,
        schema: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let schema = from_map(&schema).map_err(|error| error.to_string())?;
        let schema = Value::from(schema);
        let given = json!([asset_id, question, schema]);
        context.once("vision::ask", given, || {
            super::ask(&context, asset_id, question, Some(&schema))
        })
    }

    /// Whether there is a model to ask.
    /// Throws nothing.
    /// Example: `if vision::is_configured() { log("info", vision::ask(asset_id, "What is it?")); }`
    pub fn is_configured(call: NativeCallContext) -> bool {
        Context::of(&call).host.vision.is_configured()
    }
}

fn ask(
    context: &Context,
    asset_id: &str,
    question: &str,
    schema: Option<&Value>,
) -> Fallible<Dynamic> {
    if let Some(schema) = schema {
        jsonschema::validator_for(schema).map_err(|error| {
            let message = format!("the schema of vision::ask is none: {error}");
            thrown(Failure::new(Code::INVALID_PARAMS, message))
        })?;
    }
    let picture = context.host.assets.preview(asset_id, SIDE, BYTES);
    let picture = picture.map_err(|error: AssetError| thrown(error))?;
    let asking = context.host.vision.ask(&picture, question, schema);
    answer(context.budget.apart(|| context.wait(asking))?)
}
