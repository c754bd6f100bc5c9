//! What a sweep is and what it shows: the part of `batch::` that queues nothing.

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{Module, exported_module};
use serde_json::{Map, Value, json};

use super::batch::Source;
use crate::assets::{Asset, NewAsset, Sheet, SheetAxis, SheetCell};
use crate::batch::{self, Axis, Combination, Wholeness};
use crate::comfy::model_name::{is_model_file, stem};
use crate::failure::{Code, Failure};
use crate::script::host::{Context, answer, thrown};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn functions() -> Module {
    exported_module!(functions)
}

#[export_module]
mod functions {
    use rhai::{Array, Map};

    use crate::script::value::{from_dynamic, from_map};

    /// Every combination of the values of a sweep over fixed parameters: a list of
    /// `#{ key, parameters }`.
    /// Throws `INVALID_PARAMS` for a sweep that is not understood, `LIMIT_EXCEEDED` for one with
    /// too many runs.
    /// Example: `batch::combinations(#{ CFG: [3.0, 4.5] }, #{ PROMPT: "a fox" })`
    #[rhai_fn(return_raw)]
    pub fn combinations(call: NativeCallContext, sweep: Map, fixed: Map) -> Fallible<Dynamic> {
        let (sweep, fixed) = (from_map(&sweep), from_map(&fixed));
        let sweep = sweep.map_err(|error| error.to_string())?;
        let fixed = fixed.map_err(|error| error.to_string())?;
        let context = Context::of(&call);
        context.once("batch::combinations", json!([sweep, fixed]), || {
            let axes = super::axes(&context, None, &sweep)?;
            answer(super::combinations(&axes, &fixed))
        })
    }

    /// What a sweep over a workflow comes to: `#{ axes, runs }`. An axis is `#{ names, points }`,
    /// each point a list of one value per name; runs are those of `combinations`.
    /// Throws the same as `combinations`.
    /// Example: `batch::plan("sd3_txt2img", #{ STEPS: #{ from: 10, to: 30, count: 3 } }, #{ PROMPT: "a fox" }).runs`
    #[rhai_fn(return_raw)]
    pub fn plan(
        call: NativeCallContext,
        workflow: Dynamic,
        sweep: Map,
        fixed: Map,
    ) -> Fallible<Dynamic> {
        let (sweep, fixed) = (from_map(&sweep), from_map(&fixed));
        let sweep = sweep.map_err(|error| error.to_string())?;
        let fixed = fixed.map_err(|error| error.to_string())?;
        let context = Context::of(&call);
        let source = super::Source::of(&context, &workflow)?;
        let given = from_dynamic(&workflow).map_err(|error| error.to_string())?;
        context.once("batch::plan", json!([given, sweep, fixed]), || {
            let axes = super::axes(&context, Some(&source), &sweep)?;
            let told: Vec<_> = axes.iter().map(super::told).collect();
            answer(super::json!({ "axes": told, "runs": super::combinations(&axes, &fixed) }))
        })
    }

    /// Pictures of a sweep in one, with the values of the axes written on it: the ids of its sheets,
    /// of which there are several where one would be too crowded. `results` are those of `run` in
    /// the order of the combinations.
    /// Throws `INVALID_PARAMS` where axes and results do not fit each other.
    /// Example: `batch::sheet(plan.axes, results)`
    #[rhai_fn(return_raw)]
    pub fn sheet(call: NativeCallContext, axes: Array, results: Array) -> Fallible<Dynamic> {
        let axes = from_dynamic(&axes.into()).map_err(|error| error.to_string())?;
        let results = from_dynamic(&results.into()).map_err(|error| error.to_string())?;
        let context = Context::of(&call);
        context.once("batch::sheet", json!([axes, results]), || {
            let sheets = super::sheet(&context, &axes, &results).map_err(thrown)?;
            let bytes = sheets.iter().map(|sheet| sheet.bytes).sum();
            context.budget.write(bytes)?;
            let ids: Vec<&str> = sheets.iter().map(|sheet| &*sheet.asset_id).collect();
            answer(ids)
        })
    }
}

/// What is known of the parameters of what is swept, and the one source of chance.
struct KnownOf<'c> {
    context: &'c Context,
    source: Option<&'c Source>,
}

impl batch::Known for KnownOf<'_> {
    fn wholeness(&self, name: &str) -> Option<Wholeness> {
        self.source?.wholeness(self.context, name)
    }

    fn draw(&self) -> u64 {
        self.context.host.ids.seed()
    }
}

fn axes(
    context: &Context,
    source: Option<&Source>,
    sweep: &Map<String, Value>,
) -> Fallible<Vec<Axis>> {
    batch::axes(sweep, &KnownOf { context, source }).map_err(thrown)
}

fn told(axis: &Axis) -> Value {
    json!({ "names": axis.names, "points": axis.points })
}

fn combinations(axes: &[Axis], fixed: &Map<String, Value>) -> Vec<Value> {
    let all = batch::combinations(axes, fixed).into_iter();
    all.map(|Combination { key, parameters }| json!({ "key": key, "parameters": parameters }))
        .collect()
}

fn sheet(context: &Context, axes: &Value, results: &Value) -> Result<Vec<Asset>, Failure> {
    let told = axes.as_array().map(Vec::as_slice).unwrap_or_default();
    let results = results.as_array().map(Vec::as_slice).unwrap_or_default();
    let sheet = Sheet {
        axes: told.iter().map(sheet_axis).collect(),
        cells: results.iter().map(cell).collect(),
    };
    if sheet.size() != sheet.cells.len() {
        let message = format!(
            "{} results are not one for each of {} combinations",
            sheet.cells.len(),
            sheet.size()
        );
        return Err(Failure::new(Code::INVALID_PARAMS, message));
    }
    let new = NewAsset {
        session_id: Some(context.session().to_owned()),
        prompt: format!("contact sheet: {}", sheet.names()),
        script: Some(context.script.clone()),
        parameters: context.parameters.clone(),
        ..NewAsset::default()
    };
    Ok(context.host.assets.keep_sheet(&sheet, &new)?)
}

fn sheet_axis(axis: &Value) -> SheetAxis {
    let words = |values: &Value, between: &str| {
        let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
        let words: Vec<String> = values.iter().map(word).collect();
        words.join(between)
    };
    let points = axis["points"].as_array().map(Vec::as_slice);
    SheetAxis {
        name: words(&axis["names"], " x "),
        values: points
            .unwrap_or_default()
            .iter()
            .map(|point| words(point, " x "))
            .collect(),
    }
}

/// Model files by their names alone.
fn word(value: &Value) -> String {
    match value.as_str() {
        Some(file) if is_model_file(file) => stem(file).to_owned(),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// The first thing to be seen of a run, or why there is none.
fn cell(result: &Value) -> SheetCell {
    let outputs = result["outputs"].as_array().map(Vec::as_slice);
    let shown = outputs.unwrap_or_default().iter().find(|output| {
        let kind = output["type"].as_str();
        matches!(kind, Some("images" | "video")) && output["asset_id"].is_string()
    });
    if let Some(asset_id) = shown.and_then(|output| output["asset_id"].as_str()) {
        return SheetCell::Asset(asset_id.to_owned());
    }
    let status = result["status"].as_str().unwrap_or_default();
    let reason = match status {
        "completed" => "no picture",
        "error" => result["error"].as_str().unwrap_or("error"),
        "timeout" => "not over yet",
        other => other,
    };
    SheetCell::Empty(reason.to_lowercase().replace('_', " "))
}
