//! The arguments of `mmf script` as they are written.

use std::path::PathBuf;

use clap::Subcommand;

use crate::script::Kind;

#[derive(Debug, Subcommand)]
pub(super) enum ScriptCommand {
    /// List all scripts, where each comes from and what is wrong with it
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with scripts, without running them (exit code 3 if one can't run)
    Check(ScriptCheckArgs),
    /// Begin a script of your own, with one that runs
    New(ScriptNewArgs),
    /// Run the tests that scripts have of themselves, on a simulator (exit code 1 if one fails)
    Test(ScriptTestArgs),
    /// Document all scripts and all that they can call: Markdown on stdout, or a static site
    Docs(ScriptDocsArgs),
    /// Write definitions of all that scripts can call, for editors with the Rhai language server
    Definitions(ScriptDefinitionsArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ScriptCheckArgs {
    /// Scripts by name or file [default: all]
    #[arg(value_name = "NAME|FILE")]
    pub(super) scripts: Vec<String>,
    /// As JSON, for editors: a list of {path, line, column, end, severity, code, message, hint}
    #[arg(long)]
    pub(super) json: bool,
    /// Warnings count as errors
    #[arg(long)]
    pub(super) strict: bool,
    #[arg(
        long,
        value_name = "URL|FILE",
        help = "What node classes and files are held against: a server, or a file of `mmf nodes snapshot` [default: the server at hand, or else ComfyUI 0.33.0]"
    )]
    pub(super) nodes: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ScriptNewArgs {
    /// template, pipeline, tool, prompt, resource, fixer, hook or lib
    #[arg(value_parser = kind, value_name = "KIND")]
    pub(super) kind: Kind,
    /// What it is called: letters, digits, _ and -
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ScriptTestArgs {
    /// Scripts by name or file, or a part of the names of tests [default: all tests of your own scripts]
    #[arg(value_name = "NAME|FILE")]
    pub(super) names: Vec<String>,
    /// Those of the scripts that come with the program, too
    #[arg(long)]
    pub(super) built_in: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ScriptDocsArgs {
    /// Write a static site into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
    pub(super) html: Option<PathBuf>,
    /// Write Markdown to stdout, as it does anyway
    #[arg(long)]
    pub(super) markdown: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ScriptDefinitionsArgs {
    /// The folder to write into [default: definitions beside your own scripts]
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Write nothing; name the files that are not of this version (exit code 1 if there are any)
    #[arg(long)]
    pub(super) check: bool,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::named(text).ok_or_else(|| {
        let kinds = Kind::ALL.map(Kind::as_str);
        format!("the kinds are {}", kinds.join(", "))
    })
}
