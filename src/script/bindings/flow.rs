//! What a script says while it runs, and what it asks of time and chance.

use std::time::Duration;

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{FLOAT, INT, exported_module};

use super::{SharedModule, indexed};
use crate::script::host::{Context, Progress};

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use serde_json::json;

    use crate::failure::Failure;
    use crate::script::value::to_dynamic;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// Tells the caller what the script is doing.
    /// Example: ``progress(`picture ${i + 1} of 4`, i / 4.0)``
    pub fn progress(call: NativeCallContext, message: &str) {
        let message = message.to_owned();
        Context::of(&call).report(Progress::Stage {
            message,
            fraction: None,
        });
    }

    /// Tells the caller that the script is at its beginning (0) or its end (1).
    #[rhai_fn(name = "progress")]
    pub fn progress_whole(call: NativeCallContext, message: &str, fraction: INT) {
        progress_fraction(call, message, if fraction > 0 { 1.0 } else { 0.0 });
    }

    /// Tells the caller what the script is doing and how far it is, 0 to 1.
    #[rhai_fn(name = "progress")]
    pub fn progress_fraction(call: NativeCallContext, message: &str, fraction: FLOAT) {
        let message = message.to_owned();
        let fraction = Some(fraction.clamp(0.0, 1.0));
        Context::of(&call).report(Progress::Stage { message, fraction });
    }

    /// A random seed from 0 to 2^53 - 1.
    /// Throws nothing.
    /// Example: `let seed = random_seed();`
    #[rhai_fn(return_raw)]
    pub fn random_seed(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("random_seed", json!([]), || {
            Ok(to_dynamic(context.host.ids.seed().into()))
        })
    }

    /// The present moment as text: `2026-01-27T10:30:45Z`.
    /// Throws nothing.
    /// Example: ``log("info", `begun at ${now()}`)``
    #[rhai_fn(return_raw)]
    pub fn now(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("now", json!([]), || {
            Ok(context.host.clock.now().to_string().into())
        })
    }

    /// Waits for a number of seconds, or until the caller cancels.
    /// Throws a text for a time below 0.
    /// Example: `sleep(2.5)`
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_whole(call: NativeCallContext, seconds: INT) -> Fallible<()> {
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        sleep(call, seconds as FLOAT)
    }

    /// Waits for a number of seconds, or until the caller cancels.
    #[rhai_fn(return_raw)]
    pub fn sleep(call: NativeCallContext, seconds: FLOAT) -> Fallible<()> {
        let duration = Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("can't sleep for {seconds} seconds"))?;
        let context = Context::of(&call);
        let slept = context.once("sleep", json!([seconds]), || {
            context.wait(async {
                tokio::time::sleep(duration).await;
                Ok::<_, Failure>(Dynamic::UNIT)
            })
        });
        slept.map(|_| ())
    }
}
