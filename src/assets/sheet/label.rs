//! Words made to fit where they stand.

/// What is left out shows as this.
const CUT: &str = "..";

/// Breaks a text into at most so many lines of so many letters, between words where that suffices;
/// what is too long loses its middle, because values mostly differ at one of their ends.
pub(super) fn fitted(text: &str, letters: usize, lines: usize) -> Vec<String> {
    let letters = letters.max(1);
    let wrapped = wrapped(text, letters);
    if wrapped.len() <= lines && wrapped.iter().all(|line| count(line) <= letters) {
        return wrapped;
    }
    let short: Vec<char> = shortened(text, letters * lines).chars().collect();
    let parts = short.chunks(letters);
    parts.map(|part| part.iter().collect()).collect()
}

/// The text without its middle, in at most so many letters.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= letters {
        return text.to_owned();
    }
    let room = letters.saturating_sub(CUT.len());
    if room == 0 {
        return all.into_iter().take(letters).collect();
    }
    let (head, tail) = (room.div_ceil(2), room / 2);
    let start: String = all[..head].iter().collect();
    let end: String = all[all.len() - tail..].iter().collect();
    format!("{start}{CUT}{end}")
}

fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if count(line) + 1 + count(word) <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn count(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_where_they_fit_and_lose_their_middle_where_not() {
        assert_eq!(fitted("out of memory", 8, 2), ["out of", "memory"]);
        assert_eq!(fitted("euler", 8, 1), ["euler"]);
        assert_eq!(fitted("dpmpp_2m_sde_gpu", 9, 1), ["dpmp..gpu"]);
        assert_eq!(
            fitted("flux1-dev-fp8.safetensors", 9, 2),
            ["flux1-de.", ".etensors"],
        );
        assert_eq!(shortened("abcdef", 2), "ab");
        assert_eq!(shortened("", 0), "");
    }
}
