//! The one configuration, put together once at the start.
//!
//! Later sources win: defaults, the user's `config.toml`, the project's `.mmf/config.toml`,
//! environment variables, the command line. Headers and the key of an account alone don't follow that
//! rule: they are secrets, written for one server, and the module `server` says to whom they go.

mod file;
mod limits;
mod mcp;
mod server;
mod vision;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use directories::ProjectDirs;

pub use self::mcp::{Mcp, Token};

use self::file::Settings;
use self::server::Sources;
use crate::comfy::{Server, ServerError};
use crate::failure::{Code, Failure};
use crate::script::{Layer, LimitError, Limits, Root};
use crate::vision::Endpoint;

/// The folder of a project's scripts and settings.
pub const PROJECT_FOLDER: &str = ".mmf";

/// The original server's default: a day.
const DEFAULT_TTL_HOURS: f64 = 24.0;

/// What the command line may say about everything.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The server's address.
    pub url: Option<String>,
    /// The folder of assets and of the user's scripts.
    pub data_dir: Option<PathBuf>,
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server and the headers that it wants.
    pub server: Server,
    /// The folder of assets and of the user's scripts.
    pub data_dir: PathBuf,
    /// The folder in which the program was started.
    pub project_dir: PathBuf,
    /// How long an asset lives; `None` for ever.
    pub asset_ttl: Option<Duration>,
    /// How many bytes all assets may take together on disk; `None` for any.
    pub asset_max_bytes: Option<u64>,
    /// Where `ComfyUI` writes to, if that was set; merely told.
    pub comfyui_output_dir: Option<PathBuf>,
    /// Where assets are published, if it was set; else it is looked for.
    pub publish_dir: Option<PathBuf>,
    /// Where agents may save scripts: the project's folder if there is one, else the user's;
    /// `None` unless the user's own file allows it.
    pub script_folder: Option<PathBuf>,
    /// How far each run of a script may go.
    pub limits: Limits,
    /// What a project's file says of limits and can't, with the reason.
    pub ignored: Vec<String>,
    /// The MCP server.
    pub mcp: Mcp,
    /// The model that looks at pictures, if there is one.
    pub vision: Option<Endpoint>,
    /// The settings' files that were read.
    pub files: Vec<PathBuf>,
    /// Headers and keys that are set and not sent, with the reason; they themselves aren't told.
    pub withheld: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A settings' file can't be read, or says what can't be.
    #[error("{}: {reason}", place(path, *.line))]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong with it, without what is written there: it may be a secret.
        reason: String,
    },
    /// A variable is not text.
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
    /// `COMFY_MCP_ASSET_TTL_HOURS` or `[assets] ttl_hours`.
    #[error("assets can't live for {0} hours: it takes a number from 0, which is for ever")]
    Lifetime(String),
    /// `[assets] max_gb`.
    #[error("assets can't be limited to {0} GB: it takes a number from 0, which is no limit")]
    Room(String),
    /// The server's address or a header.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// `COMFYUI_HEADERS` or `[comfyui] headers`.
    #[error("a header is written \"Name: value\", this one has no colon")]
    Header,
    /// `MMF_HTTP_TOKEN` or `[mcp] token`.
    #[error("a token for HTTP has at least {least} characters of ASCII, and no spaces")]
    Token {
        /// The fewest characters.
        least: usize,
    },
    /// `[vision] url` without a model.
    #[error("[vision] has a url and no model: set model, or MMF_VISION_MODEL")]
    VisionModel,
    /// `[vision] seconds`.
    #[error("a vision model can't be waited for {0} seconds: it takes a number above 0")]
    VisionLimit(f64),
    /// `[mcp] call_limit_seconds`.
    #[error("a call can't be limited to {0} seconds: it takes a number from 0, which is no limit")]
    CallLimit(f64),
    /// `[scripts.limits]`.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// `[mcp] allowed_origins`.
    #[error(
        "\"{0}\" is no origin of a web page, such as https://app.example.com or http://localhost:3000"
    )]
    Origin(String),
    /// Neither a home folder nor an override.
    #[error("no folder for data: this system has no home folder")]
    NoHome,
    /// The current folder is gone.
    #[error("the current folder can't be told: {0}")]
    NoFolder(std::io::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Server(error) => error.into(),
            ConfigError::NoHome => Self::new(Code::INVALID_PARAMS, error.to_string())
                .hint("set MMF_DATA_DIR or pass --data-dir"),
            ConfigError::Token { .. } => Self::new(Code::INVALID_PARAMS, error.to_string())
                .hint("`openssl rand -hex 32` makes one"),
            other => Self::new(Code::INVALID_PARAMS, other.to_string())
                .hint("`mmf doctor` shows which settings are read from where"),
        }
    }
}

