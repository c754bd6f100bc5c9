//! Whether an input goes on in the next line.

/// Whether a bracket, a text in backticks or a comment is still open. What is closed without having
/// been opened is for the parser to tell.
pub(super) fn is_open(input: &str) -> bool {
    let mut depth = 0_i32;
    let mut letters = input.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            // Such a text ends with its line, well or not.
            '"' => _ = skip_text(&mut letters, '"', true),
            '\'' => _ = skip_text(&mut letters, '\'', true),
            '`' if !skip_text(&mut letters, '`', false) => return true,
            '/' if letters.peek() == Some(&'/') => {
                while !matches!(letters.next(), Some('\n') | None) {}
            }
            '/' if letters.peek() == Some(&'*') => {
                letters.next();
                let mut last = ' ';
                loop {
                    match letters.next() {
                        Some('/') if last == '*' => break,
                        Some(letter) => last = letter,
                        None => return true,
                    }
                }
            }
            _ => {}
        }
    }
    depth > 0
}

/// Goes behind the end of a text; says whether it has one.
fn skip_text(letters: &mut impl Iterator<Item = char>, end: char, in_line: bool) -> bool {
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if end != '`' => drop(letters.next()),
            '\n' if in_line => return false,
            letter if letter == end => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_goes_on_while_something_is_open() {
        for open in [
            "f(",
            "let x = #{ a: [1,",
            "fn f(x) {",
            "`two\n",
            "1 /* so",
            "f(\")\",",
        ] {
            assert!(is_open(open), "{open}");
        }
        for whole in [
            "f()",
            "let s = \"(\";",
            "1 // (",
            "'{'",
            "`(`",
            ")",
            "\"(",
            "/* ( */ 1",
        ] {
            assert!(!is_open(whole), "{whole}");
        }
    }
}
