//! `GET /view`: a file of the input, output or temp folder, perhaps re-encoded.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, ImageFormat, Rgba};

use super::super::folders::{FolderType, split_annotation, within};
use super::super::release::Release;
use super::super::world::World;
use super::files::{content_type, is_dangerous};
use super::reply::{self, Refusal};
use super::serve::{self, set};

type Parameters = HashMap<String, String>;

/// What is shown of a file.
enum Shown {
    AsItIs { path: PathBuf, name: String },
    Converted(Response),
}

pub(super) async fn get(
    State(world): State<Arc<World>>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let release = world.release;
    match reply::blocking(move || show(&world, &query)).await?? {
        Shown::AsItIs { path, name } => Ok(file(&path, &name, &headers, release).await),
        Shown::Converted(answer) => Ok(answer),
    }
}

fn show(world: &World, query: &Parameters) -> Result<Shown, Refusal> {
    let (path, name) = find(world, query).map_err(reply::status)?;
    match converted(&path, &name, query) {
        Ok(Some(answer)) => Ok(Shown::Converted(answer)),
        Ok(None) => Ok(Shown::AsItIs { path, name }),
        Err(error) => {
            tracing::debug!(%error, name, "a file could not be shown");
            Err(reply::trouble().into())
        }
    }
}

/// The file that is meant, and its name.
fn find(world: &World, query: &Parameters) -> Result<(PathBuf, String), StatusCode> {
    let given = query.get("filename").ok_or(StatusCode::NOT_FOUND)?;
    if given.starts_with("blake3:") {
        // Only with assets, which are off.
        return Err(StatusCode::NOT_FOUND);
    }
    let (name, annotated) = split_annotation(given);
    if name.is_empty() || name.starts_with('/') || name.contains("..") {
        return Err(StatusCode::BAD_REQUEST);
    }
    let asked = query.get("type").map_or("output", String::as_str);
    let kind = annotated
        .or_else(|| FolderType::parse(asked))
        .ok_or(StatusCode::BAD_REQUEST)?;
    let folder = world.folders.dir(kind);
    let subfolder = query.get("subfolder").map_or("", String::as_str);
    let folder = within(&folder, subfolder).ok_or(StatusCode::FORBIDDEN)?;
    // Folders inside of the name are dropped: that is what subfolder is for.
    let name = Path::new(name).file_name().ok_or(StatusCode::NOT_FOUND)?;
    let path = folder.join(name);
    if path.is_file() {
        Ok((path, name.to_string_lossy().into_owned()))
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}

/// The picture in the form that is asked for, if it is not its own.
fn converted(path: &Path, name: &str, query: &Parameters) -> Result<Option<Response>, ImageError> {
    let channel = query.get("channel").map_or("", String::as_str);
    if let Some(preview) = query.get("preview") {
        return Ok(Some(picture(name, preview_of(path, preview, channel)?)));
    }
    let shown = match channel {
        "rgb" => DynamicImage::ImageRgb8(image::open(path)?.into_rgb8()),
        "a" => {
            let mut alpha = image::open(path)?.into_rgba8();
            for pixel in alpha.pixels_mut() {
                *pixel = Rgba([0, 0, 0, pixel[3]]);
            }
            DynamicImage::ImageRgba8(alpha)
        }
        _ => return Ok(None),
    };
    let bytes = encoded(&shown, ImageFormat::Png)?;
    Ok(Some(picture(name, ("image/png", bytes))))
}

/// `webp` or `jpeg`, with `;QUALITY`; whatever else is asked for becomes WebP.
fn preview_of(
    path: &Path,
    preview: &str,
    channel: &str,
) -> Result<(&'static str, Vec<u8>), ImageError> {
    let mut parts = preview.split(';');
    let wants_jpeg = parts.next() == Some("jpeg") && !channel.contains('a');
    let quality: u8 = preview
        .rsplit(';')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(90);
    let picture = image::open(path)?;
    if wants_jpeg {
        let mut bytes = Cursor::new(Vec::new());
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
        picture.into_rgb8().write_with_encoder(encoder)?;
        return Ok(("image/jpeg", bytes.into_inner()));
    }
    let picture = if channel == "rgb" {
        DynamicImage::ImageRgb8(picture.into_rgb8())
    } else {
        DynamicImage::ImageRgba8(picture.into_rgba8())
    };
    Ok(("image/webp", encoded(&picture, ImageFormat::WebP)?))
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

fn picture(name: &str, (kind, bytes): (&'static str, Vec<u8>)) -> Response {
    let mut answer = ([(header::CONTENT_TYPE, kind)], bytes).into_response();
    dispose(&mut answer, &format!("filename=\"{}\"", quoted(name)));
    answer
}

/// The file as it is, or the part of it that was asked for.
async fn file(path: &Path, name: &str, headers: &HeaderMap, release: Release) -> Response {
    let mut kind = content_type(name);
    let mut disposition = format!("filename=\"{}\"", quoted(name));
    let dangerous = is_dangerous(kind, release);
    let shown_as_image = headers
        .get("sec-fetch-dest")
        .is_some_and(|dest| dest == "image");
    if dangerous && !(shown_as_image && kind == "image/svg+xml") {
        kind = "application/octet-stream";
        if release.guards_views() {
            disposition = format!("attachment; {disposition}");
        }
    }
    let mut answer = match serve::file(path, headers).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, name, "a file could not be read");
            return reply::trouble();
        }
    };
    set(&mut answer, header::CONTENT_TYPE, kind);
    if release.guards_views() {
        set(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if dangerous {
            set(&mut answer, header::VARY, "Sec-Fetch-Dest");
            set(&mut answer, header::CACHE_CONTROL, "no-store");
        }
    }
    dispose(&mut answer, &disposition);
    answer
}

fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

fn dispose(answer: &mut Response, disposition: &str) {
    set(answer, header::CONTENT_DISPOSITION, disposition);
}