/// Where this process finds itself, apart from its command line.
struct Surroundings<'a> {
    project_dir: PathBuf,
    user_file: Option<PathBuf>,
    user_data: Option<PathBuf>,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Config {
    /// Puts the configuration of this process together.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let folders = ProjectDirs::from("", "", "massmediafactory");
        let folders = folders.as_ref();
        let surroundings = Surroundings {
            project_dir: std::env::current_dir().map_err(ConfigError::NoFolder)?,
            user_file: folders.map(|folders| folders.config_dir().join("config.toml")),
            user_data: folders.map(|folders| folders.data_dir().to_owned()),
            variable: &|name| std::env::var_os(name),
        };
        Self::within(surroundings, overrides)
    }

    fn within(surroundings: Surroundings, overrides: &Overrides) -> Result<Self, ConfigError> {
        let Surroundings {
            project_dir,
            user_file,
            user_data,
            variable,
        } = surroundings;
        let project_file = project_dir.join(PROJECT_FOLDER).join("config.toml");
        let user = Settings::of(user_file)?;
        let project = Settings::of(Some(project_file))?;

        let server = server::choose(&Sources {
            command_line: overrides.url.as_deref(),
            variable_url: text(variable, "COMFYUI_URL")?.as_deref(),
            variable_headers: text(variable, "COMFYUI_HEADERS")?.as_deref(),
            variable_key: text(variable, "COMFY_ORG_API_KEY")?.as_deref(),
            project: &project,
            user: &user,
        })?;
        let mcp = mcp::choose(&mcp::Sources {
            variable_token: text(variable, "MMF_HTTP_TOKEN")?.as_deref(),
            project: &project,
            user: &user,
        })?;
        let (vision, kept) = vision::choose(&vision::Sources {
            variable_url: text(variable, "MMF_VISION_URL")?.as_deref(),
            variable_model: text(variable, "MMF_VISION_MODEL")?.as_deref(),
            variable_key: text(variable, "MMF_VISION_KEY")?.as_deref(),
            project: &project,
            user: &user,
        })?;
        let (limits, ignored) = limits::choose(&project, &user)?;
        let data_dir = overrides
            .data_dir
            .clone()
            .or_else(|| set(variable, "MMF_DATA_DIR").map(PathBuf::from))
            .or_else(|| project.data_dir.clone())
            .or_else(|| {
                user.data_dir
                    .as_ref()
                    .map(|dir| beside(user.file.as_deref(), dir))
            })
            .or(user_data)
            .ok_or(ConfigError::NoHome)?;
        let hours = match text(variable, "COMFY_MCP_ASSET_TTL_HOURS")? {
            Some(written) => match written.parse() {
                Ok(hours) => Some(hours),
                Err(_) => return Err(ConfigError::Lifetime(format!("\"{written}\""))),
            },
            None => project.assets.ttl_hours.or(user.assets.ttl_hours),
        };
        let publish_dir = project.publish.dir.or(user.publish.dir);
        let data_dir = absolute(&project_dir, data_dir);
        // A project that was cloned must not open the user's folders to an agent.
        let may_save =
            user.scripts.allow_save == Some(true) && project.scripts.allow_save != Some(false);
        let script_folder = script_folder(&project_dir, &data_dir);
        Ok(Self {
            server: server.server,
            withheld: [server.withheld, kept].concat(),
            mcp,
            limits,
            ignored,
            vision,
            script_folder: may_save.then_some(script_folder),
            data_dir,
            asset_ttl: lifetime(hours.unwrap_or(DEFAULT_TTL_HOURS))?,
            asset_max_bytes: room(project.assets.max_gb.or(user.assets.max_gb).unwrap_or(0.0))?,
            comfyui_output_dir: set(variable, "COMFYUI_OUTPUT_DIR")
                .map(|dir| absolute(&project_dir, PathBuf::from(dir))),
            publish_dir: publish_dir.map(|dir| absolute(&project_dir, dir)),
            project_dir,
            files: [user.file, project.file].into_iter().flatten().collect(),
        })
    }

    /// Where scripts are looked for besides the binary, the nearest last.
    #[must_use]
    pub fn script_roots(&self) -> Vec<Root> {
        vec![
            Root {
                layer: Layer::User,
                path: self.data_dir.clone(),
            },
            Root {
                layer: Layer::Project,
                path: self.project_dir.join(PROJECT_FOLDER),
            },
        ]
    }

    /// Where the user's own commands put scripts: the project's folder if there is one, or else the
    /// data folder.
    #[must_use]
    pub fn own_scripts(&self) -> PathBuf {
        script_folder(&self.project_dir, &self.data_dir)
    }

    /// Where runs that outlive their call are written down.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.data_dir.join("runs")
    }

    /// Where each job is written down.
    #[must_use]
    pub fn jobs_dir(&self) -> PathBuf {
        self.data_dir.join("jobs")
    }

    /// Where it is noted what jobs took of the card.
    #[must_use]
    pub fn vram_dir(&self) -> PathBuf {
        self.data_dir.join("vram")
    }

    /// Where assets and their index lie.
    #[must_use]
    pub fn assets_dir(&self) -> PathBuf {
        self.data_dir.join("assets")
    }
}

