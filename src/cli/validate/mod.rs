//! `mmf validate`: what is wrong with a workflow, shown the way a good compiler shows it.

mod bulk;
mod fix;
mod places;
mod show;
mod source;
mod splice;

use serde_json::json;

use self::show::Stream;
pub(super) use self::show::{advice, tally};
use self::source::ApiFormat;
use super::args::{Global, ValidateArgs};
use super::facts::Facts;
use super::workflow_file::{WorkflowFile, lost};
use super::{Ended, Stopped, report};
use crate::comfy::check::Finding;

pub(super) async fn validate(global: &Global, args: &ValidateArgs) -> Result<Ended, Stopped> {
    let told = match (&args.file, args.jsonl) {
        (_, true) => bulk(global, args).await,
        (Some(file), false) => one(global, args, file).await,
        // The command line asks for one of them.
        (None, false) => Ok(Ended::Invalid),
    };
    if args.json {
        told.map_err(Stopped::told_as_json)
    } else {
        told
    }
}

async fn bulk(global: &Global, args: &ValidateArgs) -> Result<Ended, Stopped> {
    let facts = Facts::choose(global, args.nodes.as_deref()).await?;
    let facts = facts.by_the_letter();
    let judged = tokio::task::spawn_blocking(move || bulk::judge(&facts));
    let all_valid = judged.await.map_err(|died| {
        crate::failure::Failure::new(crate::failure::Code::INTERNAL_ERROR, died.to_string())
    })??;
    Ok(if all_valid {
        Ended::Well
    } else {
        Ended::Invalid
    })
}

async fn one(global: &Global, args: &ValidateArgs, file: &str) -> Result<Ended, Stopped> {
    // Read first: a file that isn't there is told without asking a server.
    let given = WorkflowFile::read(file)?;
    let facts = Facts::choose(global, args.nodes.as_deref()).await?;
    if args.mend.fix && args.json {
        given.tell_losses();
    }
    let given = ApiFormat::of(given, &facts)?;
    if args.mend.write {
        fix::can_be_written(&given, file)?;
    }
    if args.mend.fix {
        return fixed(global, args, file, given, &facts);
    }
    let report = facts.judge(&given.prompt, &given.big);
    if args.json {
        let mut told = report.to_json(&facts.nodes, facts.knowledge());
        told["judged_by"] = json!(facts.origin);
        report::json(&given.big.restore(&told));
    } else {
        let findings: Vec<&Finding> = report.told().collect();
        show::all(&given, &findings, &facts, Stream::Out);
    }
    Ok(if report.is_valid() {
        Ended::Well
    } else {
        Ended::Invalid
    })
}

/// Mends it first: what was done, then what is left.
fn fixed(
    global: &Global,
    args: &ValidateArgs,
    file: &str,
    given: ApiFormat,
    facts: &Facts,
) -> Result<Ended, Stopped> {
    let fixed = fix::fix(global, given, facts)?;
    let left = &fixed.repaired.report;
    let findings: Vec<&Finding> = left.told().collect();
    // Before anything is told: a failure tells something else.
    let is_written = args.mend.write && fixed.write(file)?;
    if args.json {
        let mut told = left.to_json(&facts.nodes, facts.knowledge());
        fixed.add_to(&mut told);
        told["judged_by"] = json!(facts.origin);
        report::json(&fixed.given.big.restore(&told));
    } else if file == "-" {
        let text = fixed.given.verbatim.as_ref();
        report::line(text.unwrap_or(&fixed.given.text).trim_end());
        if !fixed.loses_nothing {
            report::note(lost("stdin"));
        }
        fixed.show(Stream::Err);
        show::all(&fixed.given, &findings, facts, Stream::Err);
    } else {
        fixed.show(Stream::Out);
        show::all(&fixed.given, &findings, facts, Stream::Out);
    }
    if is_written {
        report::note(format_args!("{file} was written"));
    }
    Ok(if left.is_valid() {
        Ended::Well
    } else {
        Ended::Invalid
    })
}
