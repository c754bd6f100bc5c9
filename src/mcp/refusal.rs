//! Errors of the protocol, for what has no place in a tool's answer.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestMethod, CallToolRequestParams, CancelTaskMethod, CancelTaskParams,
    CompleteRequestMethod, CompleteRequestParams, ConstString, CustomRequest, ErrorCode,
    GetPromptRequestMethod, GetPromptRequestParams, GetTaskMethod, GetTaskParams,
    ReadResourceRequestMethod, ReadResourceRequestParams, SetLevelRequestMethod,
    SubscribeRequestMethod, SubscribeRequestParams, UnsubscribeRequestMethod,
    UnsubscribeRequestParams, UpdateTaskMethod, UpdateTaskParams,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::failure::{Code, Failure};
use crate::script::ScriptError;

/// A failure as an error of the protocol, where the answer has no place for it.
pub(super) fn refused(error: ScriptError) -> ErrorData {
    let unknown = matches!(error, ScriptError::Unknown { .. });
    let is_of_arguments = unknown || matches!(error, ScriptError::Arguments(_));
    let failure = Failure::from(error);
    let code = if is_of_arguments || failure.code == Code::INVALID_PARAMS {
        ErrorCode::INVALID_PARAMS
    } else {
        ErrorCode::INTERNAL_ERROR
    };
    let data = (!unknown).then(|| failure.to_json());
    ErrorData::new(code, failure.message, data)
}

/// The same for the reading of a resource: only there is something not found a code of its own.
pub(super) fn unreadable(error: ScriptError) -> ErrorData {
    let mut refusal = refused(error);
    let said = refusal
        .data
        .as_ref()
        .and_then(|data| data["error"].as_str());
    if let Some("NOT_FOUND" | "ASSET_NOT_FOUND_OR_EXPIRED" | "SOURCE_NOT_FOUND") = said {
        refusal.code = ErrorCode::RESOURCE_NOT_FOUND;
    }
    refusal
}

pub(super) fn no_resource(uri: &str) -> ErrorData {
    ErrorData::resource_not_found(
        format!("no resource at {uri}"),
        Some(json!({ "uri": uri, "hint": "resources/templates/list shows the addresses" })),
    )
}

pub(super) fn mixed_up() -> ErrorData {
    ErrorData::internal_error("the script made something else than was asked for", None)
}

/// Says of a request that was not understood whether its method is unknown or what is wrong with
/// its parameters: rmcp takes both for a method of somebody's own.
#[expect(
    deprecated,
    reason = "logging of the earlier lifecycles, whose clients are many"
)]
pub(super) fn not_understood(request: &CustomRequest) -> ErrorData {
    let method = request.method.as_str();
    let wrong = match method {
        CallToolRequestMethod::VALUE => wrong_in::<CallToolRequestParams>(request),
        CancelTaskMethod::VALUE => wrong_in::<CancelTaskParams>(request),
        CompleteRequestMethod::VALUE => wrong_in::<CompleteRequestParams>(request),
        GetPromptRequestMethod::VALUE => wrong_in::<GetPromptRequestParams>(request),
        GetTaskMethod::VALUE => wrong_in::<GetTaskParams>(request),
        ReadResourceRequestMethod::VALUE => wrong_in::<ReadResourceRequestParams>(request),
        SetLevelRequestMethod::VALUE => wrong_in::<rmcp::model::SetLevelRequestParams>(request),
        SubscribeRequestMethod::VALUE => wrong_in::<SubscribeRequestParams>(request),
        UnsubscribeRequestMethod::VALUE => wrong_in::<UnsubscribeRequestParams>(request),
        UpdateTaskMethod::VALUE => wrong_in::<UpdateTaskParams>(request),
        _ => None,
    };
    match wrong {
        Some(wrong) => ErrorData::invalid_params(format!("{method}: {wrong}"), None),
        None => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method.to_owned(), None),
    }
}

/// Why the parameters of a request are not those of its method.
fn wrong_in<P: DeserializeOwned>(request: &CustomRequest) -> Option<String> {
    let params = request.params.clone().unwrap_or_else(|| json!({}));
    serde_json::from_value::<P>(params)
        .err()
        .map(|error| error.to_string())
}
