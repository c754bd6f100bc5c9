//! What the editor makes of texts when it writes a prompt.

use std::borrow::Cow;

use jiff::Zoned;
use serde_json::Value;

use super::expand::Frames;
use super::js;
use super::kind::Kind;
use super::live::LiveNode;

/// Classes in whose `filename_prefix` `%...%` is replaced.
const SAVES: [&str; 20] = [
    "SaveImage",
    "SaveImageAdvanced",
    "SaveSVGNode",
    "SaveVideo",
    "SaveAnimatedWEBP",
    "SaveWEBM",
    "SaveAudio",
    "SaveAudioMP3",
    "SaveAudioOpus",
    "SaveAudioAdvanced",
    "SaveGLB",
    "Save3DAdvanced",
    "SaveGaussianSplat",
    "SavePointCloud",
    "SaveAnimatedPNG",
    "CLIPSave",
    "VAESave",
    "ModelSave",
    "LoraSave",
    "SaveLatent",
];

/// Whether it is a class in whose `filename_prefix` `%...%` is replaced.
pub(super) fn saves(class: &str) -> bool {
    SAVES.contains(&class)
}

/// A text without comments, with the first of each `{a|b}`, and whether there was any of those.
///
/// The editor draws one anew for each prompt. Here the same graph always gives the same prompt.
pub(in crate::comfy) fn dynamic_prompt(text: &str) -> (String, bool) {
    let text = without_comments(text);
    let mut result = String::with_capacity(text.len());
    let mut drawn = false;
    // Blocks that are open, and which of them is past its first option, with all within it.
    let mut depth = 0_usize;
    let mut passed = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let kept = passed.is_none();
        match char {
            '\\' => {
                let escaped = [Some(char), chars.next()];
                result.extend(escaped.into_iter().flatten().filter(|_| kept));
            }
            '{' => depth += 1,
            '}' if depth > 0 => {
                if passed == Some(depth) {
                    passed = None;
                }
                depth -= 1;
            }
            '|' if depth > 0 => {
                drawn = true;
                passed = passed.or(Some(depth));
            }
            char if kept => result.push(char),
            _ => {}
        }
    }
    for escaped in ['{', '}', '|'] {
        result = result.replace(&format!("\\{escaped}"), &escaped.to_string());
    }
    (result, drawn)
}

/// Comments as in C; the address after `https:` is one to the editor as well.
fn without_comments(text: &str) -> Cow<'_, str> {
    if !text.contains("//") && !text.contains("/*") {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(slash) = rest.find('/') {
        let (before, comment) = rest.split_at(slash);
        kept.push_str(before);
        let length = if let Some(block) = comment.strip_prefix("/*") {
            block.find("*/").map(|end| end + 4)
        } else if comment.starts_with("//") {
            let line_ends = ['\n', '\r', '\u{2028}', '\u{2029}'];
            Some(comment.find(line_ends).unwrap_or(comment.len()))
        } else {
            None
        };
        if length.is_none() {
            kept.push('/');
        }
        rest = &comment[length.unwrap_or(1)..];
    }
    kept.push_str(rest);
    kept.into()
}

/// Replaces `%date:FORMAT%` and `%Node.widget%`; what means nothing stays.
pub(super) fn replaced(text: &str, frames: &Frames<'_, '_>, now: &Zoned) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        let (before, marked) = rest.split_at(start);
        result.push_str(before);
        let inner = &marked[1..];
        match inner.find('%') {
            // Two of them with nothing between are no pair.
            Some(0) => {
                result.push('%');
                rest = inner;
            }
            Some(end) => {
                let name = &inner[..end];
                match replacement(name, frames, now) {
                    Some(value) => result.push_str(&value),
                    None => result.push_str(&marked[..end + 2]),
                }
                rest = &inner[end + 1..];
            }
            None => {
                result.push_str(marked);
                rest = "";
            }
        }
    }
    result.push_str(rest);
    result
}

