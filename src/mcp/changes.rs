//! Telling clients what changed: the lists, and the resources that they subscribed to.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::SubscriptionContext;
use rmcp::{Peer, RoleServer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Choice;
use super::catalog::Catalog;
use crate::app::App;
use crate::script::Caller;
use crate::script::reply::{Body, Resource};

/// How often a resource that changes by itself is looked at while somebody is subscribed to it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The least time between two words about assets that came or went: a batch makes many.
const ASSETS_EVERY: Duration = Duration::from_secs(1);

/// How often each list has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    tools: u64,
    prompts: u64,
    resources: u64,
}

/// Keeps the catalog in step with the scripts, and counts what really changed.
pub(super) async fn follow(
    app: Arc<App>,
    choice: Choice,
    mut generations: watch::Receiver<u64>,
    catalog: Arc<ArcSwap<Catalog>>,
    versions: watch::Sender<Versions>,
) {
    let mut assets = app.host().assets.subscribe();
    let mut assets_next = Instant::now();
    loop {
        let assets_changed = async {
            sleep_until(assets_next).await;
            assets.changed().await
        };
        tokio::select! {
            changed = generations.changed() => if changed.is_err() {
                return;
            },
            changed = assets_changed => {
                if changed.is_err() {
                    return;
                }
                assets_next = Instant::now() + ASSETS_EVERY;
                versions.send_modify(|versions| versions.resources += 1);
                continue;
            }
        }
        let next = Arc::new(Catalog::of(&app.library().generation(), &choice));
        let before = catalog.swap(next.clone());
        versions.send_if_modified(|versions| {
            let counted = *versions;
            versions.tools += u64::from(before.tools != next.tools);
            versions.prompts += u64::from(before.prompts != next.prompts);
            versions.resources += u64::from(!before.lists_resources_as(&next));
            *versions != counted
        });
    }
}

/// Tells a client of the earlier lifecycles about each change of a list since `told`, the time of
/// its greeting, until it is gone: what changes between the greeting and this is told, too.
pub(super) async fn tell(
    mut told: Versions,
    mut versions: watch::Receiver<Versions>,
    peer: Peer<RoleServer>,
) {
    while versions.changed().await.is_ok() {
        let now = *versions.borrow_and_update();
        let mut sent = Ok(());
        if now.tools != told.tools {
            sent = sent.and(peer.notify_tool_list_changed().await);
        }
        if now.prompts != told.prompts {
            sent = sent.and(peer.notify_prompt_list_changed().await);
        }
        if now.resources != told.resources {
            sent = sent.and(peer.notify_resource_list_changed().await);
        }
        if sent.is_err() {
            return;
        }
        told = now;
    }
}

/// Tells a client that listens, as from 2026-07-28 on, what it wants to hear until it leaves.
pub(super) async fn listen(
    app: Arc<App>,
    mut versions: watch::Receiver<Versions>,
    context: SubscriptionContext,
) {
    let sink = context.sink();
    let accepted = context.accepted();
    let wants = |said: Option<bool>| said == Some(true);
    let (sender, mut updated) = mpsc::channel(1);
    let mut watching = JoinSet::new();
    for uri in accepted.resource_subscriptions.iter().flatten() {
        let (app, uri, sender) = (app.clone(), uri.clone(), sender.clone());
        watching.spawn(async move {
            let mut watched = Watched::new(app, uri).await;
            loop {
                watched.changed().await;
                if sender.send(watched.uri.clone()).await.is_err() {
                    return;
                }
            }
        });
    }
    let mut told = *versions.borrow_and_update();
    loop {
        let sent = tokio::select! {
            () = context.cancelled() => return,
            Some(uri) = updated.recv() => sink.notify_resource_updated(uri).await,
            changed = versions.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = *versions.borrow_and_update();
                let mut sent = Ok(());
                if now.tools != told.tools && wants(accepted.tools_list_changed) {
                    sent = sent.and(sink.notify_tool_list_changed().await);
                }
                if now.prompts != told.prompts && wants(accepted.prompts_list_changed) {
                    sent = sent.and(sink.notify_prompt_list_changed().await);
                }
                if now.resources != told.resources && wants(accepted.resources_list_changed) {
                    sent = sent.and(sink.notify_resource_list_changed().await);
                }
                told = now;
                sent
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Tells a client of the earlier lifecycles about each change of a resource until it is gone.
pub(super) async fn tell_updates(mut watched: Watched, peer: Peer<RoleServer>) {
    loop {
        watched.changed().await;
        let param = ResourceUpdatedNotificationParam::new(&watched.uri);
        if peer.notify_resource_updated(param).await.is_err() {
            return;
        }
    }
}

/// A resource that somebody is subscribed to.
pub(super) struct Watched {
    app: Arc<App>,
    uri: String,
    generations: watch::Receiver<u64>,
    /// What stood there, as a hash.
    seen: blake3::Hash,
}

impl Watched {
    pub(super) async fn new(app: Arc<App>, uri: String) -> Self {
        let generations = app.library().subscribe();
        let mut watched = Self {
            app,
            uri,
            generations,
            seen: blake3::hash(b""),
        };
        watched.seen = watched.look().await;
        watched
    }

    /// Waits until something else stands there. What changes by itself says so (`live`) and is
    /// looked at now and then; anything may change with the scripts.
    async fn changed(&mut self) {
        loop {
            let next_look = Instant::now() + LOOK_EVERY;
            let live = self.says("live");
            tokio::select! {
                changed = self.generations.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
                () = sleep_until(next_look), if live => {}
            }
            let now = self.look().await;
            if std::mem::replace(&mut self.seen, now) != now {
                return;
            }
        }
    }

    /// What stands there, as a hash. What says that it never changes (`immutable`) is not read: a
    /// clip may be large.
    async fn look(&self) -> blake3::Hash {
        if self.says("immutable") {
            return blake3::hash(b"immutable");
        }
        look(&self.app, &self.uri).await
    }

    /// Whether the script says this of what stands there.
    fn says(&self, fact: &str) -> bool {
        let found = self.app.resource(&self.uri);
        found.is_some_and(|(found, _)| {
            let meta = &found.served.script.declaration.meta;
            meta.get(fact).is_some_and(|said| said == true)
        })
    }
}

/// What stands at an address, as a hash.
async fn look(app: &App, uri: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    if let Some((found, variables)) = app.resource(uri) {
        match app.read(found, uri, variables, Caller::default()).await {
            Ok(contents) => contents.iter().for_each(|part| update(&mut hasher, part)),
            // That it can't be read is what is to be seen, not why this time.
            Err(_) => drop(hasher.update(b"unreadable")),
        }
    }
    hasher.finalize()
}

fn update(hasher: &mut blake3::Hasher, part: &Resource) {
    hasher.update(part.uri.as_bytes());
    match &part.body {
        Body::Text(text) => hasher.update(text.as_bytes()),
        Body::Bytes(bytes) => hasher.update(bytes),
    };
}
