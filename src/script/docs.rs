//! The documentation of all scripts and of all that they can call, as pages of Markdown. What scripts
//! declare and what bindings say of themselves is all there is: nothing is written twice.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::reference::{Binding, reference};
use super::{Declaration, Generation, Kind, Param, Script, Served, bindings};

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name in links: `functions_comfy`, `templates`.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// Its text.
    pub markdown: String,
}

/// The pages: how to write a script, what scripts can call, and the scripts by kind.
#[must_use]
pub fn pages(generation: &Generation) -> Vec<Page> {
    let mut pages = vec![page("guide", "How to write a script", bindings::guide())];
    let all = reference();
    let mut spaces: Vec<&str> = all.iter().map(|it| it.namespace.as_str()).collect();
    spaces.dedup();
    for space in spaces {
        let within: Vec<&Binding> = all.iter().filter(|it| it.namespace == space).collect();
        pages.push(of_namespace(space, &within));
    }
    for kind in Kind::ALL {
        pages.push(of_kind(generation, kind));
    }
    pages
}

fn page(name: &str, title: &str, text: &str) -> Page {
    Page {
        name: name.to_owned(),
        title: title.to_owned(),
        markdown: format!("# {title}\n\n{}\n", text.trim()),
    }
}

fn of_namespace(space: &str, bindings: &[&Binding]) -> Page {
    let (name, title) = match space {
        "" => (
            "functions".to_owned(),
            "Functions without a namespace".to_owned(),
        ),
        space => (format!("functions_{space}"), format!("{space}::")),
    };
    let mut text = String::new();
    for binding in bindings {
        let _ = write!(text, "## {}\n\n```rhai\n", binding.path());
        for form in &binding.forms {
            let _ = writeln!(text, "{}", binding.signature(form));
        }
        let _ = write!(text, "```\n\n");
        for about in told_once(binding.forms.iter().map(|form| form.about.as_str())) {
            let _ = write!(text, "{about}\n\n");
        }
        for throws in told_once(binding.forms.iter().map(|form| form.throws.as_str())) {
            let _ = write!(text, "Throws {throws}\n\n");
        }
        let _ = write!(text, "To be called {}.\n\n", binding.place.as_str());
        let _ = write!(text, "```rhai\n{}\n```\n\n", binding.example);
    }
    page(&name, &title, &text)
}

/// What several say, each once, in their order.
fn told_once<'a>(told: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    told.filter(|text| !text.is_empty() && seen.insert(*text))
        .collect()
}

fn of_kind(generation: &Generation, kind: Kind) -> Page {
    let title = match kind {
        Kind::Template => "Templates",
        Kind::Tool => "Tools",
        Kind::Pipeline => "Pipelines",
        Kind::Prompt => "Prompts",
        Kind::Resource => "Resources",
        Kind::Fixer => "Fixers",
        Kind::Hook => "Hooks",
        Kind::Lib => "Libraries",
    };
    let mut text = String::new();
    for served in generation.of_kind(kind) {
        let _ = write!(text, "## {}\n\n", served.script.key.name);
        text += &match kind {
            Kind::Lib => of_library(&served.script),
            _ => of_script(served),
        };
    }
    page(&title.to_lowercase(), title, &text)
}

fn of_script(served: &Served) -> String {
    let script = &served.script;
    let declaration = &script.declaration;
    let mut text = format!("**{}**\n\n", declaration.title);
    if !declaration.about.is_empty() {
        let _ = write!(text, "{}\n\n", declaration.about);
    }
    if let Some(called) = called(script) {
        let _ = write!(text, "```sh\n{called}\n```\n\n");
    }
    if let Some(uri) = declaration.meta.get("uri").and_then(|uri| uri.as_str()) {
        let _ = write!(text, "Read at `{uri}`.\n\n");
    }
    text += &parameters(declaration);
    let codes = codes(&script.text);
    if !codes.is_empty() {
        let _ = write!(text, "Throws of its own: {}.\n\n", codes.join(", "));
    }
    let path = script.path.display();
    let _ = write!(text, "From `{path}` ({}).\n\n", script.layer);
    text
}

