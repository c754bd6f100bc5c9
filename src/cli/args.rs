//! The arguments as they are written.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use super::jobs::status;
use super::many::{BatchOptions, SweepOptions};
use super::run_args::{RunOptions, TemplateOptions};
use super::script_args::ScriptCommand;
use super::script_options::{DevOptions, ExportOptions};
use super::trace::TraceOption;
use crate::config::Overrides;
use crate::jobs::JobStatus;
use crate::sim::Fault;

/// Scripts for `ComfyUI`: MCP server, command line and simulator in one.
#[derive(Debug, Parser)]
#[command(name = "mmf", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What can be said to every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Global {
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Address of ComfyUI [default: http://127.0.0.1:8188] [env: COMFYUI_URL]"
    )]
    pub(super) url: Option<String>,
    /// Work on a simulator within this process instead of a server
    #[arg(long, global = true)]
    pub(super) sim: bool,
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help = "Folder of assets and of your own scripts [env: MMF_DATA_DIR]"
    )]
    pub(super) data_dir: Option<PathBuf>,
    /// What goes wrong in the simulator, such as oom@KSampler*1, slow=50ms, fail@5:message, drop=3
    #[arg(long = "fault", global = true, value_name = "FAULT")]
    pub(super) faults: Vec<Fault>,
    /// Tell more on stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

impl Global {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            url: self.url.clone(),
            data_dir: self.data_dir.clone(),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// See it work, without ComfyUI and without a graphics card
    Demo(DemoArgs),
    /// Run a template, pipeline or tool by name, or any script file
    Run(RunArgs),
    /// Run a template or a workflow once for each row of a table, or each picture of a folder
    Batch(BatchArgs),
    /// Run a template or a workflow with every combination of some values
    Sweep(SweepArgs),
    /// Follow a script while it is written: what each save changes, what is wrong, what it makes
    Dev(DevArgs),
    /// Try scripting out: an input a line, with what those before it left behind
    Repl,
    /// Call an MCP tool and print its answer as JSON
    Call(CallArgs),
    /// Serve MCP over stdin and stdout, or over HTTP
    Serve(ServeArgs),
    /// Serve a simulated ComfyUI
    Sim(SimArgs),
    /// Write a workflow in another format to stdout
    Convert(ConvertArgs),
    /// Make a template of your own out of a workflow from anywhere
    Import(ImportArgs),
    /// Write the workflow that a template builds to stdout
    Export(ExportArgs),
    /// Tell how two workflows differ: by what they do, not by their ids (exit code 1 if they do)
    Diff(DiffArgs),
    /// Draw a workflow
    Graph(GraphArgs),
    /// Facts about a server's node classes
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// Say what is wrong with a workflow, without running it
    Validate(ValidateArgs),
    /// What became of the jobs that were submitted here
    Jobs(JobsArgs),
    /// The scripts at hand
    #[command(subcommand)]
    Script(ScriptCommand),
    /// Look whether everything is in place, and what to do if not
    Doctor(DoctorArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where to put everything [default: demo in your user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// The picture to ask for
    #[arg(long, default_value = "a lighthouse at dusk, oil painting")]
    pub(super) prompt: String,
}

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "mmf run NAME|FILE.rhai [--PARAMETER VALUE]... [OPTIONS]\n       mmf run --resume RUN_ID [--anew]"
)]
pub(super) struct RunArgs {
    /// The script's name or file, then its parameters as --PROMPT "..." --SEED 42;
    /// `mmf run NAME --help` lists them
    #[arg(required_unless_present = "resume", num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME|FILE.rhai")]
    pub(super) words: Vec<String>,
    // Most often they stand behind the name, among the words; these are those before it.
    #[command(flatten)]
    pub(super) options: RunOptions,
    #[command(flatten)]
    pub(super) template: TemplateOptions,
    /// Go on with a run that was interrupted; `mmf jobs` lists them
    #[arg(long, value_name = "RUN_ID", conflicts_with = "words")]
    pub(super) resume: Option<String>,
    /// Begin it again from nothing, also if its script is another by now
    #[arg(long, requires = "resume")]
    pub(super) anew: bool,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "mmf batch NAME|FILE --from ROWS [--PARAMETER VALUE]... [OPTIONS]")]
