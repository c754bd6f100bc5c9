//! `resources/list`: what resource scripts list, page by page.
//!
//! There may be a million assets, so a page is made only when it is asked for: where one ends, its
//! cursor says which script goes on from where.

use rmcp::ErrorData;
use rmcp::model::{ListResourcesResult, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::catalog;
use super::content::resource_of;
use crate::app::{App, Found};
use crate::script::{Kind, Served};

/// How many resources a page has.
const PAGE: usize = 100;

/// How many listings in a row may be empty though more is said to follow.
const MOST_EMPTY: usize = 16;

/// Where a page ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Cursor {
    /// The script that goes on.
    script: String,
    /// What its listing said where to go on.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    after: Value,
    /// How many of its entries from there have been listed.
    #[serde(default)]
    listed: usize,
}

pub(super) async fn list(
    app: &App,
    cursor: Option<&str>,
) -> Result<ListResourcesResult, ErrorData> {
    let mut at = match cursor {
        None => Cursor::default(),
        Some(cursor) => serde_json::from_str(cursor).map_err(|_| {
            ErrorData::invalid_params("no such page: list from the beginning", None)
        })?,
    };
    let generation = app.library().generation();
    let mut page = vec![];
    let mut scripts: Vec<_> = generation.of_kind(Kind::Resource).collect();
    scripts.sort_by(|one, other| place(one).cmp(&place(other)));
    // A script that went meanwhile is passed over with those before it, as far as can be told.
    let first = scripts
        .iter()
        .position(|served| served.script.key.name == at.script);
    let scripts = &scripts[first.unwrap_or(0)..];
    for served in scripts {
        let name = &served.script.key.name;
        if *name != at.script {
            at = Cursor {
                script: name.clone(),
                ..Cursor::default()
            };
        }
        let found = Found {
            generation: generation.clone(),
            served: Served::clone(served),
        };
        if let Some(further) = fill(app, &found, at.clone(), &mut page).await {
            return Ok(result(page, Some(&further)));
        }
    }
    Ok(result(page, None))
}

/// What is few comes first: who takes only the first page sees the queue, scripts and templates
/// before a hundred assets. A listing that takes where to go on from is that of many.
fn place(served: &Served) -> (bool, &str) {
    (served.script.lists_pages(), &served.script.key.name)
}

fn result(page: Vec<Resource>, cursor: Option<&Cursor>) -> ListResourcesResult {
    let mut result = ListResourcesResult::with_all_items(page);
    result.next_cursor = cursor.and_then(|cursor| serde_json::to_string(cursor).ok());
    result
}

/// Adds what a script lists, and says where to go on if the page is full before its end. A script
/// that can't list at the moment does not keep the others from it.
async fn fill(
    app: &App,
    found: &Found,
    mut at: Cursor,
    page: &mut Vec<Resource>,
) -> Option<Cursor> {
    if page.len() == PAGE {
        return Some(at);
    }
    if let Some(resource) = catalog::resource(&found.served.script) {
        page.push(resource);
        return None;
    }
    let mut empty = 0;
    loop {
        let after = Some(at.after.clone()).filter(|after| !after.is_null());
        let listing = match app.list(found.clone(), after).await {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!("{} could not be listed: {error}", found.served.script.key);
                return None;
            }
        };
        empty = if listing.links.is_empty() {
            empty + 1
        } else {
            0
        };
        if empty > MOST_EMPTY {
            let key = &found.served.script.key;
            tracing::warn!("{key} lists nothing and says that more follows, again and again");
            return None;
        }
        let mut links = listing.links.into_iter().skip(at.listed);
        let room = PAGE - page.len();
        let taken: Vec<Resource> = links.by_ref().take(room).map(resource_of).collect();
        at.listed += taken.len();
        page.extend(taken);
        if links.next().is_some() {
            return Some(at);
        }
        at.after = listing.next?;
        at.listed = 0;
        if page.len() == PAGE {
            return Some(at);
        }
    }
}
