//! What people of this field say instead of the words in names of node classes.

/// A word and what may stand for it; the words of one alternative are all needed.
const SYNONYMS: &[(&str, &[&[&str]])] = &[
    ("bg", &[&["background"]]),
    ("ckpt", &[&["checkpoint"]]),
    ("cn", &[&["controlnet"]]),
    ("cnet", &[&["controlnet"]]),
    (
        "concat",
        &[&["concatenate"], &["batch"], &["join"], &["stitch"]],
    ),
    ("condition", &[&["conditioning"]]),
    ("detail", &[&["refiner"], &["upscale"]]),
    ("esrgan", &[&["upscale", "model"]]),
    (
        "face",
        &[&["portrait"], &["photomaker"], &["landmark"], &["identity"]],
    ),
    ("flf2v", &[&["first", "last", "frame"]]),
    ("fps", &[&["frame", "rate"], &["video", "create"]]),
    ("guidance", &[&["cfg"], &["guider"]]),
    ("i2i", &[&["vae", "encode"], &["image", "edit"]]),
    ("i2v", &[&["image", "video"], &["img2vid"]]),
    ("if", &[&["switch"], &["logic"]]),
    ("image2video", &[&["image", "video"]]),
    ("img2img", &[&["vae", "encode"], &["image", "edit"]]),
    ("img2vid", &[&["image", "video"]]),
    ("inpaint", &[&["mask"]]),
    ("interpolate", &[&["interpolation"], &["rife"]]),
    (
        "join",
        &[&["concatenate"], &["batch"], &["stitch"], &["combine"]],
    ),
    ("llm", &[&["text", "generate"]]),
    ("merge", &[&["composite"], &["blend"], &["combine"]]),
    ("music", &[&["audio"], &["song"]]),
    ("negative", &[&["text", "encode"]]),
    ("number", &[&["int"], &["float"]]),
    ("outpaint", &[&["pad", "image"]]),
    ("paste", &[&["composite"]]),
    ("picture", &[&["image"]]),
    ("prompt", &[&["text", "encode"]]),
    (
        "rembg",
        &[&["background", "remove"], &["background", "removal"]],
    ),
    ("resize", &[&["scale"]]),
    ("rife", &[&["frame", "interpolation"]]),
    ("scale", &[&["upscale"], &["resize"]]),
    ("seed", &[&["noise"]]),
    ("sound", &[&["audio"]]),
    ("speech", &[&["audio"], &["voice"], &["tts"]]),
    ("string", &[&["text"]]),
    ("t2i", &[&["text", "image"], &["empty", "latent", "image"]]),
    ("t2v", &[&["text", "video"], &["empty", "latent", "video"]]),
    ("tts", &[&["text", "speech"], &["voice"]]),
    (
        "txt2img",
        &[&["text", "image"], &["empty", "latent", "image"]],
    ),
    (
        "txt2vid",
        &[&["text", "video"], &["empty", "latent", "video"]],
    ),
    ("unet", &[&["diffusion", "model"]]),
    (
        "upscale",
        &[&["scale"], &["resize"], &["super", "resolution"]],
    ),
    ("v2v", &[&["video", "video"]]),
    ("vid", &[&["video"]]),
    ("voice", &[&["speech"], &["tts"], &["audio"]]),
    ("weight", &[&["strength"]]),
];

/// The alternatives for a word, each a list of words that are all needed.
pub(super) fn alternatives(word: &str) -> &'static [&'static [&'static str]] {
    let found = SYNONYMS.binary_search_by(|(known, _)| (*known).cmp(word));
    found.map_or(&[], |at| SYNONYMS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_word_in_it_is_found() {
        assert!(SYNONYMS.is_sorted_by_key(|(word, _)| *word));
        for (word, meant) in SYNONYMS {
            assert_eq!(alternatives(word), *meant);
        }
    }
}
