//! Names, titles and queries cut into words that can be compared.

/// Words that say nothing about what is wanted.
const STOP: [&str; 19] = [
    "a", "an", "and", "by", "do", "for", "from", "how", "i", "in", "into", "node", "nodes", "of",
    "on", "or", "the", "to", "with",
];

/// The words of a name or text, in lower case: `KSamplerAdvanced` gives `ksampler`, `sampler`,
/// `advanced` and `ksampleradvanced`. A single capital belongs to the word behind it, which is
/// found without it too.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for chunk in chunks(text) {
        let segments = segments(chunk);
        if segments.len() > 1 {
            words.push(chunk.to_lowercase());
        }
        let mut before = "";
        for segment in segments {
            let lower = segment.to_lowercase();
            if segment.chars().count() == 1 {
                before = segment;
                continue;
            }
            if !before.is_empty() {
                words.push(format!("{}{lower}", before.to_lowercase()));
                before = "";
            }
            words.push(lower);
        }
        if !before.is_empty() {
            words.push(before.to_lowercase());
        }
    }
    words.sort_unstable();
    words.dedup();
    words
}

/// How many words a person sees in a name.
pub(super) fn count(name: &str) -> usize {
    let words = chunks(name).flat_map(segments);
    words
        .filter(|segment| segment.chars().count() > 1)
        .count()
        .max(1)
}

/// What a query asks for, word by word; without those that say nothing, unless there are no
/// others. `wan2.2` is one word, as in class names.
pub(super) fn tokens(query: &str) -> Vec<String> {
    let query = query.to_lowercase().replace('.', "");
    let all: Vec<String> = chunks(&query).map(str::to_owned).collect();
    let telling: Vec<String> = all
        .iter()
        .filter(|token| !STOP.contains(&token.as_str()))
        .cloned()
        .collect();
    if telling.is_empty() { all } else { telling }
}

/// Letters and digits alone, in lower case: equal for `Load Image`, `load_image` and `LoadImage`.
pub(super) fn compact(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// A word without its ending: `upscaling` and `loras` are found as `upscale` and `lora`.
pub(super) fn stem(word: &str) -> Option<&str> {
    let ending = |ending: &str, rest: usize| {
        word.strip_suffix(ending)
            .filter(|stem| stem.chars().count() >= rest)
    };
    ending("ing", 4)
        .or_else(|| ending("er", 5))
        .or_else(|| ending("ed", 4))
        .or_else(|| ending("es", 4))
        .or_else(|| ending("s", 3))
}

fn chunks(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|chunk| !chunk.is_empty())
}

/// `CLIPTextEncode` is `CLIP`, `Text`, `Encode`; digits belong to what stands before them.
fn segments(chunk: &str) -> Vec<&str> {
    let characters: Vec<(usize, char)> = chunk.char_indices().collect();
    let mut segments = Vec::new();
    let mut start = 0;
    for i in 1..characters.len() {
        let (at, c) = characters[i];
        let before = characters[i - 1].1;
        let next = characters.get(i + 1).map(|(_, c)| *c);
        let rises = c.is_uppercase() && !before.is_uppercase();
        let ends_capitals = c.is_uppercase() && next.is_some_and(char::is_lowercase);
        if rises || ends_capitals {
            segments.push(&chunk[start..at]);
            start = at;
        }
    }
    segments.push(&chunk[start..]);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_fall_into_the_words_that_people_read_in_them() {
        assert_eq!(
            words("KSamplerAdvanced"),
            ["advanced", "ksampler", "ksampleradvanced", "sampler"]
        );
        assert_eq!(
            words("CLIPTextEncode"),
            ["clip", "cliptextencode", "encode", "text"]
        );
        assert_eq!(
            words("Load LoRA"),
            ["lo", "load", "lora", "ra"],
            "the whole word is among them"
        );
        assert_eq!(count("CLIPTextEncode"), 3);
        assert_eq!(count("KSampler"), 1);
    }

    #[test]
    fn a_query_keeps_the_words_that_tell_something() {
        assert_eq!(
            tokens("node for upscaling an Image"),
            ["upscaling", "image"]
        );
        assert_eq!(tokens("Wan2.2 i2v"), ["wan22", "i2v"]);
        assert_eq!(tokens("to"), ["to"]);
        assert_eq!(stem("upscaling"), Some("upscal"));
        assert_eq!(stem("bus"), None);
    }
}
