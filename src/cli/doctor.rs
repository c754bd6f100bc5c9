//! `mmf doctor`: is everything in place, and what to do about it if not.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::args::{DoctorArgs, Global};
use super::{Ended, Stopped, report, start};
use crate::app::App;
use crate::assets::publish::PublishError;
use crate::comfy::Features;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::script::Generation;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            ok: true,
            found: found.into(),
            advice: None,
        }
    }

    fn bad(what: &'static str, failure: impl Into<Failure>) -> Self {
        let failure = failure.into();
        Self {
            what,
            ok: false,
            found: failure.message,
            advice: failure.hint,
        }
    }
}

pub(super) async fn doctor(global: &Global, args: &DoctorArgs) -> Result<Ended, Stopped> {
    let findings = examine(global).await;
    let healthy = findings.iter().all(|finding| finding.ok);
    if args.json {
        report::json(&json!({ "healthy": healthy, "findings": findings }));
    } else {
        show(&findings);
    }
    if healthy {
        return Ok(Ended::Well);
    }
    let failure = Failure::new(Code::TOOL_ERROR, "not everything is in place");
    Err(Stopped::Reported(Box::new(failure)))
}

async fn examine(global: &Global) -> Vec<Finding> {
    let config = match Config::load(&global.overrides()) {
        Ok(config) => config,
        Err(error) => return vec![Finding::bad("settings", error)],
    };
    let mut findings = vec![settings(&config)];
    if !global.sim {
        findings.extend(config.withheld.iter().map(|withheld| {
            let failure = Failure::new(Code::INVALID_PARAMS, withheld);
            Finding::bad(
                "headers",
                failure.hint("set COMFYUI_URL and COMFYUI_HEADERS if they are to be sent there"),
            )
        }));
    }
    findings.extend(config.ignored.iter().map(|ignored| {
        let failure = Failure::new(Code::INVALID_PARAMS, ignored);
        Finding::bad(
            "limits",
            failure.hint("raise it in your own config.toml if you trust the project"),
        )
    }));
    findings.push(writable(
        "data folder",
        &config.data_dir,
        "set MMF_DATA_DIR to a folder of yours",
    ));
    match start::app(global, false).await {
        Ok(app) => {
            findings.push(assets(&app));
            findings.push(scripts(&app.library().generation()));
            server(&app, &mut findings).await;
            findings.push(publishing(&app));
        }
        Err(failure) => findings.push(Finding::bad("start", failure)),
    }
    findings
}

fn show(findings: &[Finding]) {
    for finding in findings {
        let mark = if finding.ok { "ok " } else { "BAD" };
        report::line(format_args!(
            "{mark}  {:14}  {}",
            finding.what, finding.found
        ));
        if let Some(advice) = &finding.advice {
            report::line(format_args!("     {:14}  -> {advice}", ""));
        }
    }
}

fn settings(config: &Config) -> Finding {
    let files: Vec<String> = config
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let found = if files.is_empty() {
        "no files, defaults and environment".to_owned()
    } else {
        files.join(", ")
    };
    Finding::good("settings", found)
}

fn writable(what: &'static str, folder: &Path, advice: &str) -> Finding {
    let probe = folder.join(".mmf-probe");
    let tried = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::good(what, folder.display().to_string()),
        Err(error) => {
            let message = format!("{} can't be written: {error}", folder.display());
            let failure = Failure::new(Code::TOOL_ERROR, message);
            Finding::bad(what, failure.hint(advice))
        }
    }
}

fn assets(app: &App) -> Finding {
    const WHAT: &str = "asset store";
    const GIGABYTE: f64 = 1e9;
    let assets = &app.host().assets;
    let usage = match assets.usage() {
        Ok(usage) => usage,
        Err(error) => return Finding::bad(WHAT, error),
    };
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let gigabytes = |bytes: u64| bytes as f64 / GIGABYTE;
    let limit = usage.max_bytes.map_or_else(String::new, |max_bytes| {
        format!(" of at most {:.1}", gigabytes(max_bytes))
    });
    let found = format!(
        "{}: {} assets, {:.1} GB{limit}",
        assets.dir().display(),
        usage.assets,
        gigabytes(usage.bytes)
    );
    if usage.is_over() {
        let failure = Failure::new(Code::LIMIT_EXCEEDED, found);
        return Finding::bad(
            WHAT,
            failure.hint("what is left is pinned or of the last hour: unpin some with pin_asset, or raise [assets] max_gb"),
        );
    }
    Finding::good(WHAT, found)
}

fn scripts(generation: &Generation) -> Finding {
    let count = generation.listing().len();
    if let Some(problem) = generation.problems().values().next() {
        let broken = generation.problems().len();
        let message = format!("{broken} broken of {count}, first: {}", problem.one_line());
        let failure = Failure::new(Code::SCRIPT_ERROR, message);
        return Finding::bad(
            "scripts",
            failure.hint("`mmf script list` shows each with its line"),
        );
    }
    if let Some(fault) = generation.facts_faults().next() {
        return Finding::bad("scripts", fault.clone());
    }
    if let Some((path, reason)) = generation.unreadable().first() {
        let message = format!("{} can't be read: {reason}", path.display());
        let failure = Failure::new(Code::TOOL_ERROR, message);
        return Finding::bad("scripts", failure.hint("check who may read it"));
    }
    Finding::good("scripts", format!("{count} scripts, none broken"))
}

async fn server(app: &App, findings: &mut Vec<Finding>) {
    let comfy = &app.host().comfy;
    let stats = match comfy.system_stats().await {
        Ok(stats) => stats,
        Err(error) => return findings.push(Finding::bad("ComfyUI", error)),
    };
    let version = comfy.version().await.ok().flatten();
    let version = version.map_or_else(
        || "of unknown version".to_owned(),
        |version| version.to_string(),
    );
    findings.push(Finding::good(
        "ComfyUI",
        format!("{version} at {}", comfy.server()),
    ));
    for device in &stats.devices {
        let gib = |bytes: u64| bytes >> 30;
        let memory = format!(
            "{} GiB free of {}",
            gib(device.vram_free),
            gib(device.vram_total)
        );
        findings.push(Finding::good(
            "device",
            format!("{}: {memory}", device.name),
        ));
    }
    findings.push(match comfy.features().await {
        Ok(features) => Finding::good("features", features_in_words(&features)),
        Err(error) => Finding::bad("features", error),
    });
    findings.push(match comfy.node_facts().await {
        Ok(facts) => Finding::good("node classes", facts.len().to_string()),
        Err(error) => Finding::bad("node classes", error),
    });
}

fn features_in_words(features: &Features) -> String {
    let names: Vec<&str> = features.names().collect();
    if names.is_empty() {
        "none of the newer ones".to_owned()
    } else {
        names.join(", ")
    }
}

fn publishing(app: &App) -> Finding {
    match app.host().publisher.folder() {
        Ok(folder) => writable(
            "publishing",
            &folder,
            "check who may write there, or set [publish] dir to another folder",
        ),
        // Most people publish nothing.
        Err(PublishError::NoFolder { .. }) => Finding::good(
            "publishing",
            "no folder found; make public/gen or set [publish] dir if you want to publish",
        ),
        Err(error) => Finding::bad("publishing", error),
    }
}
