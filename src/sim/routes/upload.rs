//! `POST /upload/image` and `POST /upload/mask`.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::Response;
use image::ImageFormat;
use serde_json::{Value as Json, json};

use super::super::folders::{FolderType, split_annotation, within};
use super::super::world::World;
use super::reply::{self, Refusal, raised};

/// The fields of an upload.
#[derive(Default)]
struct Form {
    image: Option<(String, Bytes)>,
    overwrite: bool,
    kind: Option<String>,
    subfolder: String,
    original_ref: Option<String>,
}

pub(super) async fn image(
    State(world): State<Arc<World>>,
    multipart: Multipart,
) -> Result<Response, Refusal> {
    let form = read(multipart).await?;
    let save = |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(raised);
    reply::blocking(move || keep(&world, &form, &save)).await?
}

/// The uploaded picture's alpha goes into a copy of the one that `original_ref` names.
pub(super) async fn mask(
    State(world): State<Arc<World>>,
    multipart: Multipart,
) -> Result<Response, Refusal> {
    let form = read(multipart).await?;
    reply::blocking(move || {
        keep(&world, &form, &|path, bytes| {
            merge(&world, &form, path, bytes)
        })
    })
    .await?
}

fn merge(world: &World, form: &Form, path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    let reference = form.original_ref.as_deref().unwrap_or_default();
    let reference: Json = serde_json::from_str(reference).map_err(raised)?;
    match original(world, &reference)? {
        Some(original) => merge_alpha(&original, bytes, path).map_err(raised),
        // A reference to nothing writes nothing, and the answer says that all is well.
        None => Ok(()),
    }
}

async fn read(mut multipart: Multipart) -> Result<Form, Refusal> {
    let mut form = Form::default();
    while let Some(field) = multipart
        .next_field()
        .await
        .map_err(|error| broken(&error))?
    {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(str::to_owned);
        let bytes = field.bytes().await.map_err(|error| broken(&error))?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match name.as_str() {
            "image" => form.image = file.map(|file| (file, bytes)),
            "overwrite" => form.overwrite = matches!(&*bytes, b"true" | b"1"),
            "type" => form.kind = Some(text()),
            "subfolder" => form.subfolder = text(),
            "original_ref" => form.original_ref = Some(text()),
            _ => {}
        }
    }
    Ok(form)
}

/// A body that is no form, or too large.
fn broken(error: &MultipartError) -> Refusal {
    reply::status(error.status()).into()
}

type Save<'a> = &'a dyn Fn(&Path, &[u8]) -> Result<(), Refusal>;

fn keep(world: &World, form: &Form, save: Save<'_>) -> Result<Response, Refusal> {
    let kind = form.kind.as_deref().unwrap_or("input");
    let Some(kind) = FolderType::parse(kind) else {
        return Err(reply::trouble().into());
    };
    let bad = || Refusal::from(reply::status(StatusCode::BAD_REQUEST));
    let Some((name, bytes)) = form.image.as_ref().filter(|(name, _)| !name.is_empty()) else {
        return Err(bad());
    };
    let base = world.folders.dir(kind);
    let relative = if form.subfolder.is_empty() {
        name.clone()
    } else {
        format!("{}/{name}", form.subfolder)
    };
    let Some(path) = within(&base, &relative) else {
        return Err(bad());
    };
    let Some(folder) = path.parent().filter(|_| path != base) else {
        return Err(bad());
    };
    fs::create_dir_all(folder).map_err(raised)?;
    let (path, is_duplicate) = if form.overwrite {
        (path, false)
    } else {
        free_name(&path, bytes)
    };
    if !is_duplicate {
        save(&path, bytes)?;
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let saved = json!({ "name": name, "subfolder": form.subfolder, "type": kind.name() });
    Ok(reply::json(&saved))
}

/// The path itself if nothing or the same is there, else the first free `name (N)`.
fn free_name(path: &Path, bytes: &[u8]) -> (PathBuf, bool) {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let ending = path
        .extension()
        .map(|ending| format!(".{}", ending.to_string_lossy()))
        .unwrap_or_default();
    let mut candidate = path.to_path_buf();
    let mut number = 0;
    while candidate.exists() {
        if fs::read(&candidate).is_ok_and(|there| there == bytes) {
            return (candidate, true);
        }
        number += 1;
        candidate = path.with_file_name(format!("{stem} ({number}){ending}"));
    }
    (candidate, false)
}

fn original(world: &World, reference: &Json) -> Result<Option<PathBuf>, Refusal> {
    let given = reference["filename"].as_str().ok_or_else(|| raised(()))?;
    let (name, annotated) = split_annotation(given);
    let bad = || Refusal::from(reply::status(StatusCode::BAD_REQUEST));
    if name.is_empty() || name.starts_with('/') || name.contains("..") {
        return Err(bad());
    }
    let asked = reference["type"].as_str().unwrap_or("output");
    let kind = annotated
        .or_else(|| FolderType::parse(asked))
        .ok_or_else(bad)?;
    let subfolder = reference["subfolder"].as_str().unwrap_or_default();
    let folder = within(&world.folders.dir(kind), subfolder);
    let path = folder
        .ok_or_else(|| reply::status(StatusCode::FORBIDDEN))?
        .join(name);
    Ok(path.is_file().then_some(path))
}

fn merge_alpha(original: &Path, mask: &[u8], to: &Path) -> Result<(), image::ImageError> {
    let mut picture = image::open(original)?.into_rgba8();
    let mask = image::load_from_memory(mask)?.into_rgba8();
    if picture.dimensions() != mask.dimensions() {
        let error = std::io::Error::other("images do not match");
        return Err(image::ImageError::IoError(error));
    }
    for (pixel, mask) in picture.pixels_mut().zip(mask.pixels()) {
        pixel[3] = mask[3];
    }
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(fs::write(to, bytes.into_inner())?)
}
