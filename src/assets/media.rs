//! What bytes and names say about their type.

/// Extension and type of everything that nodes are known to save. The first extension of a type is
/// the one blobs get.
const TYPES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("avif", "image/avif"),
    ("jxl", "image/jxl"),
    ("bmp", "image/bmp"),
    ("tiff", "image/tiff"),
    ("tif", "image/tiff"),
    ("exr", "image/x-exr"),
    ("hdr", "image/vnd.radiance"),
    ("svg", "image/svg+xml"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("avi", "video/x-msvideo"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("obj", "model/obj"),
    ("stl", "model/stl"),
    ("ply", "model/x-ply"),
    ("fbx", "model/x-fbx"),
    ("usdz", "model/vnd.usdz+zip"),
    ("splat", "model/x-splat"),
    ("ksplat", "model/x-splat"),
    ("spz", "model/x-splat"),
    ("txt", "text/plain"),
    ("srt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("json", "application/json"),
    ("zip", "application/zip"),
];

const UNKNOWN: &str = "application/octet-stream";

/// The type that a file name's extension stands for; `application/octet-stream` if none is known.
#[must_use]
pub fn mime_of_name(filename: &str) -> &'static str {
    let extension = filename
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let known = extension.and_then(|extension| TYPES.iter().find(|(name, _)| *name == extension));
    known.map_or(UNKNOWN, |(_, mime)| mime)
}

/// The usual extension of a type, without the dot.
#[must_use]
pub fn extension_of(mime: &str) -> Option<&'static str> {
    TYPES
        .iter()
        .find(|(_, known)| *known == mime)
        .map(|(extension, _)| *extension)
}

/// The type that the first bytes of a file show; a few dozen bytes suffice.
pub(super) fn mime_of_bytes(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    Some(match head {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if at(0, b"\xff\xd8\xff") => "image/jpeg",
        _ if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        _ if at(0, b"RIFF") && at(8, b"WAVE") => "audio/wav",
        _ if at(0, b"RIFF") && at(8, b"AVI ") => "video/x-msvideo",
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => "image/tiff",
        _ if at(0, b"BM")
            && at(6, &[0; 4])
            && matches!(head.get(14), Some(12 | 40 | 64 | 108 | 124)) =>
        {
            "image/bmp"
        }
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        _ if at(4, b"ftyp") => match head.get(8..12) {
            Some(b"avif" | b"avis") => "image/avif",
            Some(b"qt  ") => "video/quicktime",
            Some(b"M4A " | b"M4B ") => "audio/mp4",
            _ => "video/mp4",
        },
        // Matroska and its little sister differ in a name further down.
        _ if at(0, b"\x1a\x45\xdf\xa3") => {
            if head.windows(4).any(|name| name == b"webm") {
                "video/webm"
            } else {
                "video/x-matroska"
            }
        }
        _ if at(0, b"fLaC") => "audio/flac",
        _ if at(0, b"OggS") => "audio/ogg",
        _ if at(0, b"ID3") => "audio/mpeg",
        [0xff, second, ..] if second & 0xe6 == 0xe2 => "audio/mpeg",
        _ if at(0, b"glTF") => "model/gltf-binary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_last_extension_whatever_its_case() {
        assert_eq!(mime_of_name("a.b/ComfyUI_00001_.PNG"), "image/png");
        assert_eq!(mime_of_name("ComfyUI.latent"), UNKNOWN);
        assert_eq!(mime_of_name("png"), UNKNOWN);
    }

    #[test]
    fn every_type_has_an_extension_that_leads_back_to_it() {
        for (_, mime) in TYPES {
            let name = format!("x.{}", extension_of(mime).unwrap());
            assert_eq!(mime_of_name(&name), *mime);
        }
    }
}
