//! `/api/jobs`: queue and history in one list, and cancelling that can't hit the wrong prompt.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::super::jobs;
use super::super::release::Release;
use super::super::world::World;
use super::prompt::is_canonical;
use super::reply;

type Parameters = HashMap<String, String>;

/// What a list was asked for.
struct Wish {
    statuses: Vec<String>,
    workflow: Option<String>,
    by_duration: bool,
    ascending: bool,
    limit: Option<usize>,
    offset: usize,
}

impl Wish {
    fn read(query: &Parameters, release: Release) -> Result<Self, String> {
        let known = jobs::statuses(release);
        let lower = |name: &str, default: &str| {
            query
                .get(name)
                .map_or(default.to_owned(), |text| text.to_lowercase())
        };
        let statuses: Vec<String> = lower("status", "")
            .split(',')
            .map(|status| status.trim().to_owned())
            .filter(|status| !status.is_empty())
            .collect();
        let unknown: Vec<&str> = statuses
            .iter()
            .map(String::as_str)
            .filter(|status| !known.contains(status))
            .collect();
        if !unknown.is_empty() {
            return Err(format!(
                "Invalid status value(s): {}. Valid values: {}",
                unknown.join(", "),
                known.join(", ")
            ));
        }
        let sort_by = lower("sort_by", "created_at");
        if sort_by != "created_at" && sort_by != "execution_duration" {
            return Err("sort_by must be 'created_at' or 'execution_duration'".to_owned());
        }
        let order = lower("sort_order", "desc");
        if order != "asc" && order != "desc" {
            return Err("sort_order must be 'asc' or 'desc'".to_owned());
        }
        let number = |name: &str| match query.get(name) {
            None => Ok(None),
            Some(text) => text
                .trim()
                .parse::<i64>()
                .map(Some)
                .map_err(|_| format!("{name} must be an integer")),
        };
        let limit = number("limit")?;
        if limit.is_some_and(|limit| limit <= 0) {
            return Err("limit must be a positive integer".to_owned());
        }
        Ok(Self {
            statuses,
            workflow: query
                .get("workflow_id")
                .filter(|id| !id.is_empty())
                .cloned(),
            by_duration: sort_by == "execution_duration",
            ascending: order == "asc",
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            offset: usize::try_from(number("offset")?.unwrap_or(0)).unwrap_or(0),
        })
    }

    fn wants(&self, job: &Json) -> bool {
        let status = job["status"].as_str().unwrap_or_default();
        let wanted = self.statuses.is_empty() || self.statuses.iter().any(|one| one == status);
        wanted
            && self
                .workflow
                .as_deref()
                .is_none_or(|id| job["workflow_id"] == id)
    }

    fn key(&self, job: &Json) -> i64 {
        let time = |name: &str| job[name].as_i64().unwrap_or(0);
        if !self.by_duration {
            return time("create_time");
        }
        match (time("execution_start_time"), time("execution_end_time")) {
            (0, _) | (_, 0) => 0,
            (start, end) => end - start,
        }
    }
}

pub(super) async fn list(
    State(world): State<Arc<World>>,
    Query(query): Query<Parameters>,
) -> Response {
    let wish = match Wish::read(&query, world.release) {
        Ok(wish) => wish,
        Err(error) => return reply::json_with(StatusCode::BAD_REQUEST, &json!({ "error": error })),
    };
    let (running, pending) = world.queue.items();
    let queued = running.iter().map(|item| jobs::queued(item, "in_progress"));
    let waiting = pending.iter().map(|item| jobs::queued(item, "pending"));
    let done = world.queue.history(None, -1);
    let done = done
        .iter()
        .map(|(id, entry)| jobs::finished(id, entry, world.release));
    let mut jobs: Vec<Json> = queued
        .chain(waiting)
        .chain(done)
        .filter(|job| wish.wants(job))
        .collect();
    // Both directions keep equal ones in the order in which they came.
    if wish.ascending {
        jobs.sort_by_key(|job| wish.key(job));
    } else {
        jobs.sort_by_key(|job| std::cmp::Reverse(wish.key(job)));
    }
    let total = jobs.len();
    let page: Vec<Json> = jobs
        .into_iter()
        .skip(wish.offset)
        .take(wish.limit.unwrap_or(usize::MAX))
        .collect();
    let has_more = wish.offset + page.len() < total;
    reply::json(&json!({
        "jobs": page,
        "pagination": { "offset": wish.offset, "limit": wish.limit, "total": total, "has_more": has_more },
    }))
}

pub(super) async fn one(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    if let Some(entry) = world.queue.history_entry(&id) {
        return reply::json(&jobs::detailed(&id, &entry, world.release));
    }
    let (running, pending) = world.queue.items();
    let running = running.iter().map(|item| (item, "in_progress"));
    let mut queued = running.chain(pending.iter().map(|item| (item, "pending")));
    match queued.find(|(item, _)| item.id == id) {
        Some((item, status)) => reply::json(&jobs::queued_in_detail(item, status)),
        None => reply::json_with(StatusCode::NOT_FOUND, &json!({ "error": "Job not found" })),
    }
}

/// Idempotent: what is over or unknown counts as not cancelled, with 200.
pub(super) async fn cancel(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    reply::json(&json!({ "cancelled": cancel_one(&world, &id) }))
}

/// `{"job_ids": [uuid]}`.
pub(super) async fn cancel_many(State(world): State<Arc<World>>, bytes: Bytes) -> Response {
    let bad = |body: Json| reply::json_with(StatusCode::BAD_REQUEST, &body);
    let Ok(body) = crate::comfy::json::parse_lenient::<Json>(&bytes) else {
        return bad(json!({ "error": "Request body must be valid JSON" }));
    };
    let Some(ids) = body["job_ids"].as_array() else {
        return bad(json!({ "error": "job_ids must be a list" }));
    };
    let invalid: Vec<String> = ids
        .iter()
        .filter(|id| !id.as_str().is_some_and(is_canonical))
        .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned))
        .collect();
    if !invalid.is_empty() {
        return bad(json!({ "error": "job_ids contains invalid id(s)", "invalid_ids": invalid }));
    }
    // All of them, even after the first that could be cancelled.
    let cancelled = ids
        .iter()
        .filter_map(Json::as_str)
        .filter(|id| cancel_one(&world, id))
        .count();
    reply::json(&json!({ "cancelled": cancelled > 0 }))
}

fn cancel_one(world: &World, id: &str) -> bool {
    world.queue.interrupt_if_running(id, &world.interrupt) || world.queue.delete(id)
}
