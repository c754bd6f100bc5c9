//! A server that is away, and how long it is waited for.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::Fallible;
use crate::failure::Failure;
use crate::script::host::{Context, Progress};

/// How long a run that has begun waits for a server that is away.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Between two looks whether it is back.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often one submission or one wait is taken up again after an outage: a server that answers
/// some requests and never this one would be asked for ever.
pub(super) const OUTAGES: u32 = 16;

/// Waits until the server answers, and gives `why` when that takes too long. Whether it was back
/// before the deadline.
pub(in crate::script::bindings) fn await_server(
    context: &Context,
    why: &Failure,
    deadline: Option<Instant>,
) -> Fallible<bool> {
    let comfy = &context.host.comfy;
    context.report(Progress::Stage {
        message: format!("waits for ComfyUI at {}", comfy.server()),
        fraction: None,
    });
    let gives_up = Instant::now() + PATIENCE;
    let back = async {
        while comfy.queue().await.is_err() {
            if Instant::now() >= gives_up {
                return Err(why.clone());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    };
    context.wait(async {
        match deadline {
            Some(deadline) => tokio::select! {
                biased;
                back = back => back,
                () = sleep_until(deadline) => Ok(false),
            },
            None => back.await,
        }
    })
}

/// Lets some time pass before the server is asked the same again.
pub(super) fn pause(context: &Context) -> Fallible<()> {
    context.wait(async {
        sleep(LOOK_EVERY).await;
        Ok::<(), Failure>(())
    })
}
