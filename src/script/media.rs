//! Media that a caller names by a path or as an asset, handed over to the server before a template
//! is built: what the template sees is the name in the server's input folder.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Declaration, Host};
use crate::failure::{Code, Failure};
use crate::jobs::{MediaSource, Upload};

/// Uploads what the media parameters name and puts the names in the input folder in its place. The
/// name of something that is in the input folder already stays as it is. Tells how many bytes that
/// were.
pub(crate) async fn hand_over(
    host: &Host,
    declaration: &Declaration,
    arguments: &mut Map<String, Value>,
) -> Result<u64, Failure> {
    let mut bytes = 0;
    for param in declaration
        .params
        .iter()
        .filter(|param| param.ty.is_media())
    {
        let Some(Value::String(value)) = arguments.get_mut(&param.name) else {
            continue;
        };
        let Some(source) = MediaSource::of(value, &host.project_dir) else {
            continue;
        };
        let uploaded = host.jobs.upload(source, &Upload::default()).await;
        let uploaded =
            uploaded.map_err(|error| Failure::from(error).detail("field", param.name.as_str()))?;
        bytes += uploaded.bytes;
        *value = uploaded.name;
    }
    Ok(bytes)
}

/// A file to be handed over that is not there; relative paths begin at `base`.
#[must_use]
pub fn missing_file(
    declaration: &Declaration,
    base: &Path,
    arguments: &Map<String, Value>,
) -> Option<Failure> {
    let mut media = declaration
        .params
        .iter()
        .filter(|param| param.ty.is_media());
    media.find_map(|param| {
        let said = arguments.get(&param.name)?.as_str()?;
        match MediaSource::of(said, base)? {
            MediaSource::File(path) if !path.is_file() => {
                let message = format!("{} is not there: {}", param.name, path.display());
                Some(Failure::new(Code::NOT_FOUND, message).detail("field", param.name.as_str()))
            }
            _ => None,
        }
    })
}
