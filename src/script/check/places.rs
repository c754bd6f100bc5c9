//! Where things stand that the parser keeps no place of.

use rhai::Position;

/// Where `word` stands in the map that opens at `from`: to the parser, a map of constants alone is
/// one value with one place.
pub(super) fn key_of_map(word: &str, text: &str, from: Position) -> Position {
    let (Some(line), Some(column)) = (from.line(), from.position()) else {
        return from;
    };
    let lines = text.lines().enumerate().skip(line - 1);
    for (number, text) in lines {
        let skipped = if number + 1 == line { column - 1 } else { 0 };
        let start = text
            .char_indices()
            .nth(skipped)
            .map_or(text.len(), |(at, _)| at);
        let key = text[start..].match_indices(word).find(|(at, _)| {
            let before = text[start..start + at].chars().next_back();
            let behind = text[start + at + word.len()..]
                .trim_start_matches('"')
                .trim_start();
            behind.starts_with(':') && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        });
        if let Some((at, _)) = key {
            return place(number, text, start + at);
        }
    }
    from
}

/// Where the declaration of a parameter has its name.
pub(super) fn declaration_of(parameter: &str, text: &str) -> Position {
    let quoted = format!("\"{parameter}\"");
    let mut lines = text.lines().enumerate();
    let declared = lines.find_map(|(number, line)| {
        let (before, behind) = line.split_once("param(")?;
        let is_it = behind.trim_start().starts_with(&quoted);
        let at = before.len() + "param(".len() + behind.len() - behind.trim_start().len();
        is_it.then(|| place(number, line, at))
    });
    declared.unwrap_or(Position::NONE)
}

/// The place of a byte of a line; lines count from 0 here.
fn place(number: usize, line: &str, byte: usize) -> Position {
    let column = line[..byte].chars().count() + 1;
    match (u16::try_from(number + 1), u16::try_from(column)) {
        (Ok(line), Ok(column)) => Position::new(line, column),
        _ => Position::NONE,
    }
}
