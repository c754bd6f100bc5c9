//! The one configuration, put together once at the start.
//!
//! Later sources win: defaults, the user's `config.toml`, the project's `.mmf/config.toml`,
//! environment variables, the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use directories::ProjectDirs;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::comfy::{DEFAULT_URL, Server, ServerError};
use crate::failure::{Code, Failure};
use crate::script::{Layer, Root};

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
    /// Where assets are published, if it was set; else it is looked for.
    pub publish_dir: Option<PathBuf>,
    /// The largest picture to publish, in bytes.
    pub publish_max_bytes: Option<u64>,
    /// The settings' files that were read.
    pub files: Vec<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or variable has a value that can't be.
    #[error("the settings can't be read: {0}")]
    Settings(Box<figment::Error>),
    /// The server's address or a header.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// `COMFYUI_HEADERS` or `[comfyui] headers`.
    #[error("a header is written \"Name: value\", this one has no colon")]
    Header,
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
            other => Self::new(Code::INVALID_PARAMS, other.to_string())
                .hint("`mmf doctor` shows which settings are read from where"),
        }
    }
}

/// The settings as files and variables say them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    comfyui: ComfySettings,
    data_dir: Option<PathBuf>,
    assets: AssetSettings,
    publish: PublishSettings,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComfySettings {
    url: String,
    /// Secrets: one `Name: value` a line.
    headers: String,
}

/// Headers are never shown, not even when the settings are debugged.
impl std::fmt::Debug for ComfySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComfySettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetSettings {
    /// Hours; 0 for ever.
    ttl_hours: f64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishSettings {
    dir: Option<PathBuf>,
    max_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            comfyui: ComfySettings {
                url: DEFAULT_URL.to_owned(),
                headers: String::new(),
            },
            data_dir: None,
            assets: AssetSettings {
                ttl_hours: DEFAULT_TTL_HOURS,
            },
            publish: PublishSettings::default(),
        }
    }
}

impl Config {
    /// Puts the configuration of this process together.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let project_dir = std::env::current_dir().map_err(ConfigError::NoFolder)?;
        let folders = ProjectDirs::from("", "", "massmediafactory");
        let user_file = folders
            .as_ref()
            .map(|folders| folders.config_dir().join("config.toml"));
        let project_file = project_dir.join(PROJECT_FOLDER).join("config.toml");
        let files: Vec<PathBuf> = user_file
            .into_iter()
            .chain([project_file])
            .filter(|file| file.is_file())
            .collect();

        let settings = read(&files)?;
        let data_dir = overrides
            .data_dir
            .clone()
            .or(settings.data_dir)
            .or_else(|| folders.map(|folders| folders.data_dir().to_owned()))
            .ok_or(ConfigError::NoHome)?;
        Ok(Self {
            server: server(
                overrides.url.as_deref().unwrap_or(&settings.comfyui.url),
                &settings.comfyui.headers,
            )?,
            data_dir: absolute(&project_dir, data_dir),
            asset_ttl: ttl(settings.assets.ttl_hours),
            publish_dir: settings.publish.dir.map(|dir| absolute(&project_dir, dir)),
            publish_max_bytes: settings.publish.max_bytes,
            project_dir,
            files,
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

    /// Where assets and their index lie.
    #[must_use]
    pub fn assets_dir(&self) -> PathBuf {
        self.data_dir.join("assets")
    }
}

fn read(files: &[PathBuf]) -> Result<Settings, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    for file in files {
        figment = figment.merge(Toml::file_exact(file));
    }
    figment
        .merge(
            Env::raw()
                .only(&["COMFYUI_URL"])
                .map(|_| "comfyui.url".into()),
        )
        .merge(
            Env::raw()
                .only(&["COMFYUI_HEADERS"])
                .map(|_| "comfyui.headers".into()),
        )
        .merge(
            Env::raw()
                .only(&["COMFY_MCP_ASSET_TTL_HOURS"])
                .map(|_| "assets.ttl_hours".into()),
        )
        .merge(
            Env::raw()
                .only(&["MMF_DATA_DIR"])
                .map(|_| "data_dir".into()),
        )
        .extract()
        .map_err(|error| ConfigError::Settings(Box::new(error)))
}

fn server(url: &str, headers: &str) -> Result<Server, ConfigError> {
    let mut server = Server::parse(url)?;
    for line in headers
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(':').ok_or(ConfigError::Header)?;
        server = server.header(name.trim(), value.trim())?;
    }
    Ok(server)
}

/// Hours as a duration; nothing sensible, or 0, means for ever.
fn ttl(hours: f64) -> Option<Duration> {
    let seconds = (hours > 0.0).then_some(hours * 3600.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn absolute(base: &Path, path: PathBuf) -> PathBuf {
    if path.is_absolute() {
        path
    } else {
        base.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_file_says_where_the_server_is_and_nothing_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "[comfyui]\nurl = \"https://gpu.example/comfy\"\n").unwrap();
        let settings = read(std::slice::from_ref(&file)).unwrap();
        assert_eq!(settings.comfyui.url, "https://gpu.example/comfy");

        std::fs::write(&file, "[comfyui]\nulr = \"x\"\n").unwrap();
        let error = read(&[file]).unwrap_err().to_string();
        assert!(error.contains("ulr"), "{error}");
    }

    #[test]
    fn headers_are_used_but_never_shown() {
        let server = server("http://gpu", "Authorization: Bearer s3cret\nX-Team: art").unwrap();
        assert!(!format!("{server:?} {server}").contains("s3cret"));
        let settings = ComfySettings {
            url: "u".into(),
            headers: "Authorization: s3cret".into(),
        };
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn no_time_to_live_means_for_ever() {
        assert_eq!(ttl(0.0), None);
        assert_eq!(ttl(24.0), Some(Duration::from_secs(86_400)));
    }
}
