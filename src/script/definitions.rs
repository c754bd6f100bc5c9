//! What scripts can call, in the form in which the Rhai language server reads it, so that an editor
//! completes it and shows its words.

use std::fmt::Write as _;

use super::reference::{Binding, Call, Form, reference};
use super::{Limits, engine};

/// A file of definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name, such as `comfy.d.rhai`.
    pub file: String,
    /// What stands in it.
    pub text: String,
}

/// The files, those of the language itself first.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let language = engine::bare(&Limits::default());
    let of_language = language.definitions();
    let mut files: Vec<Definition> = of_language
        .iter_files()
        .map(|(file, text)| Definition { file, text })
        .collect();
    let bindings = reference();
    let mut spaces: Vec<&str> = bindings.iter().map(|it| it.namespace.as_str()).collect();
    spaces.dedup();
    files.extend(spaces.into_iter().map(|space| {
        let within = bindings.iter().filter(|it| it.namespace == space);
        of_namespace(space, within)
    }));
    files
}

fn of_namespace<'a>(space: &str, bindings: impl Iterator<Item = &'a Binding>) -> Definition {
    let (file, head) = if space.is_empty() {
        ("mmf.d.rhai".to_owned(), "module static;".to_owned())
    } else {
        (format!("{space}.d.rhai"), format!("module {space};"))
    };
    let mut text = format!("{head}\n");
    for binding in bindings {
        for form in &binding.forms {
            if let Some(declared) = declared(binding, form) {
                let _ = write!(text, "\n{}{declared}\n", comment(binding, form));
            }
        }
    }
    Definition { file, text }
}

fn comment(binding: &Binding, form: &Form) -> String {
    let mut comment = format!("/// {}\n", form.about);
    if !form.throws.is_empty() {
        let _ = writeln!(comment, "///\n/// Throws {}", form.throws);
    }
    if !binding.example.is_empty() {
        let _ = writeln!(
            comment,
            "///\n/// ```rhai\n/// {}\n/// ```",
            binding.example
        );
    }
    comment
}

/// The form as a definition; what is called by brackets has none.
fn declared(binding: &Binding, form: &Form) -> Option<String> {
    let name = &binding.name;
    let params: Vec<String> = form
        .params
        .iter()
        .map(|(name, ty)| format!("{name}: {}", type_of(ty)))
        .collect();
    let called = match form.call {
        Call::Function | Call::Method => format!("fn {name}({})", params.join(", ")),
        Call::Property => format!("fn get {name}({})", params.join(", ")),
        Call::Operator => {
            let types: Vec<&str> = form.params.iter().map(|(_, ty)| type_of(ty)).collect();
            format!("op {name}({})", types.join(", "))
        }
        Call::Index => return None,
    };
    Some(format!("{called} -> {};", type_of(&form.gives)))
}

/// A type as definitions call it.
fn type_of(word: &str) -> &str {
    match word {
        "string" => "String",
        "map" => "Map",
        "array" => "Array",
        "blob" => "Blob",
        "function" => "FnPtr",
        "seed" => "int",
        "workflow" => "Workflow",
        "node" => "Node",
        "link" => "Link",
        "reply" => "Reply",
        "message" => "Message",
        "facts" => "Facts",
        "any" => "?",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_has_a_file_and_each_function_its_words() {
        let files = definitions();
        let comfy = files
            .iter()
            .find(|file| file.file == "comfy.d.rhai")
            .unwrap();
        assert!(comfy.text.starts_with("module comfy;\n"));
        insta::assert_snapshot!(
            comfy.text.split("\n\n").find(|one| one.contains("fn cancel")).unwrap(),
            @r"
        /// Stops one job or run, waiting or running, and no other.
        ///
        /// Throws `NOT_FOUND`, `CONNECTION_ERROR` without a server.
        ///
        /// ```rhai
        /// comfy::cancel(prompt_id)
        /// ```
        fn cancel(prompt_id: String) -> ?;
        "
        );
        let ours = files.iter().find(|file| file.file == "mmf.d.rhai").unwrap();
        for definition in [
            "fn node(workflow: Workflow, class_type: String, inputs: Map) -> Node;",
            "fn get size(workflow: Workflow) -> int;",
            "op +(int, int) -> ?;",
            "fn assert(condition: bool) -> ();",
        ] {
            assert!(ours.text.contains(definition), "{definition}");
        }
    }
}
