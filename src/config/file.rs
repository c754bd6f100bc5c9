//! What a settings' file says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::ConfigError;

/// One file's settings; everything may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// The file, if there is one.
    #[serde(skip)]
    pub(super) file: Option<PathBuf>,
    pub(super) comfyui: ComfySettings,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) assets: AssetSettings,
    pub(super) publish: PublishSettings,
    pub(super) scripts: ScriptSettings,
    pub(super) mcp: McpSettings,
    pub(super) vision: VisionSettings,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ComfySettings {
    pub(super) url: Option<String>,
    /// Secrets: one `Name: value` a line.
    #[serde(deserialize_with = "secret")]
    pub(super) headers: Option<String>,
    /// A secret.
    #[serde(deserialize_with = "secret_key")]
    pub(super) comfy_org_api_key: Option<String>,
}

/// Secrets are never shown, not even when the settings are debugged.
impl std::fmt::Debug for ComfySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComfySettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AssetSettings {
    /// Hours; 0 for ever.
    pub(super) ttl_hours: Option<f64>,
    /// 10^9 bytes; 0 for no limit.
    pub(super) max_gb: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PublishSettings {
    pub(super) dir: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct McpSettings {
    /// A secret.
    #[serde(deserialize_with = "secret_token")]
    pub(super) token: Option<String>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) allowed_origins: Vec<String>,
    /// Names of tools or of categories.
    pub(super) tools: Option<Vec<String>>,
    /// Seconds; 0 for any time.
    pub(super) call_limit_seconds: Option<f64>,
}

/// The token is never shown, not even when the settings are debugged.
impl std::fmt::Debug for McpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpSettings")
            .field("allowed_hosts", &self.allowed_hosts)
            .field("allowed_origins", &self.allowed_origins)
            .field("tools", &self.tools)
            .field("call_limit_seconds", &self.call_limit_seconds)
            .finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VisionSettings {
    pub(super) url: Option<String>,
    pub(super) model: Option<String>,
    /// A secret.
    #[serde(deserialize_with = "secret_key")]
    pub(super) key: Option<String>,
    /// How long an answer is waited for.
    pub(super) seconds: Option<f64>,
}

/// The key is never shown, not even when the settings are debugged.
impl std::fmt::Debug for VisionSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VisionSettings")
            .field("url", &self.url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ScriptSettings {
    /// Whether agents may save scripts. Only the user's own file can allow it.
    pub(super) allow_save: Option<bool>,
    /// How far scripts may go, by the name of each limit.
    pub(super) limits: BTreeMap<String, i64>,
}

impl Settings {
    /// Reads a file. One that isn't there says nothing.
    pub(super) fn of(file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let Some(path) = file.filter(|file| file.is_file()) else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::File {
            path: path.clone(),
            line: None,
            reason: error.to_string(),
        })?;
        // Not the error's own display, which shows the line with all that stands there.
        let settings =
            toml::from_str(&text).map_err(|error: toml::de::Error| ConfigError::File {
                path: path.clone(),
                line: error
                    .span()
                    .and_then(|span| text.get(..span.start))
                    .map(|before| before.matches('\n').count() + 1),
                reason: error.message().trim().to_owned(),
            })?;
        Ok(Self {
            file: Some(path),
            ..settings
        })
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let refusal = "headers are written as text, one \"Name: value\" a line";
    text_or(deserializer, refusal)
}

fn secret_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text_or(deserializer, "a key is written as text")
}

fn secret_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text_or(deserializer, "a token is written as text")
}

/// Text, or a refusal that doesn't repeat what stands there.
fn text_or<'de, D: Deserializer<'de>>(
    deserializer: D,
    refusal: &str,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Other(IgnoredAny),
    }
    match Written::deserialize(deserializer)? {
        Written::Text(text) => Ok(Some(text)),
        Written::Other(_) => Err(serde::de::Error::custom(refusal)),
    }
}
