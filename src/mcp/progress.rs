//! A script's signs of life as progress notifications.
//!
//! They are sent in order by a task of their own, because scripts report from threads that must
//! not wait for a client; the task is finished before the call is answered, so that no
//! notification follows its answer.

use std::sync::Arc;

use rmcp::model::{NotificationMetaObject, ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::preview::Previews;
use crate::script::Progress;
use crate::script::course::{Course, Report};

/// Sends progress for one call.
pub(super) struct Reporter {
    sender: mpsc::UnboundedSender<Progress>,
    task: JoinHandle<()>,
}

impl Reporter {
    /// Reports to a client, with pictures of the unfinished result if it wants them.
    pub(super) fn start(peer: Peer<RoleServer>, token: ProgressToken, previews: bool) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut course = Course::default();
            let mut previews = previews.then(Previews::default);
            while let Some(progress) = receiver.recv().await {
                let picture = match &mut previews {
                    Some(previews) => previews.take(&progress, Instant::now()).await,
                    None => None,
                };
                let report = match &picture {
                    Some(_) => Some(course.again()),
                    None => course.next(&progress),
                };
                let Some(report) = report else {
                    continue;
                };
                let param = notification(token.clone(), report, picture);
                if peer.notify_progress(param).await.is_err() {
                    return;
                }
            }
        });
        Self { sender, task }
    }

    /// What a script's caller calls with each sign of life.
    pub(super) fn sink(&self) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let sender = self.sender.clone();
        Arc::new(move |progress| {
            // The client may have gone; its call is being cancelled then.
            let _ = sender.send(progress);
        })
    }

    /// Waits until everything is sent. All sinks must have been dropped.
    pub(super) async fn finish(self) {
        drop(self.sender);
        // It ends by itself when nothing more can come.
        let _ = self.task.await;
    }
}

fn notification(
    token: ProgressToken,
    report: Report,
    picture: Option<serde_json::Value>,
) -> ProgressNotificationParam {
    let mut param = ProgressNotificationParam::new(token, report.progress);
    param.total = report.total;
    param.message = Some(report.message);
    param.meta = picture.map(|picture| {
        let mut meta = NotificationMetaObject::default();
        meta.insert("mmf/preview".to_owned(), picture);
        meta
    });
    param
}
