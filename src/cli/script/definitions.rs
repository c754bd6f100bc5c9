//! `mmf script definitions`: what scripts can call, for editors with the Rhai language server.

use std::fs;
use std::path::{Path, PathBuf};

use super::docs::write;
use crate::cli::args::Global;
use crate::cli::report::counted;
use crate::cli::script_args::ScriptDefinitionsArgs;
use crate::cli::{Ended, Stopped, report};
use crate::config::Config;
use crate::script::definitions as files;

/// The language server's file of settings, which it looks for at the top of a workspace.
const SETTINGS: &str = "Rhai.toml";

pub(super) fn definitions(global: &Global, args: &ScriptDefinitionsArgs) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let scripts = config.own_scripts();
    let default = || scripts.join("definitions");
    let folder = args.folder.clone().unwrap_or_else(default);
    if args.check {
        return Ok(check(&folder));
    }
    let mut changed = 0;
    for file in files() {
        changed += usize::from(write(&folder, &file.file, &file.text)?);
    }
    report::line(folder.display());
    report::note(format_args!("{} written", counted(changed, "file")));
    settings(&config.project_dir, &scripts, &folder)?;
    Ok(Ended::Well)
}

/// Names the files that are not as this program would write them.
fn check(folder: &Path) -> Ended {
    let is_other =
        |path: &PathBuf, text: &str| !fs::read_to_string(path).is_ok_and(|it| it == text);
    let mut ended = Ended::Well;
    for file in files() {
        let path = folder.join(&file.file);
        if is_other(&path, &file.text) {
            report::line(path.display());
            ended = Ended::Different;
        }
    }
    if ended == Ended::Different {
        report::note("these are not of this version; `mmf script definitions` writes them");
    }
    ended
}

/// Tells the language server where scripts and definitions are, unless somebody told it already.
fn settings(project: &Path, scripts: &Path, folder: &Path) -> Result<(), Stopped> {
    let path = project.join(SETTINGS);
    if path.exists() {
        return Ok(());
    }
    let shown = |path: &Path| {
        let path = path.strip_prefix(project).unwrap_or(path);
        path.display().to_string().replace('\\', "/")
    };
    let text = format!(
        "# For the Rhai language server: where scripts are, and the definitions of what they can call.\n\
         [source]\ninclude = [\"{}/**/*.rhai\", \"{}/*.d.rhai\"]\n",
        shown(scripts),
        shown(folder),
    );
    write(project, SETTINGS, &text)?;
    report::note(format_args!("{} tells the language server", path.display()));
    Ok(())
}