fn script_folder(project_dir: &Path, data_dir: &Path) -> PathBuf {
    let of_project = project_dir.join(PROJECT_FOLDER);
    if of_project.is_dir() {
        of_project
    } else {
        data_dir.to_owned()
    }
}

fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}

/// A variable that says something: one that is empty is as good as none.
fn set(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<OsString> {
    variable(name).filter(|value| !value.is_empty())
}

fn text(
    variable: &dyn Fn(&str) -> Option<OsString>,
    name: &'static str,
) -> Result<Option<String>, ConfigError> {
    let Some(value) = set(variable, name) else {
        return Ok(None);
    };
    let value = value
        .into_string()
        .map_err(|_| ConfigError::NotText(name))?;
    let value = value.trim();
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// Hours as a duration, 0 as for ever.
fn lifetime(hours: f64) -> Result<Option<Duration>, ConfigError> {
    if hours == 0.0 {
        return Ok(None);
    }
    Duration::try_from_secs_f64(hours * 3600.0)
        .map(Some)
        .map_err(|_| ConfigError::Lifetime(hours.to_string()))
}

fn room(gigabytes: f64) -> Result<Option<u64>, ConfigError> {
    const GIGABYTE: f64 = 1e9;
    if !(gigabytes >= 0.0 && gigabytes.is_finite()) {
        return Err(ConfigError::Room(gigabytes.to_string()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a limit beyond 2^64 bytes is as good as that"
    )]
    let bytes = (gigabytes * GIGABYTE) as u64;
    Ok((bytes > 0).then_some(bytes))
}

/// A path in the user's file means the same from wherever a command is started.
fn beside(file: Option<&Path>, path: &Path) -> PathBuf {
    let folder = file.and_then(Path::parent);
    folder.map_or_else(|| path.to_owned(), |folder| absolute(folder, path))
}

fn absolute(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    crate::paths::resolved(path, base)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with settings, a user's settings, and variables.
    struct Desk {
        dir: tempfile::TempDir,
        variables: Vec<(&'static str, &'static str)>,
    }

    impl Desk {
        fn new(project: &str, user: &str, variables: &[(&'static str, &'static str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join(PROJECT_FOLDER)).unwrap();
            let project_file = dir.path().join(PROJECT_FOLDER).join("config.toml");
            std::fs::write(project_file, project).unwrap();
            std::fs::write(dir.path().join("user.toml"), user).unwrap();
            let variables = variables.to_vec();
            Self { dir, variables }
        }

        fn load(&self, overrides: &Overrides) -> Result<Config, ConfigError> {
            let surroundings = Surroundings {
                project_dir: self.dir.path().to_owned(),
                user_file: Some(self.dir.path().join("user.toml")),
                user_data: Some(self.dir.path().join("data")),
                variable: &|asked| {
                    let found = self.variables.iter().find(|(name, _)| *name == asked);
                    found.map(|(_, value)| value.into())
                },
            };
            Config::within(surroundings, overrides)
        }

        fn config(&self) -> Config {
            self.load(&Overrides::default()).unwrap()
        }

        fn refusal(&self) -> String {
            self.load(&Overrides::default()).unwrap_err().to_string()
        }
    }

    #[test]
    fn the_nearer_source_wins() {
        let user =
            "data_dir = \"/user\"\n[comfyui]\nurl = \"http://user\"\n[assets]\nttl_hours = 1";
        let project = "data_dir = \"near\"\n[comfyui]\nurl = \"http://project\"\n";
        let config = Desk::new("", user, &[]).config();
        assert_eq!(config.server.to_string(), "http://user");
        assert_eq!(config.data_dir, Path::new("/user"));

        let desk = Desk::new(project, user, &[]);
        let config = desk.config();
        assert_eq!(config.server.to_string(), "http://project");
        assert_eq!(config.data_dir, desk.dir.path().join("near"));
        assert_eq!(config.asset_ttl, Some(Duration::from_secs(3600)));
        assert_eq!(config.files.len(), 2);

        let variables = [
            ("COMFYUI_URL", "http://variable"),
            ("COMFY_MCP_ASSET_TTL_HOURS", "0.5"),
            ("MMF_DATA_DIR", "/variable"),
        ];
        let desk = Desk::new(project, user, &variables);
        let config = desk.config();
        assert_eq!(config.server.to_string(), "http://variable");
        assert_eq!(config.data_dir, Path::new("/variable"));
        assert_eq!(config.asset_ttl, Some(Duration::from_secs(1800)));
        let said = Overrides {
            url: Some("http://said".into()),
            data_dir: Some("/said".into()),
        };
        let config = desk.load(&said).unwrap();
        assert_eq!(config.server.to_string(), "http://said");
        assert_eq!(config.data_dir, Path::new("/said"));
    }

    #[test]
    fn a_variable_is_text_whatever_it_looks_like() {
        let desk = Desk::new("", "", &[("MMF_DATA_DIR", "123")]);
        assert_eq!(desk.config().data_dir, desk.dir.path().join("123"));

        let refusal = Desk::new("", "", &[("COMFYUI_HEADERS", "123456")]).refusal();
        assert!(refusal.contains("no colon"), "{refusal}");
        assert!(!refusal.contains("123456"), "{refusal}");
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        let names = [
            "COMFYUI_URL",
            "COMFYUI_HEADERS",
            "COMFY_MCP_ASSET_TTL_HOURS",
            "MMF_DATA_DIR",
        ];
        let desk = Desk::new("", "", &names.map(|name| (name, "")));
        let config = desk.config();
        assert_eq!(config.server.to_string(), crate::comfy::DEFAULT_URL);
        assert_eq!(config.data_dir, desk.dir.path().join("data"));
        assert_eq!(config.asset_ttl, Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_what_stands_there() {
        let refusal = Desk::new("[comfyui]\nulr = \"x\"\n", "", &[]).refusal();
        assert!(refusal.contains("config.toml:2: "), "{refusal}");
        assert!(refusal.contains("unknown field `ulr`"), "{refusal}");
        for secret in [
            "headers = \"X: 123456",
            "headers = 123456",
            "headers = [123456]",
        ] {
            let refusal = Desk::new("", &format!("[comfyui]\n{secret}\n"), &[]).refusal();
            assert!(refusal.contains("user.toml:2: "), "{refusal}");
            assert!(!refusal.contains("123456"), "{refusal}");
        }
    }

    #[test]
    fn the_limit_on_disk_use_is_off_unless_set() {
        assert_eq!(Desk::new("", "", &[]).config().asset_max_bytes, None);
        let config = Desk::new("", "[assets]\nmax_gb = 1.5", &[]).config();
        assert_eq!(config.asset_max_bytes, Some(1_500_000_000));
        let refusal = Desk::new("[assets]\nmax_gb = -1", "", &[]).refusal();
        assert!(refusal.contains("-1 GB"), "{refusal}");
    }

    #[test]
    fn only_zero_means_for_ever() {
        assert_eq!(lifetime(0.0).unwrap(), None);
        assert_eq!(lifetime(24.0).unwrap(), Some(Duration::from_secs(86_400)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
        let refusal = Desk::new("", "", &[("COMFY_MCP_ASSET_TTL_HOURS", "a day")]).refusal();
        assert!(refusal.contains("\"a day\" hours"), "{refusal}");
    }
}
