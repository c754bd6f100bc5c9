//! Which values of a node tell most, in few letters.

use serde_json::Value;

use super::shape::Field;

/// So many values of a node are shown.
const SHOWN: usize = 6;

/// The longest value that is shown.
const LETTERS: usize = 26;

/// The most lines of a text that are shown.
const LINES: usize = 3;

/// Inputs that tell what a node does; the first ones most.
const NAMES: [&str; 26] = [
    "text",
    "prompt",
    "value",
    "image",
    "audio",
    "video",
    "file",
    "model",
    "width",
    "height",
    "length",
    "batch_size",
    "steps",
    "cfg",
    "guidance",
    "sampler_name",
    "scheduler",
    "denoise",
    "noise_seed",
    "seed",
    "strength_model",
    "strength",
    "fps",
    "duration",
    "filename_prefix",
    "type",
];

/// The few fields that tell most, in their order. What comes from elsewhere tells nothing here.
pub(super) fn most_telling(fields: Vec<Field>) -> Vec<Field> {
    let mut ranked: Vec<(usize, usize)> = fields
        .iter()
        .enumerate()
        .filter_map(|(at, field)| Some((rank(field)?, at)))
        .collect();
    ranked.sort_unstable();
    ranked.truncate(SHOWN);
    let shown = |at: &usize| ranked.iter().any(|(_, own)| own == at);
    let fields = fields.into_iter().enumerate();
    fields
        .filter(|(at, _)| shown(at))
        .map(|(_, field)| field)
        .collect()
}

fn rank(field: &Field) -> Option<usize> {
    let value = field.value.as_ref()?;
    if field.is_linked || value.is_null() || value.as_str().is_some_and(str::is_empty) {
        return None;
    }
    let name = field.name.as_str();
    // A file tells most of all.
    if name.ends_with("_name") && name != "sampler_name" {
        return Some(0);
    }
    let known = NAMES.iter().position(|known| *known == name);
    Some(known.map_or(NAMES.len() + 1, |at| at + 1))
}

/// A field's value in few letters.
pub(super) fn short(field: &Field) -> String {
    let text = match &field.value {
        None => String::new(),
        Some(Value::String(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Some(value) => value.to_string(),
    };
    shortened(&text, LETTERS)
}

/// A longer text in a few lines of so many letters; none if it is no such text.
pub(super) fn lines(field: &Field, letters: usize) -> Option<Vec<String>> {
    let text = field.value.as_ref()?.as_str()?;
    let is_prose = letters_of(text) > LETTERS && text.trim().contains(char::is_whitespace);
    if !is_prose {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word = shortened(word, letters);
        let fits = letters_of(&line) + 1 + letters_of(&word) <= letters;
        if line.is_empty() {
            line = word;
        } else if fits {
            line = format!("{line} {word}");
        } else if lines.len() + 1 < LINES {
            lines.push(std::mem::replace(&mut line, word));
        } else {
            // Too long with the word, so that its end is cut.
            line = shortened(&format!("{line} {word}"), letters);
            break;
        }
    }
    lines.push(line);
    Some(lines)
}

/// How many usual letters a text is as wide as: those of East Asia, and emoji, are two.
pub(super) fn letters_of(text: &str) -> usize {
    text.chars().map(letter).sum()
}

fn letter(char: char) -> usize {
    let is_wide = matches!(char,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    if is_wide { 2 } else { 1 }
}

/// The text within a number of letters. Of a file's name the end tells which one it is.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if letters_of(text) <= most {
        return text.to_owned();
    }
    let is_file = text.rsplit_once('.').is_some_and(|(_, ending)| {
        (2..=12).contains(&ending.len()) && ending.chars().all(|char| char.is_ascii_alphanumeric())
    });
    let tail = if is_file { most / 2 } else { 0 };
    let begin = taken(text.chars(), most.saturating_sub(tail + 1));
    let mut end: Vec<char> = taken(text.chars().rev(), tail).chars().collect();
    end.reverse();
    let end: String = end.into_iter().collect();
    format!("{}…{end}", begin.trim_end())
}

/// As many letters as there is room for.
fn taken(chars: impl Iterator<Item = char>, mut room: usize) -> String {
    let fitting = chars.take_while(|char| {
        let rest = room.checked_sub(letter(*char));
        room = rest.unwrap_or(0);
        rest.is_some()
    });
    fitting.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str, value: Value) -> Field {
        Field {
            name: name.to_owned(),
            value: Some(value),
            ..Field::default()
        }
    }

    #[test]
    fn long_texts_lose_their_end_and_files_their_middle() {
        assert_eq!(shortened("a red fox in the snow", 10), "a red fox…");
        assert_eq!(
            shortened("qwen_image_2512_fp8_e4m3fn.safetensors", 26),
            "qwen_image_2…n.safetensors"
        );
        assert_eq!(short(&field("text", json!("two\n lines"))), "two lines");
        assert_eq!(shortened("雪の中の赤い狐", 9), "雪の中の…");
    }

    #[test]
    fn what_is_empty_or_comes_from_elsewhere_is_left_away() {
        let mut linked = field("seed", json!(1));
        linked.is_linked = true;
        let fields = vec![linked, field("text", json!("")), field("steps", json!(4))];
        let names: Vec<String> = most_telling(fields)
            .into_iter()
            .map(|field| field.name)
            .collect();
        assert_eq!(names, ["steps"]);
    }

    #[test]
    fn the_known_names_go_first_and_the_order_stays() {
        let names = ["a", "b", "c", "d", "e", "cfg", "lora_name", "steps"];
        let fields = names.map(|name| field(name, json!(1))).into();
        let kept: Vec<String> = most_telling(fields)
            .into_iter()
            .map(|field| field.name)
            .collect();
        assert_eq!(kept, ["a", "b", "c", "cfg", "lora_name", "steps"]);
    }
}
