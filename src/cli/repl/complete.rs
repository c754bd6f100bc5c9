//! What the beginning of a word may be completed to, by what stands before it.

use super::COMMANDS;
use super::world::Names;
use crate::script::Kind;

/// Where the word begins, and the whole words that it may become.
pub(super) fn complete(line: &str, names: &dyn Names) -> (usize, Vec<String>) {
    if line.starts_with(':') && !line.contains(' ') {
        let commands = COMMANDS.iter().map(|it| (*it).to_owned());
        return (0, matching(commands, line));
    }
    match open_text(line) {
        Some(start) => (start, in_text(&line[..start - 1], &line[start..], names)),
        None => in_code(line, names),
    }
}

/// Where the text in quotes begins in which the line ends, if it ends in one.
fn open_text(line: &str) -> Option<usize> {
    let mut open = None;
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if open.is_some() => drop(letters.next()),
            '"' => open = open.is_none().then_some(at + 1),
            _ => {}
        }
    }
    open
}

/// In quotes: what is meant follows from what is called, or from the input that it is given to.
fn in_text(before: &str, begun: &str, names: &dyn Names) -> Vec<String> {
    let before = before.trim_end();
    let is_call = |functions: &[&str]| {
        let mut functions = functions.iter();
        functions.any(|function| before.ends_with(&format!("{function}(")))
    };
    if is_call(&[".node", ".find", "nodes::info"]) {
        return matching(names.classes(), begun);
    }
    if is_call(&["templates::build", "templates::get"]) {
        return matching(names.scripts(&[Kind::Template]), begun);
    }
    if is_call(&["scripts::run"]) {
        return matching(
            names.scripts(&[Kind::Pipeline, Kind::Tool, Kind::Template]),
            begun,
        );
    }
    if before.ends_with("import") {
        return matching(names.scripts(&[Kind::Lib]), begun);
    }
    let Some(class) = open_node(before) else {
        return vec![];
    };
    let Some(key) = before.strip_suffix(':') else {
        return vec![];
    };
    let key = &key[word_start(key)..];
    matching(names.choices(class, key), begun)
}

fn in_code(line: &str, names: &dyn Names) -> (usize, Vec<String>) {
    let start = word_start(line);
    let (before, begun) = line.split_at(start);
    let before = before.trim_end();
    if before.ends_with(['{', ','])
        && let Some(class) = open_node(before)
    {
        let inputs = names.inputs(class).into_iter();
        return (
            start,
            matching(inputs.map(|input| format!("{input}: ")), begun),
        );
    }
    if begun.is_empty() {
        return (start, vec![]);
    }
    let words = names.words().into_iter();
    let words: Vec<String> = if before.ends_with('.') {
        // Methods have no namespace.
        words.filter(|word| !word.contains("::")).collect()
    } else {
        words.collect()
    };
    (start, matching(words, begun))
}

/// The class of the node whose inputs are being written.
fn open_node(before: &str) -> Option<&str> {
    const NODE: &str = ".node(\"";
    let from = before.rfind(NODE)? + NODE.len();
    let (class, rest) = before[from..].split_once('"')?;
    let rest = rest.trim_start().strip_prefix(',')?.trim_start();
    let rest = rest.strip_prefix("#{")?;
    let depth = rest.chars().fold(1_i32, |depth, letter| match letter {
        '{' => depth + 1,
        '}' => depth - 1,
        _ => depth,
    });
    (depth == 1).then_some(class)
}

/// Where the last word of a line begins; its namespace is part of it.
fn word_start(line: &str) -> usize {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
    let word = line.chars().rev().take_while(|letter| is_part(*letter));
    line.len() - word.map(char::len_utf8).sum::<usize>()
}

/// Those that begin so, in their order and each once; if none does, those that do in another case.
fn matching(all: impl IntoIterator<Item = String>, begun: &str) -> Vec<String> {
    let all: Vec<String> = all.into_iter().collect();
    let lower = begun.to_lowercase();
    let exact = |it: &&String| it.starts_with(begun);
    let loose = |it: &&String| it.to_lowercase().starts_with(&lower);
    let mut found: Vec<String> = all.iter().filter(exact).cloned().collect();
    if found.is_empty() {
        found = all.iter().filter(loose).cloned().collect();
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Some;

    impl Names for Some {
        fn words(&self) -> Vec<String> {
            ["comfy::run", "comfy::submit", "workflow", "node", "let"]
                .map(str::to_owned)
                .into()
        }

        fn classes(&self) -> Vec<String> {
            ["KSampler", "KSamplerAdvanced", "VAEDecode"]
                .map(str::to_owned)
                .into()
        }

        fn inputs(&self, class: &str) -> Vec<String> {
            match class {
                "KSampler" => ["seed", "steps"].map(str::to_owned).into(),
                _ => vec![],
            }
        }

        fn choices(&self, class: &str, input: &str) -> Vec<String> {
            match (class, input) {
                ("CheckpointLoaderSimple", "ckpt_name") => vec!["sd3.safetensors".to_owned()],
                _ => vec![],
            }
        }

        fn scripts(&self, kinds: &[Kind]) -> Vec<String> {
            match kinds {
                [Kind::Template] => vec!["sd3_txt2img".to_owned()],
                [Kind::Lib] => vec!["loaders".to_owned()],
                _ => vec!["best_of".to_owned()],
            }
        }
    }

    fn of(line: &str) -> Vec<String> {
        complete(line, &Some).1
    }

    #[test]
    fn names_are_completed_by_what_stands_before_them() {
        assert_eq!(of("let x = comfy::s"), ["comfy::submit"]);
        assert_eq!(of("work"), ["workflow"]);
        assert_eq!(of("g.n"), ["node"]);
        assert_eq!(of("g.node(\"KS"), ["KSampler", "KSamplerAdvanced"]);
        assert_eq!(of("g.node(\"vae"), ["VAEDecode"]);
        assert_eq!(of("g.node(\"KSampler\", #{ s"), ["seed: ", "steps: "]);
        assert_eq!(
            of("g.node(\"KSampler\", #{ seed: 1, "),
            ["seed: ", "steps: "]
        );
        let loader = "g.node(\"CheckpointLoaderSimple\", #{ ckpt_name: \"sd";
        assert_eq!(of(loader), ["sd3.safetensors"]);
        assert_eq!(of("templates::build(\"sd"), ["sd3_txt2img"]);
        assert_eq!(of("scripts::run(\""), ["best_of"]);
        assert_eq!(of("import \"lo"), ["loaders"]);
        assert_eq!(of(":l"), [":load"]);
        assert_eq!(of(":doc comfy::r"), ["comfy::run"]);
    }

    #[test]
    fn where_nothing_is_meant_nothing_is_offered() {
        for line in [
            "",
            "let s = \"KS",
            "g.node(\"KSampler\", #{ seed: 1 }); ",
            "x.find(1, ",
        ] {
            assert!(of(line).is_empty(), "{line}: {:?}", of(line));
        }
        assert_eq!(complete("f(\"é\", comfy::r", &Some).0, 8);
    }
}
