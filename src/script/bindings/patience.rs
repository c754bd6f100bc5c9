//! What a run that has begun does while the server is away: it waits, as it may be a night's work.

use rhai::EvalAltResult;

use super::jobs::await_server;
use crate::failure::{Code, Failure};
use crate::script::host::{Context, thrown};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// How often a thing is tried whose connection breaks although the server answers.
const TRIES: u32 = 3;

/// Does what needs the server. A run that has begun waits for one that is away.
pub(super) fn patiently<T, E: Into<Failure>>(
    context: &Context,
    work: impl AsyncFn() -> Result<T, E>,
) -> Fallible<T> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let failure = match context.wait(async { Ok::<_, Failure>(work().await) })? {
            Ok(done) => return Ok(done),
            Err(error) => error.into(),
        };
        if left == 0 || failure.code != Code::CONNECTION_ERROR || !context.has_begun("") {
            return Err(thrown(failure));
        }
        await_server(context, &failure, None)?;
    }
}