/// How it is called from the shell.
fn called(script: &Script) -> Option<String> {
    let name = &script.key.name;
    let required = script.declaration.params.iter().filter(|it| it.required);
    let given = |param: &Param| {
        if param.ty.is_number() {
            "1".to_owned()
        } else {
            format!("\"{}\"", param.name.to_lowercase())
        }
    };
    match script.key.kind {
        Kind::Template | Kind::Pipeline => {
            let options = required.map(|param| format!(" --{} {}", param.name, given(param)));
            Some(format!("mmf run {name}{}", options.collect::<String>()))
        }
        Kind::Tool => {
            let fields: Vec<String> = required
                .map(|param| format!("\"{}\": {}", param.name, given(param)))
                .collect();
            Some(format!("mmf call {name} '{{{}}}'", fields.join(", ")))
        }
        _ => None,
    }
}

fn parameters(declaration: &Declaration) -> String {
    if declaration.params.is_empty() {
        return String::new();
    }
    let mut table = "| parameter | takes | default | |\n|---|---|---|---|\n".to_owned();
    for param in &declaration.params {
        let default = match (param.required, &param.default) {
            (true, _) => "required".to_owned(),
            (false, serde_json::Value::Null) => String::new(),
            (false, value) => format!("`{value}`"),
        };
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            param.name,
            cell(&param.allowed()),
            cell(&default),
            cell(&param.about)
        );
    }
    table + "\n"
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The codes of the failures that a script throws itself.
fn codes(text: &str) -> Vec<String> {
    let after = text.split("code: \"").skip(1);
    let codes: BTreeSet<&str> = after.filter_map(|rest| rest.split('"').next()).collect();
    let is_code = |code: &&str| code.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    codes
        .into_iter()
        .filter(is_code)
        .map(|code| format!("`{code}`"))
        .collect()
}

/// What a library says of itself at its top, and its functions.
fn of_library(script: &Script) -> String {
    let head = script
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//!"));
    let head: Vec<&str> = head.map(str::trim).collect();
    let mut text = format!("{}\n\n", head.join(" ").trim());
    let name = &script.key.name;
    let alias = name.rsplit('/').next().unwrap_or(name).replace('-', "_");
    let _ = write!(text, "```rhai\nimport \"{name}\" as {alias};\n```\n\n");
    let mut functions: Vec<_> = script.ast.iter_functions().collect();
    functions.sort_by_key(|function| (function.name, function.params.len()));
    for function in functions.iter().filter(|it| !it.name.starts_with("anon$")) {
        let comments = function.comments.iter().flat_map(|comment| comment.lines());
        let about: Vec<&str> = comments
            .map(|line| line.trim().trim_start_matches("///").trim())
            .collect();
        let params = function.params.join(", ");
        let about = about.join(" ");
        let _ = writeln!(text, "- `{alias}::{}({params})` {about}", function.name);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Library;

    fn found(pages: &[Page], name: &str, head: &str) -> String {
        let page = pages.iter().find(|page| page.name == name).unwrap();
        let mut sections = page.markdown.split("\n## ");
        let section = sections.find(|section| section.starts_with(&format!("{head}\n")));
        section
            .unwrap_or_else(|| panic!("no {head} in {name}"))
            .trim()
            .to_owned()
    }

    #[test]
    fn a_template_a_library_and_a_binding_read_like_this() {
        let pages = pages(&Library::load(vec![]).generation());
        insta::assert_snapshot!(found(&pages, "templates", "upscale_image"));
        insta::assert_snapshot!(found(&pages, "libraries", "lists"));
        insta::assert_snapshot!(found(&pages, "functions_comfy", "comfy::wait"));
    }

    #[test]
    fn every_script_has_its_place_and_every_page_its_name() {
        let generation = Library::load(vec![]).generation();
        let pages = pages(&generation);
        let names: BTreeSet<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        assert_eq!(names.len(), pages.len());
        let text: String = pages.iter().map(|page| page.markdown.as_str()).collect();
        for served in generation.all() {
            let head = format!("\n## {}\n", served.script.key.name);
            assert!(text.contains(&head), "{}", served.script.key);
        }
    }
}
