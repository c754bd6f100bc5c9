//! Lists of assets, newest first.

use super::asset::{Asset, Kind, key};
use super::{AssetError, Assets};
use crate::store::{Key, Row};

/// How many assets a page has if nothing else is asked for.
const DEFAULT_LIMIT: usize = 20;

/// No page has more.
const MAX_LIMIT: usize = 1000;

/// Rows are read this many at a time when many don't match.
const BATCH: usize = 512;

/// Totals that need a look at every row are given up beyond this many: a few milliseconds.
const COUNTABLE_ROWS: u64 = 500;

/// Totals that need a look at everything that has expired are given up beyond this many.
const COUNTABLE: u64 = 2_000;

/// Which assets to list. The default is all that haven't expired.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only this session's.
    pub session: Option<String>,
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only what the script (or template) of this name made.
    pub script: Option<String>,
    /// Only those in whose prompt preview or file name all these words are, whatever their case.
    pub text: Option<String>,
    /// Also those past their time that haven't been removed yet.
    pub include_expired: bool,
    /// How many at most, 1 to 1000; 0 stands for 20.
    pub limit: usize,
    /// Only those older than this asset; take it from [`Page::next`].
    pub before: Option<String>,
}

/// Some assets, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The assets.
    pub assets: Vec<Asset>,
    /// How many match on all pages together; `None` if only reading hundreds of rows could tell.
    pub total: Option<u64>,
    /// What to pass as [`Query::before`] for the next page; `None` on the last one.
    pub next: Option<String>,
}

impl Assets {
    /// Lists assets from the newest to the oldest.
    pub fn list(&self, query: &Query) -> Result<Page, AssetError> {
        let limit = match query.limit {
            0 => DEFAULT_LIMIT,
            limit => limit.min(MAX_LIMIT),
        };
        let plan = self.plan(query)?;
        let mut assets = Vec::with_capacity(limit);
        let mut before = query.before.clone();
        let mut batch = limit + 1;
        let mut fitting = 0;
        loop {
            let rows = self
                .store
                .newest(plan.key.as_ref(), before.as_deref(), batch)?;
            let last = rows.len() < batch;
            before = rows.last().map(|(id, _)| id.clone());
            for (id, row) in rows {
                if !plan.fits(&row) {
                    continue;
                }
                fitting += 1;
                if assets.len() == limit {
                    let next = assets.last().map(|asset: &Asset| asset.asset_id.clone());
                    return Ok(Page {
                        assets,
                        total: self.total(&plan)?,
                        next,
                    });
                }
                // Removed or damaged since it was indexed: the rest of the list is still good.
                match self.read(&id) {
                    Ok(asset) => assets.extend(asset),
                    Err(error) => tracing::warn!(%error, id, "left out of a list"),
                }
            }
            if last {
                // Whoever has seen everything needn't count.
                let total = match query.before {
                    None => Some(fitting),
                    Some(_) => self.total(&plan)?,
                };
                return Ok(Page {
                    assets,
                    total,
                    next: None,
                });
            }
            batch = BATCH;
        }
    }

    /// Of the newest `newest` assets the ids of those whose id begins with `typed` or whose prompt
    /// preview or file name contains it, whatever its case.
    pub fn ids_like(&self, typed: &str, newest: usize) -> Result<Vec<String>, AssetError> {
        let sought = typed.to_lowercase();
        let plan = self.plan(&Query::default())?;
        let rows = self.store.newest(None, None, newest)?;
        let like = rows.into_iter().filter(|(id, row)| {
            plan.fits(row) && (id.starts_with(&sought) || row.text.contains(&sought))
        });
        Ok(like.map(|(id, _)| id).collect())
    }

    /// Walks along the rarest of the keys asked for and looks at the rows for the others.
    fn plan(&self, query: &Query) -> Result<Plan, AssetError> {
        let keys = [
            query
                .session
                .as_ref()
                .map(|session| Key::new(key::SESSION, session)),
            query.kind.map(|kind| Key::new(key::KIND, kind.as_str())),
            query
                .script
                .as_ref()
                .map(|script| Key::new(key::SCRIPT, script)),
        ];
        let mut counted = Vec::new();
        for key in keys.into_iter().flatten() {
            counted.push((self.store.count(Some(&key))?, key));
        }
        counted.sort_by_key(|(count, _)| *count);
        let mut keys = counted.into_iter().map(|(_, key)| key);
        Ok(Plan {
            key: keys.next(),
            others: keys.collect(),
            words: query
                .text
                .iter()
                .flat_map(|text| {
                    text.to_lowercase()
                        .split_whitespace()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                })
                .collect(),
            expired_up_to: (!query.include_expired)
                .then(|| super::asset::expires_value(self.now())),
        })
    }

    fn total(&self, plan: &Plan) -> Result<Option<u64>, AssetError> {
        let count = self.store.count(plan.key.as_ref())?;
        if !plan.others.is_empty() || !plan.words.is_empty() {
            if count > COUNTABLE_ROWS {
                return Ok(None);
            }
            let rows = self.store.newest(plan.key.as_ref(), None, usize::MAX)?;
            return Ok(Some(
                rows.iter().filter(|(_, row)| plan.fits(row)).count() as u64
            ));
        }
        let Some(now) = &plan.expired_up_to else {
            return Ok(Some(count));
        };
        let limit = usize::try_from(COUNTABLE).unwrap_or(usize::MAX);
        let expired = self.store.up_to(key::EXPIRES, now, limit)?;
        if expired.len() == limit {
            return Ok(None);
        }
        let mut gone = 0;
        for id in expired {
            let counted = match &plan.key {
                Some(key) => self.store.row(&id)?.is_some_and(|row| row.has(key)),
                None => true,
            };
            gone += u64::from(counted);
        }
        Ok(Some(count.saturating_sub(gone)))
    }
}

struct Plan {
    key: Option<Key>,
    others: Vec<Key>,
    words: Vec<String>,
    expired_up_to: Option<String>,
}

impl Plan {
    fn fits(&self, row: &Row) -> bool {
        let expired = match (&self.expired_up_to, row.value(key::EXPIRES)) {
            (Some(now), Some(at)) => at <= now.as_str(),
            _ => false,
        };
        !expired
            && self.others.iter().all(|key| row.has(key))
            && self
                .words
                .iter()
                .all(|word| row.text.contains(word.as_str()))
    }
}
