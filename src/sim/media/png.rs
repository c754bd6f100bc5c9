//! PNG files with the prompt and the workflow inside, as `SaveImage` writes them: one `tEXt` chunk
//! each, JSON in ASCII.

use std::fmt::Write;
use std::io::Cursor;

use flate2::Crc;
use image::{ImageError, ImageFormat, RgbaImage};
use serde_json::{Map, Value as Json};

/// Where the first chunk after the header begins.
const AFTER_HEADER: usize = 8 + 25;

/// Encodes a picture without transparency, with text chunks by keyword.
pub(in super::super) fn encode(
    picture: &RgbaImage,
    texts: &[(String, String)],
) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    image::DynamicImage::ImageRgba8(picture.clone())
        .into_rgb8()
        .write_to(&mut bytes, ImageFormat::Png)?;
    let mut bytes = bytes.into_inner();
    let chunks: Vec<u8> = texts
        .iter()
        .flat_map(|(keyword, text)| text_chunk(keyword, text))
        .collect();
    bytes.splice(AFTER_HEADER..AFTER_HEADER, chunks);
    Ok(bytes)
}

/// The texts that a save node writes: `prompt`, then every key of `extra_pnginfo`.
pub(in super::super) fn metadata(
    prompt: &Json,
    extra_data: &Map<String, Json>,
) -> Vec<(String, String)> {
    let mut texts = vec![("prompt".to_owned(), ascii(prompt))];
    let extra = extra_data.get("extra_pnginfo").and_then(Json::as_object);
    texts.extend(
        extra
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), ascii(value))),
    );
    texts
}

fn text_chunk(keyword: &str, text: &str) -> Vec<u8> {
    chunk(
        *b"tEXt",
        &[keyword.as_bytes(), &[0], text.as_bytes()].concat(),
    )
}

/// A chunk with its length and checksum.
pub(super) fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let body = [&kind[..], content].concat();
    let mut crc = Crc::new();
    crc.update(&body);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body, &crc.sum().to_be_bytes()].concat()
}

/// Kind and content of every chunk of a file.
pub(super) fn chunks(file: &[u8]) -> Vec<(&[u8; 4], &[u8])> {
    let mut chunks = Vec::new();
    let mut rest = file.get(8..).unwrap_or_default();
    while let Some((length, body)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((kind, after)) = body.split_first_chunk::<4>() else {
            break;
        };
        let Some(content) = after.get(..length) else {
            break;
        };
        chunks.push((kind, content));
        rest = after.get(length + 4..).unwrap_or_default();
    }
    chunks
}

/// JSON with everything beyond ASCII escaped, because a `tEXt` chunk is Latin-1.
fn ascii(value: &Json) -> String {
    let mut text = String::new();
    for letter in value.to_string().chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing into a String can't fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_prompt_is_found_in_the_file_and_the_file_is_a_picture() {
        let picture = RgbaImage::from_pixel(3, 2, image::Rgba([9, 8, 7, 255]));
        let prompt = json!({ "1": { "text": "Füchse 🦊" } });
        let extra = json!({ "extra_pnginfo": { "workflow": { "id": 7 } } });
        let bytes = encode(&picture, &metadata(&prompt, extra.as_object().unwrap())).unwrap();
        assert_eq!(
            image::load_from_memory(&bytes).unwrap().into_rgba8(),
            picture
        );

        let at = bytes
            .windows(11)
            .position(|window| window == b"tEXtprompt\0")
            .unwrap();
        let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
        let text = std::str::from_utf8(&bytes[at + 11..at + 4 + length]).unwrap();
        assert!(text.is_ascii());
        assert_eq!(serde_json::from_str::<Json>(text).unwrap(), prompt);
        assert!(bytes.windows(13).any(|window| window == b"tEXtworkflow\0"));
    }
}
