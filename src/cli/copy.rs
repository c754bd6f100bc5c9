//! Outputs for the user's own folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::app::App;
use crate::failure::{Code, Failure};

/// Copies under the first name that is free: nothing is overwritten.
pub(super) fn copy(from: &Path, folder: &Path, filename: &str) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Code::COPY_FAILED,
            format!("can't write to {}: {error}", folder.display()),
        )
        .hint("choose another folder with -o; the asset is kept in any case")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let name = Path::new(filename);
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    let extension = name
        .extension()
        .map(|it| format!(".{}", it.to_string_lossy()))
        .unwrap_or_default();
    let names = std::iter::once(filename.to_owned())
        .chain((1..).map(|n| format!("{stem} ({n}){extension}")));
    for name in names {
        let target = folder.join(name);
        match std::fs::File::create_new(&target) {
            Ok(mut file) => {
                let mut source = std::fs::File::open(from).map_err(failed)?;
                std::io::copy(&mut source, &mut file).map_err(failed)?;
                return Ok(target);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::new(Code::COPY_FAILED, "no free file name is left"))
}

/// Copies every asset that a result of a tool or pipeline names, wherever in it.
pub(super) fn copy_all(app: &App, result: &Value, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let assets = &app.host().assets;
    let copies = assets_in(result).into_iter().map(|id| {
        let asset = assets.get(id)?;
        copy(&assets.path(id)?, folder, &asset.filename)
    });
    copies.collect()
}

/// The assets that a result names, wherever in it: the values of all keys `asset_id`, in their order
/// and each once.
pub(super) fn assets_in(result: &Value) -> Vec<&str> {
    let mut ids = vec![];
    collect(result, &mut ids);
    ids
}

fn collect<'a>(value: &'a Value, ids: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, ids)),
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(id) if name == "asset_id" && !ids.contains(&id) => ids.push(id),
                    _ => collect(value, ids),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn assets_are_found_wherever_a_result_names_them() {
        let result = json!({
            "asset_id": "a",
            "pictures": [{ "asset_id": "b", "seed": 1 }, { "asset_id": "a" }, { "asset_id": null }],
            "best": { "of": { "asset_id": "c" } },
        });
        assert_eq!(assets_in(&result), ["a", "b", "c"]);
    }
}
