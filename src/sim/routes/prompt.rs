//! `POST /prompt`: a prompt comes in, is judged, and waits its turn.

use std::future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Number, Value as Json, json};

use crate::comfy::validate::{CoreValidation, Outcome, Rules, Validator, Verdict};

use super::super::fault::FaultKind;
use super::super::python_json;
use super::super::queue::Item;
use super::super::world::World;
use super::queue::truthy;
use super::reply::{self, Refusal};

/// Keys for nodes that call paid services; no answer repeats them (`SENSITIVE_EXTRA_DATA_KEYS`).
const SENSITIVE: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

pub(super) async fn post(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let own = world.clone();
    let answer = reply::blocking(move || accept(&own, &headers, &bytes)).await;
    let answer = answer.into_response();
    match answer
        .status()
        .is_success()
        .then(|| world.faults.spoils_prompt())
        .flatten()
    {
        Some(FaultKind::PromptHang) => future::pending().await,
        Some(_) => reply::trouble(),
        None => answer,
    }
}

fn accept(world: &World, headers: &HeaderMap, bytes: &[u8]) -> Result<Response, Refusal> {
    let body = match reply::body(bytes)? {
        Json::Object(body) => body,
        // Python can look for a key in these too, and finds none.
        Json::Array(_) | Json::String(_) => Map::new(),
        _ => return Err(reply::trouble().into()),
    };
    let number = number(world, &body)?;
    let Some(prompt) = body.get("prompt") else {
        return Err(refusal(
            "no_prompt",
            "No prompt provided",
            "No prompt provided",
        ));
    };
    let id = prompt_id(world, body.get("prompt_id"))?;
    let verdict = judge(world, prompt, body.get("partial_execution_targets"))?;
    let mut extra_data = match body.get("extra_data") {
        None => Map::new(),
        Some(Json::Object(extra)) => extra.clone(),
        Some(_) => return Err(reply::trouble().into()),
    };
    if let Some(client) = body.get("client_id") {
        extra_data.insert("client_id".to_owned(), client.clone());
    }
    let source = headers
        .get("comfy-usage-source")
        .filter(|_| world.release.demands_uuids())
        .and_then(|value| value.to_str().ok());
    if let Some(source) = source.filter(|_| !extra_data.contains_key("comfy_usage_source")) {
        extra_data.insert("comfy_usage_source".to_owned(), json!(source));
    }
    let said = verdict.outcome.to_json();
    let (Outcome::Accepted { outputs, .. }, Json::Object(prompt)) =
        (verdict.outcome, verdict.prompt.into_owned())
    else {
        let answer = if said.is_null() {
            reply::trouble()
        } else {
            reply::json_with(StatusCode::BAD_REQUEST, &said)
        };
        return Err(answer.into());
    };
    let mut secrets = Map::new();
    for key in SENSITIVE {
        secrets.extend(extra_data.shift_remove_entry(key));
    }
    if world.release.notes_create_time() {
        let created = world.clock.now().as_millisecond();
        extra_data.insert("create_time".to_owned(), json!(created));
    }
    let answer = json!({ "prompt_id": id, "number": number, "node_errors": said["node_errors"] });
    let mut for_nodes = extra_data.clone();
    for_nodes.extend(secrets);
    let item = Item {
        number,
        id,
        prompt,
        extra_data,
        for_nodes,
        outputs,
    };
    world.queue.put(item).map_err(reply::raised)?;
    Ok(reply::json(&answer))
}

/// What the validator says, which looks at uploaded files too.
fn judge<'a>(
    world: &World,
    prompt: &'a Json,
    targets: Option<&Json>,
) -> Result<Verdict<'a>, Refusal> {
    let targets: Option<Vec<String>> = match targets {
        None | Some(Json::Null) => None,
        Some(Json::Array(targets)) => Some(
            targets
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect(),
        ),
        Some(_) => return Err(reply::trouble().into()),
    };
    let exists = |name: &str| world.folders.annotated(name).is_some();
    let own = CoreValidation::with_files(&exists);
    let validator = Validator::new(world.catalog.facts())
        .rules(Rules::of(&world.options.version))
        .own_validation(&own);
    Ok(validator.receive(prompt, targets.as_deref()))
}

/// The given number, or the counter's, negative for a prompt that wants to the front.
fn number(world: &World, body: &Map<String, Json>) -> Result<Number, Refusal> {
    let Some(given) = body.get("number") else {
        let number = world.queue.next_number();
        let front = body.get("front").is_some_and(truthy);
        return Ok(if front { -number } else { number }.into());
    };
    let float = match given {
        Json::Number(number) => number.as_f64(),
        Json::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    float
        .and_then(Number::from_f64)
        .ok_or_else(|| reply::trouble().into())
}

/// The client's id, which must be a UUID as Python writes it, or a new one; before 0.25 it was
/// `str()` of anything.
fn prompt_id(world: &World, given: Option<&Json>) -> Result<String, Refusal> {
    match given {
        Some(given) if !world.release.demands_uuids() => Ok(match given {
            Json::String(id) => id.clone(),
            Json::Null => "None".to_owned(),
            Json::Bool(true) => "True".to_owned(),
            Json::Bool(false) => "False".to_owned(),
            other => python_json::to_string(other),
        }),
        None | Some(Json::Null) => Ok(world.options.ids.random()),
        Some(Json::String(id)) if is_canonical(id) => Ok(id.clone()),
        Some(_) => Err(refusal(
            "invalid_prompt_id",
            "prompt_id must be a valid UUID",
            "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let \
             the server generate one",
        )),
    }
}

/// Whether an id is a UUID, lower-case and with hyphens.
pub(super) fn is_canonical(id: &str) -> bool {
    uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id)
}

fn refusal(kind: &str, message: &str, details: &str) -> Refusal {
    let error = json!({ "type": kind, "message": message, "details": details, "extra_info": {} });
    reply::json_with(
        StatusCode::BAD_REQUEST,
        &json!({ "error": error, "node_errors": {} }),
    )
    .into()
}
