//! `mmf jobs`: what became of the jobs that were submitted here.

use serde_json::{Value, json};

use super::args::{Global, JobsArgs};
use super::{Ended, Stopped, report};
use crate::clock::Clock;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::ids::Ids;
use crate::jobs::{JobQuery, JobRecord, JobStatus, Ledger};
use crate::script::runs::{Record, Runs};

pub(super) async fn jobs(global: &Global, args: &JobsArgs) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let ledger = Ledger::new(config.jobs_dir(), Clock::default(), Ids::default());
    if let Some(prompt_id) = &args.prompt_id {
        let found = ledger.find(prompt_id).await?;
        let (_, job) = found.ok_or_else(|| {
            Failure::new(
                Code::NOT_FOUND,
                format!("no job {prompt_id} was submitted here"),
            )
            .hint("mmf jobs lists those that were")
        })?;
        report::json(&json!(job));
        return Ok(Ended::Well);
    }
    let runs = Runs::new(
        config.runs_dir(),
        config.asset_ttl,
        Clock::default(),
        Ids::default(),
    );
    let interrupted = match args.status {
        None => runs.interrupted(),
        Some(_) => vec![],
    };
    let query = JobQuery {
        status: args.status,
        ..JobQuery::default()
    };
    let found = ledger.list(query, args.limit).await?;
    if args.json {
        let jobs: Vec<Value> = found.iter().map(|(_, job)| summary(job)).collect();
        let mut told = json!({ "jobs": jobs });
        if !interrupted.is_empty() {
            let runs: Vec<Value> = interrupted.iter().map(run_summary).collect();
            told["interrupted_runs"] = runs.into();
        }
        report::json(&told);
        return Ok(Ended::Well);
    }
    if found.is_empty() {
        report::note("no jobs");
    }
    for (_, job) in &found {
        report::line(line(job));
    }
    for run in &interrupted {
        report::note(format_args!(
            "{} was interrupted: mmf run --resume {} goes on with it",
            run.tool, run.run_id
        ));
    }
    Ok(Ended::Well)
}

/// What a listing says of a run of the shell.
fn run_summary(run: &Record) -> Value {
    json!({
        "run_id": run.run_id,
        "script": run.tool,
        "arguments": run.arguments,
        "created_at": run.created_at,
    })
}

/// What a listing says; the whole record has the workflow, too.
fn summary(job: &JobRecord) -> Value {
    let mut summary = json!({
        "prompt_id": job.prompt_id,
        "status": job.status,
        "created_at": job.created_at,
        "outputs": job.outputs,
    });
    if let Some(script) = &job.origin.script {
        summary["script"] = json!(script.name);
    }
    if let Some(seconds) = seconds(job) {
        summary["seconds"] = json!(seconds);
    }
    if let Some(failure) = &job.failure {
        summary["message"] = failure["message"].clone();
    }
    summary
}

/// How long the server worked on it. When a lost job ended nobody knows.
fn seconds(job: &JobRecord) -> Option<f64> {
    if job.status == JobStatus::Lost {
        return None;
    }
    let span = job.ended_at?.duration_since(job.started_at?);
    Some(span.as_secs_f64()).filter(|seconds| *seconds >= 0.0)
}

fn line(job: &JobRecord) -> String {
    let at = job.created_at.strftime("%Y-%m-%d %H:%M:%S");
    let took = seconds(job).map_or_else(String::new, |seconds| format!("{seconds:.1} s"));
    let script = job.origin.script.as_ref();
    let name = script.map_or("a workflow", |script| script.name.as_str());
    let end = match &job.failure {
        Some(failure) => failure["message"].as_str().unwrap_or_default().to_owned(),
        None => match job.outputs.len() {
            0 => String::new(),
            1 => "1 output".to_owned(),
            several => format!("{several} outputs"),
        },
    };
    let line = format!(
        "{}  {at}  {:9}  {took:>9}  {name}  {end}",
        job.prompt_id,
        job.status.as_str(),
    );
    line.trim_end().to_owned()
}

/// Reads a status as it is written.
pub(super) fn status(word: &str) -> Result<JobStatus, String> {
    let found = JobStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == word);
    found.ok_or_else(|| {
        let known = JobStatus::ALL.map(JobStatus::as_str).join(", ");
        format!("a job is one of {known}")
    })
}