pub(super) struct BatchArgs {
    /// The template's name, or the file of a template or a workflow, then --from and what is the same
    /// for all rows as --STEPS 20; `mmf batch NAME --help` lists the parameters
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME|FILE")]
    pub(super) words: Vec<String>,
    // Most often they stand behind the name, among the words; these are those before it.
    #[command(flatten)]
    pub(super) options: BatchOptions,
}

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "mmf sweep NAME|FILE [--PARAMETER VALUES]... [OPTIONS]",
    after_help = "Values are lists (--CFG 3,4.5), so many of a range (--STEPS 10..30/3), steps of one \
                  (--STEPS 10..30..5), drawn (--SEED random:4, --CFG random:4:2..7), or go together \
                  (--WIDTH,HEIGHT 512x768,768x512). A text is given once for each (--PROMPT \"a fox\" \
                  --PROMPT \"a cat\"). What has one value is the same for all."
)]
pub(super) struct SweepArgs {
    /// The template's name, or the file of a template or a workflow, then its parameters;
    /// `mmf sweep NAME --help` lists them
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME|FILE")]
    pub(super) words: Vec<String>,
    // Most often they stand behind the name, among the words; these are those before it.
    #[command(flatten)]
    pub(super) options: SweepOptions,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "mmf dev NAME|FILE.rhai [--PARAMETER VALUE]... [OPTIONS]")]
