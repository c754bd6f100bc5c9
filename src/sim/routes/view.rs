//! `GET /view`: a file of the input, output or temp folder, perhaps re-encoded.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, ImageFormat, Rgba};

use super::super::folders::{FolderType, split_annotation, within};
use super::super::world::World;
use super::files::{content_type, is_dangerous};
use super::reply;

type Parameters = HashMap<String, String>;

pub(super) async fn get(
    State(world): State<Arc<World>>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    match find(&world, &query) {
        Ok((path, name)) => answer(&path, &name, &query, &headers).unwrap_or_else(|error| {
            tracing::debug!(%error, name, "a file could not be shown");
            reply::trouble()
        }),
        Err(status) => reply::status(status),
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

fn answer(
    path: &Path,
    name: &str,
    query: &Parameters,
    headers: &HeaderMap,
) -> Result<Response, ImageError> {
    let channel = query.get("channel").map_or("", String::as_str);
    if let Some(preview) = query.get("preview") {
        return Ok(picture(name, preview_of(path, preview, channel)?));
    }
    match channel {
        "rgb" => {
            let rgb = DynamicImage::ImageRgb8(image::open(path)?.into_rgb8());
            Ok(picture(
                name,
                ("image/png", encoded(&rgb, ImageFormat::Png)?),
            ))
        }
        "a" => {
            let mut alpha = image::open(path)?.into_rgba8();
            for pixel in alpha.pixels_mut() {
                *pixel = Rgba([0, 0, 0, pixel[3]]);
            }
            let alpha = DynamicImage::ImageRgba8(alpha);
            Ok(picture(
                name,
                ("image/png", encoded(&alpha, ImageFormat::Png)?),
            ))
        }
        _ => Ok(file(name, std::fs::read(path)?, headers)),
    }
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
fn file(name: &str, bytes: Vec<u8>, headers: &HeaderMap) -> Response {
    let mut kind = content_type(name);
    let mut disposition = format!("filename=\"{}\"", quoted(name));
    let dangerous = is_dangerous(kind);
    let shown_as_image = headers
        .get("sec-fetch-dest")
        .is_some_and(|dest| dest == "image");
    if dangerous && !(shown_as_image && kind == "image/svg+xml") {
        kind = "application/octet-stream";
        disposition = format!("attachment; {disposition}");
    }
    let total = bytes.len();
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let mut answer = match range.and_then(|range| part(range, total)) {
        None => bytes.into_response(),
        Some(Err(())) => {
            let mut answer = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(
                &mut answer,
                header::CONTENT_RANGE,
                &format!("bytes */{total}"),
            );
            return answer;
        }
        Some(Ok((first, last))) => {
            let mut answer =
                (StatusCode::PARTIAL_CONTENT, bytes[first..=last].to_vec()).into_response();
            set(
                &mut answer,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{total}"),
            );
            answer
        }
    };
    set(&mut answer, header::CONTENT_TYPE, kind);
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    set(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if dangerous {
        set(&mut answer, header::VARY, "Sec-Fetch-Dest");
        set(&mut answer, header::CACHE_CONTROL, "no-store");
    }
    dispose(&mut answer, &disposition);
    answer
}

/// First and last byte of `bytes=A-B`, `bytes=A-` or `bytes=-N`; nothing for what is no such range,
/// an error for one beyond the end.
fn part(range: &str, total: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.checked_sub(1);
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if last >= first => (first, last),
        (Ok(first), Err(_)) if last.is_empty() => (first, usize::MAX),
        (Err(_), Ok(count)) if first.is_empty() => (total.saturating_sub(count), usize::MAX),
        _ => return None,
    };
    Some(
        end.filter(|end| first <= *end)
            .map(|end| (first, last.min(end)))
            .ok_or(()),
    )
}

fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

fn dispose(answer: &mut Response, disposition: &str) {
    set(answer, header::CONTENT_DISPOSITION, disposition);
}

/// Sets a header, unless the value can't stand in one.
fn set(answer: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        assert_eq!(part("bytes=0-3", 10), Some(Ok((0, 3))));
        assert_eq!(part("bytes=4-", 10), Some(Ok((4, 9))));
        assert_eq!(part("bytes=-3", 10), Some(Ok((7, 9))));
        assert_eq!(part("bytes=8-99", 10), Some(Ok((8, 9))));
        assert_eq!(part("bytes=10-", 10), Some(Err(())));
        assert_eq!(part("bytes=3-1", 10), None);
        assert_eq!(part("lines=1-2", 10), None);
    }
}
