//! `mmf script docs`: all scripts and all that they can call, as Markdown or as a static site.

use std::fs;
use std::path::Path;

use super::html;
use crate::cli::args::Global;
use crate::cli::report::counted;
use crate::cli::script_args::ScriptDocsArgs;
use crate::cli::{Ended, Stopped, report, start};
use crate::failure::{Code, Failure};
use crate::script::pages;

pub(super) fn docs(global: &Global, args: &ScriptDocsArgs) -> Result<Ended, Stopped> {
    let pages = pages(&start::library(global)?.generation());
    let Some(folder) = &args.html else {
        for page in &pages {
            report::line(&page.markdown);
        }
        return Ok(Ended::Well);
    };
    let files = html::site(&pages);
    let mut count = 0;
    for (name, text) in &files {
        count += usize::from(write(folder, name, text)?);
    }
    let changed = counted(count, "file");
    report::line(folder.join("index.html").display());
    report::note(format_args!("{changed} written, of {}", files.len()));
    Ok(Ended::Well)
}

/// Writes a file unless it is as it should be. Says whether it did.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<bool, Failure> {
    let path = folder.join(name);
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.map_err(|error| {
        let message = format!("{} could not be written: {error}", path.display());
        Failure::new(Code::COPY_FAILED, message)
    })?;
    Ok(true)
}
