//! What machine the server runs on and what it can do.

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::PoisonError;

use super::comfy::Comfy;
use crate::comfy::ComfyError;
use crate::comfy::features::{Features, parse_version};

/// `GET /system_stats`. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SystemStats {
    /// As the server writes it; empty if it does not say.
    pub comfyui_version: String,
    /// `posix` or `nt` up to 0.3, `linux`, `win32` or `darwin` since 0.4.
    pub os: String,
    /// The Python that runs it.
    pub python_version: String,
    /// The `PyTorch` that runs the models.
    pub pytorch_version: String,
    /// Memory of the machine.
    pub ram_total: u64,
    /// Memory of the machine that is free.
    pub ram_free: u64,
    /// Only the first up to 0.22, all since 0.23.
    pub devices: Vec<Device>,
    /// The whole answer.
    #[serde(skip)]
    pub raw: Value,
}

/// One device that models can run on. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Such as `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`.
    pub name: String,
    /// `cuda`, `mps`, `cpu`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Which of its kind; none for the CPU.
    pub index: Option<i64>,
    /// Its memory; the machine's memory for the CPU.
    #[serde(deserialize_with = "size")]
    pub vram_total: u64,
    /// What is free of it, including what `PyTorch` has reserved without using it.
    #[serde(deserialize_with = "size")]
    pub vram_free: u64,
    /// What `PyTorch` has reserved.
    #[serde(deserialize_with = "size")]
    pub torch_vram_total: u64,
    /// What `PyTorch` has reserved without using it.
    #[serde(deserialize_with = "size")]
    pub torch_vram_free: u64,
}

/// Some backends report sizes as floats, or null.
fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(bytes_of(&Value::deserialize(deserializer)?))
}

fn bytes_of(value: &Value) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes of memory are small for a float, and the cast saturates"
    )]
    let from_float = |float: f64| float as u64;
    value
        .as_u64()
        .or_else(|| value.as_f64().map(from_float))
        .unwrap_or(0)
}

/// Features and the state of the world in which they were found.
pub(super) struct FeaturesCache {
    features: Features,
    outages: u64,
}

impl Comfy {
    /// What machine the server runs on.
    pub async fn system_stats(&self) -> Result<SystemStats, ComfyError> {
        let raw: Value = self.0.http.get_json(["system_stats"]).await?;
        let system = &raw["system"];
        if !system.is_object() {
            return Err(ComfyError::Malformed {
                route: "GET /system_stats".to_owned(),
                reason: "it has no \"system\"".to_owned(),
            });
        }
        let word = |key: &str| system[key].as_str().unwrap_or_default().to_owned();
        let devices = raw["devices"].as_array().into_iter().flatten();
        Ok(SystemStats {
            comfyui_version: word("comfyui_version"),
            os: word("os"),
            python_version: word("python_version"),
            pytorch_version: word("pytorch_version"),
            ram_total: bytes_of(&system["ram_total"]),
            ram_free: bytes_of(&system["ram_free"]),
            devices: devices
                .filter_map(|device| Device::deserialize(device).ok())
                .collect(),
            raw,
        })
    }

    /// The server's version, none if it says none that can be read. Asked once, and again after
    /// the server was away.
    pub async fn version(&self) -> Result<Option<Version>, ComfyError> {
        Ok(self.features().await?.version)
    }

    /// What the server can do. Asked once, and again after the server was away.
    pub async fn features(&self) -> Result<Features, ComfyError> {
        let outages = self.0.http.outages();
        {
            let cache = self
                .0
                .features
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = cache.as_ref().filter(|known| known.outages == outages) {
                return Ok(known.features.clone());
            }
        }
        let stats = self.system_stats().await?;
        let features = Features::of(parse_version(&stats.comfyui_version).as_ref());
        let mut cache = self
            .0
            .features
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *cache = Some(FeaturesCache {
            features: features.clone(),
            outages,
        });
        Ok(features)
    }
}
