//! `mmf call`: an MCP tool from the shell, with the same answer.

use super::args::{CallArgs, Global};
use super::json_argument::object;
use super::progress::Display;
use super::trace::Tracing;
use super::{Ended, Stopped, ask, report, show, start};
use crate::failure::Failure;
use crate::script::{Caller, Reply};

pub(super) async fn call(global: &Global, args: &CallArgs) -> Result<Ended, Stopped> {
    match answer(global, args).await {
        Ok(reply) => {
            show::reply(&reply);
            Ok(Ended::with(&reply.value))
        }
        // A failure is an answer, too: the one that an agent would get.
        Err(failure) => {
            report::json(&failure.to_json());
            Err(Stopped::Reported(Box::new(failure)))
        }
    }
}

async fn answer(global: &Global, args: &CallArgs) -> Result<Reply, Failure> {
    let arguments = object(args.arguments.as_deref().unwrap_or("{}"))?;
    let app = start::app(global, false).await?;
    let tool = app.tool(&args.tool)?;
    let display = Display::start();
    let tracing = args.trace.start();
    let caller = Caller {
        trace: tracing.as_ref().map(Tracing::trace),
        progress: display.sink(),
        conversation: ask::someone(&display),
        ..Caller::default()
    };
    start::cancel_on_interrupt(&caller);
    let result = app.run(tool, arguments, caller).await;
    display.finish();
    if let Some(tracing) = tracing {
        tracing.tell()?;
    }
    Ok(result?)
}
