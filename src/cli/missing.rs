//! What a server lacks to run a workflow, as people read it: a small table of the files to fetch.

use serde_json::{Value, json};

use super::report;
use crate::script::{Lacking, NodePack};

/// What stands where nothing is known.
const UNKNOWN: &str = "?";

/// Says on stderr what is lacking, if anything is.
pub(super) fn tell(lacking: &Lacking) {
    for line in table(&json!(lacking.missing_models)) {
        report::note(line);
    }
    for advice in lacking.missing_packs.iter().map(NodePack::advice) {
        report::note(format_args!("missing nodes: {advice}"));
    }
    for warning in &lacking.warnings {
        report::note(format_args!("warning: {warning}"));
    }
}

/// The lines of a table of missing files, as failures carry them; none without any.
pub(super) fn table(missing: &Value) -> Vec<String> {
    let missing = missing.as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |one: &Value| [file(one), folder(one), size(one), source(one)];
    let head = ["missing file", "belongs into", "size", "from"].map(str::to_owned);
    let mut rows: Vec<[String; 4]> = vec![];
    for one in missing.iter().map(row) {
        // Several nodes may load one file.
        if !rows.contains(&one) {
            rows.push(one);
        }
    }
    if rows.is_empty() {
        return vec![];
    }
    rows.insert(0, head);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let [first, second, third] = [0, 1, 2].map(|at| width(at).unwrap_or_default());
    let line = |[file, folder, size, source]: &[String; 4]| {
        format!("  {file:first$}  {folder:second$}  {size:>third$}  {source}")
    };
    rows.iter().map(line).collect()
}

fn file(one: &Value) -> String {
    one["file"].as_str().unwrap_or(UNKNOWN).to_owned()
}

fn folder(one: &Value) -> String {
    let folder = one["folder"].as_str();
    folder.map_or_else(|| UNKNOWN.to_owned(), |folder| format!("models/{folder}"))
}

/// A file's own size; else that of all files of its model, which is more.
fn size(one: &Value) -> String {
    match (one["gib"].as_f64(), one["download_gb"].as_f64()) {
        (Some(gib), _) if gib < 0.1 => format!("{:.0} MiB", gib * 1024.0),
        (Some(gib), _) => format!("{gib:.1} GiB"),
        (None, Some(all)) => format!("{all:.1} GB in all"),
        (None, None) => UNKNOWN.to_owned(),
    }
}

fn source(one: &Value) -> String {
    one["url"].as_str().unwrap_or(UNKNOWN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_a_line_with_where_it_belongs_how_large_it_is_and_where_it_is_from() {
        let flux = json!({ "file": "flux.safetensors", "folder": "diffusion_models", "gib": 33.02,
            "url": "https://example.com/flux.safetensors" });
        let missing = json!([
            flux,
            { "file": "ae.sft", "folder": "vae", "gib": 0.05 },
            { "file": "fox.sft", "download_gb": 7.0 },
            flux,
        ]);
        assert_eq!(
            table(&missing),
            [
                "  missing file      belongs into                      size  from",
                "  flux.safetensors  models/diffusion_models       33.0 GiB  https://example.com/flux.safetensors",
                "  ae.sft            models/vae                      51 MiB  ?",
                "  fox.sft           ?                        7.0 GB in all  ?",
            ]
        );
        assert!(table(&json!([])).is_empty() && table(&Value::Null).is_empty());
    }
}
