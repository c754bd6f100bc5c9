//! Media that a caller names by a path or as an asset, handed over to the server before a template
//! is built: what the template sees is the name in the server's input folder.

use serde_json::{Map, Value};

use super::{Declaration, Host, Type};
use crate::failure::Failure;
use crate::jobs::{MediaSource, Upload};

/// Uploads what the media parameters name and puts the names in the input folder in its place. The
/// name of something that is in the input folder already stays as it is.
pub(crate) async fn hand_over(
    host: &Host,
    declaration: &Declaration,
    arguments: &mut Map<String, Value>,
) -> Result<(), Failure> {
    let media = |ty| matches!(ty, Type::Image | Type::Video | Type::Audio);
    for param in declaration.params.iter().filter(|param| media(param.ty)) {
        let Some(Value::String(value)) = arguments.get_mut(&param.name) else {
            continue;
        };
        let Some(source) = MediaSource::of(value, &host.project_dir) else {
            continue;
        };
        let uploaded = host.jobs.upload(source, &Upload::default()).await;
        *value = uploaded
            .map_err(|error| Failure::from(error).detail("field", param.name.as_str()))?
            .name;
    }
    Ok(())
}
