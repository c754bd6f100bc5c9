//! Many prompts at once: one a line on stdin, one verdict a line on stdout, in the same order.

use std::io::{BufRead, BufWriter, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use serde_json::{Value, json};

use crate::cli::facts::Facts;
use crate::cli::report;
use crate::cli::workflow_file::without_mark;
use crate::comfy::BigIntegers;
use crate::comfy::json::parse_lenient;
use crate::failure::{Code, Failure};

/// So many lines are judged together, if they are there; none is waited for.
const AT_ONCE: usize = 512;

/// A line and whether what is in it is valid.
struct Judged {
    verdict: String,
    is_valid: bool,
}

/// Judges stdin; false if some prompt is not valid.
pub(super) fn judge(facts: &Facts) -> Result<bool, Failure> {
    let (sender, lines) = sync_channel(AT_ONCE);
    let reading = thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = vec![];
            match input.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(()),
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => {
                    if sender.send(line).is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    });
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut all_valid = true;
    while let Some(batch) = next(&lines) {
        for judged in judge_batch(facts, &batch) {
            all_valid &= judged.is_valid;
            // A reader that has gone away (`| head`) wants no more.
            if !report::is_written(&writeln!(out, "{}", judged.verdict)) {
                return Ok(all_valid);
            }
        }
        if !report::is_written(&out.flush()) {
            return Ok(all_valid);
        }
    }
    match reading.join() {
        Ok(Ok(())) => Ok(all_valid),
        Ok(Err(error)) => {
            let message = format!("stdin can't be read: {error}");
            Err(Failure::new(Code::INTERNAL_ERROR, message))
        }
        Err(_) => Err(Failure::new(Code::INTERNAL_ERROR, "stdin can't be read")),
    }
}

/// The lines that are there, at least one; none at the end.
fn next(lines: &Receiver<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let mut batch = vec![lines.recv().ok()?];
    batch.extend(lines.try_iter().take(AT_ONCE - 1));
    Some(batch)
}

/// Judges lines on all cores, in their order.
fn judge_batch(facts: &Facts, batch: &[Vec<u8>]) -> Vec<Judged> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = batch.len().div_ceil(cores).max(1);
    if cores == 1 || batch.len() < 2 * cores {
        return batch.iter().map(|line| judge_line(facts, line)).collect();
    }
    thread::scope(|scope| {
        let shares = batch.chunks(share);
        let workers: Vec<_> = shares
            .map(|lines| {
                scope.spawn(move || -> Vec<Judged> {
                    lines.iter().map(|line| judge_line(facts, line)).collect()
                })
            })
            .collect();
        let judged = workers.into_iter().zip(batch.chunks(share));
        judged
            .flat_map(|(worker, lines)| {
                // A worker that died is no reason to leave its lines without an answer.
                worker.join().unwrap_or_else(|_| {
                    let answer = |_: &Vec<u8>| refused("this line can't be judged");
                    lines.iter().map(answer).collect()
                })
            })
            .collect()
    })
}

fn judge_line(facts: &Facts, line: &[u8]) -> Judged {
    let line = without_mark(line);
    let value: Value = match parse_lenient(line) {
        Ok(value) => value,
        Err(error) => return refused(&format!("this line is no JSON: {error}")),
    };
    let big = BigIntegers::in_text(&String::from_utf8_lossy(line));
    let prompt = unwrapped(&value);
    let report = facts.judge(prompt, &big);
    let verdict = report.to_verdict();
    let written = serde_json::to_string(&big.restore(&verdict));
    Judged {
        verdict: written.unwrap_or_else(|_| verdict.to_string()),
        is_valid: report.is_valid(),
    }
}

/// The prompt, also as `POST /prompt` takes it: `{"prompt": {...}, ...}`.
fn unwrapped(value: &Value) -> &Value {
    let inner = value.get("prompt");
    let inner = inner.filter(|inner| inner.is_object() && inner.get("class_type").is_none());
    inner.unwrap_or(value)
}

fn refused(reason: &str) -> Judged {
    let verdict = json!({
        "accepted": false,
        "valid": false,
        "errors": [reason],
        "node_errors": {},
        "findings": [],
    });
    Judged {
        verdict: verdict.to_string(),
        is_valid: false,
    }
}
