//! Pictures without what they say of their making: a web page is no place for prompts.

/// What every PNG begins with.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks of text and of a camera's facts, among which `ComfyUI` puts prompt and workflow.
const TELLING: [&[u8]; 4] = [b"tEXt", b"zTXt", b"iTXt", b"eXIf"];

/// A PNG without its texts; `None` if it has none, or is no whole PNG.
pub(super) fn without_texts(png: &[u8]) -> Option<Vec<u8>> {
    let mut rest = png.strip_prefix(SIGNATURE)?;
    let mut kept = SIGNATURE.to_vec();
    let mut any = false;
    while !rest.is_empty() {
        let (length, _) = rest.split_first_chunk::<4>()?;
        // Length, name, contents, checksum.
        let whole = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (chunk, after) = rest.split_at_checked(whole.checked_add(12)?)?;
        if TELLING.contains(&&chunk[4..8]) {
            any = true;
        } else {
            kept.extend_from_slice(chunk);
        }
        rest = after;
    }
    any.then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8], contents: &[u8]) -> Vec<u8> {
        let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
        [&length, name, contents, &[0; 4]].concat()
    }

    #[test]
    fn texts_go_and_everything_else_stays() {
        let (head, end) = (chunk(b"IHDR", b"x"), chunk(b"IEND", b""));
        let text = chunk(b"tEXt", b"prompt\0{}");
        let plain = [SIGNATURE, &head, &end].concat();
        let telling = [SIGNATURE, &head, &text, &end].concat();
        assert_eq!(without_texts(&telling), Some(plain.clone()));
        assert_eq!(without_texts(&plain), None, "nothing to take out");
        assert_eq!(
            without_texts(&telling[..telling.len() - 3]),
            None,
            "cut off"
        );
        assert_eq!(without_texts(b"GIF89a"), None);
    }
}