fn replacement(name: &str, frames: &Frames<'_, '_>, now: &Zoned) -> Option<String> {
    let Some((node, widget)) = name.split_once('.').filter(|(_, rest)| !rest.contains('.')) else {
        let format = name.split('.').next()?.strip_prefix("date:");
        return format
            .filter(|_| !name.contains('.'))
            .map(|format| date(format, now));
    };
    let places = frames.places();
    let find = |called: &dyn Fn(&LiveNode<'_>) -> Option<String>| {
        let mut places = places.iter();
        places.find(|place| called(frames.node(**place)).as_deref() == Some(node))
    };
    let place = find(&reference).or_else(|| find(&|node| Some(title(node))))?;
    let widgets = &frames.node(*place).widgets;
    let widget = widgets.iter().find(|own| own.name == widget)?;
    let value = match &widget.value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(value) => js::text(value),
    };
    let unfit = |char: char| "/?<>\\:*|\"".contains(char) || char < '\u{20}' || char == '\u{7f}';
    Some(value.replace(unfit, "_"))
}

/// The name under which texts refer to a node; the editor gives nodes that save none.
fn reference(node: &LiveNode<'_>) -> Option<String> {
    let named = node.reference.map(str::to_owned);
    let class = || match node.kind {
        Kind::Class(class) if !saves(class.name()) => Some(class.name().to_owned()),
        _ => None,
    };
    named.or_else(class)
}

/// The title that the editor shows.
pub(super) fn title(node: &LiveNode<'_>) -> String {
    match (node.title, node.kind) {
        (Some(title), _) => title.to_owned(),
        (None, Kind::Class(class)) => display_name(class.name(), class.display_name()).to_owned(),
        (None, _) => node.class.to_owned(),
    }
}

/// The frontend's own English names go before the server's; these differ (frontend 1.49.6 and
/// `ComfyUI` 0.33.0).
fn display_name<'a>(class: &'a str, of_server: &'a str) -> &'a str {
    match class {
        "ByteDanceSeedreamNodeV2" => "ByteDance Seedream 4.5 & 5.0",
        "IdeogramPImage" => "Ideogram P-Image",
        "ByteDance2ReferenceNode" => "ByteDance Seedance 2.5 Reference to Video",
        "TopazImageEnhance" => "Topaz Image Enhance",
        "LTXVSeparateAVLatent" | "LTXVConcatAVLatent" => class,
        _ => of_server,
    }
}

/// A point in time in the editor's format: `yyyy-MM-dd_hh-mm-ss`.
fn date(format: &str, now: &Zoned) -> String {
    let chars: Vec<char> = format.chars().collect();
    let mut result = String::new();
    let mut at = 0;
    while at < chars.len() {
        let char = chars[at];
        let run = chars[at..].iter().take_while(|next| **next == char).count();
        let part = match char {
            'd' => Some(now.day()),
            'M' => Some(now.month()),
            'h' => Some(now.hour()),
            'm' => Some(now.minute()),
            's' => Some(now.second()),
            _ => None,
        };
        let length = match (char, part) {
            (_, Some(_)) => run.min(2),
            ('y', None) if run >= 2 => run.min(4),
            _ => 1,
        };
        match (char, length, part) {
            (_, length, Some(part)) => {
                let part = part.to_string();
                result.extend(std::iter::repeat_n('0', length.saturating_sub(part.len())));
                result.push_str(&part);
            }
            ('y', 4, _) => result.push_str(&now.year().to_string()),
            ('y', 2, _) => {
                let year = now.year().to_string();
                result.push_str(year.get(2..).unwrap_or_default());
            }
            (_, length, None) => result.extend(&chars[at..at + length]),
        }
        at += length;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_alternatives_the_first_is_taken_and_comments_go() {
        for (text, expected) in [
            (
                "{red|blue} car // tail\n/* x */ \\{keep\\}",
                "red car \n {keep}",
            ),
            ("{a {b|c}|d {e|f}|g} h", "a b h"),
            ("{a {b|c", "a b"),
            ("a} | b", "a} | b"),
            ("{\\|a|b}", "|a"),
            ("see https://example.org/a for more", "see https:"),
            ("1/2 /* open", "1/2 /* open"),
            ("{", ""),
            ("a\\", "a\\"),
        ] {
            assert_eq!(dynamic_prompt(text).0, expected, "{text}");
        }
    }

    #[test]
    fn dates_are_written_in_the_editors_format() {
        let now: Zoned = "2026-03-05T07:08:09[UTC]".parse().unwrap();
        for (format, expected) in [
            ("yyyy-MM-dd", "2026-03-05"),
            ("yy/M/d h:m:s", "26/3/5 7:8:9"),
            ("hhmmss", "070809"),
            ("yyy y T", "yyy y T"),
        ] {
            assert_eq!(date(format, &now), expected);
        }
    }
}
