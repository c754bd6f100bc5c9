//! Outputs for the user's own folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::app::App;
use crate::assets::Assets;
use crate::failure::{Code, Failure};
use crate::ids::is_id;

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

/// What a result was made from is not what it is.
const SOURCES: [&str; 3] = ["from", "made_from", "regenerated_from"];

/// Copies every asset that a result of a tool or pipeline names, wherever in it and under whatever
/// name.
pub(super) fn copy_all(app: &App, result: &Value, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let assets = &app.host().assets;
    let copies = assets_in(assets, result).into_iter().map(|id| {
        let asset = assets.get(id)?;
        copy(&assets.path(id)?, folder, &asset.filename)
    });
    copies.collect()
}

/// The assets that a result names, wherever in it, in their order and each once.
pub(super) fn assets_in<'a>(assets: &Assets, result: &'a Value) -> Vec<&'a str> {
    let mut ids = vec![];
    collect(result, &|id| is_id(id) && assets.get(id).is_ok(), &mut ids);
    ids
}

fn collect<'a>(value: &'a Value, is_asset: &dyn Fn(&str) -> bool, ids: &mut Vec<&'a str>) {
    match value {
        Value::String(id) if !ids.contains(&id.as_str()) && is_asset(id) => ids.push(id),
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect(value, is_asset, ids)),
        Value::Object(map) => map
            .iter()
            .filter(|(name, _)| !SOURCES.contains(&name.as_str()))
            .for_each(|(_, value)| collect(value, is_asset, ids)),
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
            "best": { "of": { "clip": "c", "from": "d" } },
            "made_from": ["e"],
            "prompt": "a fox",
        });
        let mut ids = vec![];
        collect(&result, &|id| id.len() == 1, &mut ids);
        assert_eq!(ids, ["a", "b", "c"]);
    }
}