pub(super) struct DevArgs {
    /// The script's name or file, then its parameters as --PROMPT "..." --SEED 42;
    /// `mmf dev NAME --help` lists them
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME|FILE.rhai")]
    pub(super) words: Vec<String>,
    // Most often they stand behind the name, among the words; these are those before it.
    #[command(flatten)]
    pub(super) options: DevOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct CallArgs {
    /// The tool; `mmf script list` shows what there is
    pub(super) tool: String,
    /// Its arguments as JSON; @FILE reads them from a file, @- from stdin
    #[arg(value_name = "JSON|@FILE")]
    pub(super) arguments: Option<String>,
    #[command(flatten)]
    pub(super) trace: TraceOption,
}

#[derive(Debug, clap::Args)]
pub(super) struct JobsArgs {
    /// One job: all that is written of it, its workflow included
    #[arg(value_name = "PROMPT_ID", conflicts_with_all = ["status", "limit", "json"])]
    pub(super) prompt_id: Option<String>,
    /// Only those that are queued, running, done, failed, cancelled or lost
    #[arg(long, value_parser = status, value_name = "STATUS")]
    pub(super) status: Option<JobStatus>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(super) limit: usize,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Serve over HTTP at this address, such as 127.0.0.1:8765; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(super) http: Option<SocketAddr>,
    /// Offer only these tools, by name or by category, such as discovery,execution
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) tools: Option<Vec<String>>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimArgs {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8188", value_name = "ADDRESS")]
    pub(super) listen: SocketAddr,
    /// Folder of input, output and temp [default: one of its own, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Node classes to offer, as `mmf nodes snapshot` recorded them [default: ComfyUI 0.33.0's]
    #[arg(long, value_name = "FILE")]
    pub(super) nodes: Option<PathBuf>,
    /// JSON file to serve as the index of its templates [default: the models that sota.toml knows]
    #[arg(long, value_name = "FILE")]
    pub(super) templates: Option<PathBuf>,
    /// Behave as this version of ComfyUI, such as 0.3.75 [default: that of the node classes]
    #[arg(long, value_name = "VERSION", value_parser = parse_comfyui_version)]
    pub(super) version: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ConvertArgs {
    /// A graph as the editor saves it, a prompt, or a picture, clip or sound that ComfyUI saved (of
    /// which the prompt is taken, what ran, and the graph if there is none); - reads stdin
    #[arg(value_name = "FILE|-")]
    pub(super) file: String,
    /// The format to write
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: Target,
    /// What the template is called [default: the file's name]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Where the graph is to run, as a server's address or a file of `mmf nodes snapshot` [default:
    /// the configured server, or ComfyUI 0.33.0 if that is away]
    #[arg(long, value_name = "URL|SNAPSHOT")]
    pub(super) nodes: Option<String>,
    /// Take a graph as the editor does even where it was saved with other versions of its nodes, so
    /// that values stand at wrong places or links begin at outputs that are gone
    #[arg(long)]
    pub(super) as_is: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// A file as `mmf convert` takes it, - for stdin, or the name of a template that the server
    /// offers
    #[arg(value_name = "FILE|TEMPLATE|-")]
    pub(super) from: String,
    /// What the template is called [default: the name of the file or template]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Replace a template of that name
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Where a graph is to run, as for `mmf convert`
    #[arg(long, value_name = "URL|SNAPSHOT")]
    pub(super) nodes: Option<String>,
    /// As for `mmf convert`
    #[arg(long)]
    pub(super) as_is: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A format to convert into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Target {
    #[value(help = "The prompt that ComfyUI runs")]
    Api,
    /// A graph that its editor opens, laid out from left to right
    Ui,
    /// A template
    Rhai,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "mmf export NAME|FILE.rhai [--PARAMETER VALUE]... [OPTIONS]")]
pub(super) struct ExportArgs {
    /// The template's name or file, then its parameters as --PROMPT "..." --SEED 42; required ones
    /// that are not given stay as {{NAME}}; `mmf export NAME --help` lists them
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME|FILE.rhai")]
    pub(super) words: Vec<String>,
    // Most often they stand behind the name, among the words; these are those before it.
    #[command(flatten)]
    pub(super) options: ExportOptions,
}

/// A format to write a template's workflow in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ExportTarget {
    #[value(help = "The prompt that ComfyUI runs")]
    Api,
    /// A graph that its editor opens, laid out from left to right
    Ui,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The workflow of before: a file in either format, one that ComfyUI saved, - for stdin, or a
    /// template's name
    #[arg(value_name = "FILE|NAME")]
    pub(super) before: String,
    /// The workflow of after
    #[arg(value_name = "FILE|NAME")]
    pub(super) after: String,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Where graphs are to run, as a server's address or a file of `mmf nodes snapshot` [default:
    /// the configured server, or ComfyUI 0.33.0 if that is away]
    #[arg(long, value_name = "URL|SNAPSHOT")]
    pub(super) nodes: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct GraphArgs {
    /// A workflow in either format, a file that ComfyUI saved, - for stdin, or a template's name
    #[arg(value_name = "FILE|NAME")]
    pub(super) workflow: String,
    /// What to draw [default: what the output's name says, or else mermaid]
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: Option<DrawTarget>,
    /// The file to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Where it is to run, as a server's address or a file of `mmf nodes snapshot` [default: the
    /// configured server, or ComfyUI 0.33.0 if that is away]
    #[arg(long, value_name = "URL|SNAPSHOT")]
    pub(super) nodes: Option<String>,
}

/// A way to draw.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum DrawTarget {
    /// A flowchart, as many pages and editors draw it
    Mermaid,
    /// A picture
    Svg,
}

/// A version that can be told apart from others; it is kept as it was written.
fn parse_comfyui_version(text: &str) -> Result<String, String> {
    crate::comfy::parse_version(text)
        .map(|_| text.to_owned())
        .ok_or_else(|| "a version is written as 0.3.75 or 0.33.0".to_owned())
}

#[derive(Debug, Subcommand)]
pub(super) enum NodesCommand {
    /// Record the facts of the server at hand in a file, for use without it
    Snapshot {
        /// The file to write [default: nodes-VERSION.json.gz]
        file: Option<PathBuf>,
    },
}

/// What is done about what is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct MendArgs {
    /// Mend it with the fixers and show what changed; from stdin, write the mended workflow to stdout
    #[arg(long, conflicts_with = "jsonl")]
    pub(super) fix: bool,
    /// Write the mended workflow back into the file
    #[arg(long, requires = "fix")]
    pub(super) write: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    /// A workflow in either format, a file that ComfyUI saved, or - for stdin
    #[arg(required_unless_present = "jsonl", value_name = "FILE|-")]
    pub(super) file: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) mend: MendArgs,
    /// One prompt a line on stdin, one verdict a line on stdout
    #[arg(long, conflicts_with_all = ["file", "json"])]
    pub(super) jsonl: bool,
    #[arg(
        long,
        value_name = "URL|FILE",
        help = "What to judge by: a server, what `mmf nodes snapshot` wrote, or the answer of /object_info [default: the server at hand, else the latest snapshot in this folder]"
    )]
    pub(super) nodes: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}
