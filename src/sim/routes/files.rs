//! What kind of content a file's name promises.

use super::super::release::Release;

/// The content type by the name's ending, as Python's `mimetypes` guesses it.
pub(super) fn content_type(name: &str) -> &'static str {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("bmp") => "image/bmp",
        Some("svg") => "image/svg+xml",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        Some("mkv") => "video/x-matroska",
        Some("mov") => "video/quicktime",
        Some("wav") => "audio/x-wav",
        Some("mp3") => "audio/mpeg",
        Some("flac") => "audio/flac",
        Some("opus" | "ogg") => "audio/ogg",
        Some("glb") => "model/gltf-binary",
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("html" | "htm") => "text/html",
        Some("js" | "mjs") => "text/javascript",
        Some("css") => "text/css",
        Some("xml") => "text/xml",
        _ => "application/octet-stream",
    }
}

/// Whether a browser might execute it, so that it is only handed out as a download.
pub(super) fn is_dangerous(content_type: &str, release: Release) -> bool {
    match content_type {
        "text/html" | "text/javascript" | "text/css" => true,
        "image/svg+xml" | "text/xml" => release.guards_views(),
        _ => false,
    }
}
