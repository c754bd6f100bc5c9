//! `mmf script`: the scripts at hand, and what their authors do with them.

mod check;
mod definitions;
mod docs;
mod html;
mod list;
mod new;
mod test;

use super::args::Global;
use super::script_args::ScriptCommand;
use super::{Ended, Stopped};

pub(super) async fn script(global: &Global, command: ScriptCommand) -> Result<Ended, Stopped> {
    let (ended, json) = match command {
        ScriptCommand::List { json } => (list::list(global, json), json),
        ScriptCommand::Check(args) => (check::check(global, &args).await, args.json),
        ScriptCommand::Test(args) => (test::test(global, &args).await, args.json),
        ScriptCommand::Docs(args) => (docs::docs(global, &args), false),
        ScriptCommand::Definitions(args) => (definitions::definitions(global, &args), false),
        ScriptCommand::New(args) => (new::new(global, &args), args.json),
    };
    if json {
        ended.map_err(Stopped::told_as_json)
    } else {
        ended
    }
}
