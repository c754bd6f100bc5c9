//! What can be known of a script's mistakes before it runs.
//!
//! Rhai looks functions up when they are called, so a misspelt name in a branch that is seldom
//! taken would show after hours of graphics time. This walks the whole tree at once instead, and
//! tells every mistake that it sees, not only the first.

mod calls;
mod effects;
mod entries;
mod functions;
mod models;
mod nodes;
mod parameters;
mod places;
mod scripts;
mod tree;
mod usage;

pub(super) use tree::{call, encloses, imports};

use serde::Serialize;

pub(super) use self::functions::lacking;
use super::suites::as_compiled;
use super::{Declaration, Diagnostic, Generation, Kind, Layer, Script, Severity, Source, engine};
use crate::comfy::nodes::NodeFacts;
use crate::jobs::Moment;

/// What is known of a script without running it.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Its mistakes in the order of their places.
    pub problems: Vec<Diagnostic>,
    /// What it says about itself, if it says so without mistake.
    #[serde(skip)]
    pub declaration: Option<Declaration>,
}

impl Checked {
    /// Whether it can be run: warnings are no hindrance.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let is_error = |problem: &Diagnostic| problem.severity == Severity::Error;
        !self.problems.iter().any(is_error)
    }
}

/// Checks a text as if it stood among the scripts of `generation`. With `facts`, the node classes
/// and inputs that it names are held against them.
#[must_use]
pub fn check(generation: &Generation, source: &Source, facts: Option<&NodeFacts>) -> Checked {
    let source = &as_compiled(source);
    let generation = generation.with(source);
    if let Some(problem) = generation.problems().get(&source.key) {
        return Checked {
            problems: vec![problem.clone()],
            declaration: None,
        };
    }
    let Ok(served) = generation.get(source.key.kind, &source.key.name) else {
        // What is neither served nor a problem does not exist.
        return Checked {
            problems: vec![],
            declaration: None,
        };
    };
    let script = &served.script;
    let mut problems = calls::check(script, &served.libraries);
    problems.extend(effects::check(script, &served.libraries));
    problems.extend(parameters::check(script));
    problems.extend(usage::parameters(script, &served.libraries));
    problems.extend(usage::imports(script));
    problems.extend(scripts::check(script, &generation));
    if let Some(facts) = facts {
        problems.extend(nodes::check(script, facts, &generation.packs()));
        problems.extend(models::check(script, facts));
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Checked {
        problems,
        declaration: Some(script.declaration.clone()),
    }
}

/// Whether somebody at this place wrote it.
fn is_own(script: &Script) -> bool {
    script.layer != Layer::BuiltIn
}

/// The first mistake of each script that a new text of a library would give it, such as a call of a
/// function that is no more.
#[must_use]
pub fn broken_by(generation: &Generation, library: &Source) -> Vec<Diagnostic> {
    let after = generation.with(library);
    let importers = generation.all().map(|served| &served.script);
    let importers = importers.filter(|script| {
        let mut imports = script.imports.iter();
        imports.any(|(name, _)| *name == library.key.name)
    });
    let first_error = |generation: &Generation, source: &Source| {
        let mut problems = check(generation, source, None).problems.into_iter();
        problems.find(|problem| problem.severity == Severity::Error)
    };
    let broken = importers.filter_map(|script| {
        let source = script.source();
        let problem = first_error(&after, &source)?;
        first_error(generation, &source)
            .is_none()
            .then_some(problem)
    });
    broken.collect()
}

/// What kind a text that lies in no folder is, by the functions that it defines: one that runs is a
/// pipeline, whatever it builds on the way; one that builds is a template; one that does neither is
/// a library. What can't be read yet counts as what its words look like.
#[must_use]
pub fn kind_of_text(text: &str) -> Kind {
    let ast = engine::compiling(false).compile(text).ok();
    let has = |entry: &str| match &ast {
        Some(ast) => ast.iter_functions().any(|function| {
            let is_hook = Moment::ALL.iter().any(|moment| moment.as_str() == entry);
            function.name == entry && (entry == "messages" || is_hook || function.params.len() == 1)
        }),
        None => text.contains(&format!("fn {entry}(")),
    };
    match () {
        () if has("run") => Kind::Pipeline,
        () if has("build") => Kind::Template,
        () if has("fix") => Kind::Fixer,
        () if Moment::ALL.iter().any(|moment| has(moment.as_str())) => Kind::Hook,
        () if has("messages") => Kind::Prompt,
        () if has("read") => Kind::Resource,
        () => Kind::Lib,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Key, Layer, Library};

    fn checked(kind: Kind, text: &str) -> Checked {
        let library = Library::load(vec![]);
        let source = Source {
            key: Key {
                kind,
                name: "mine".into(),
            },
            layer: Layer::File,
            path: "mine.rhai".into(),
            text: text.into(),
        };
        check(&library.generation(), &source, Some(&NodeFacts::bundled()))
    }

    fn told(kind: Kind, text: &str) -> String {
        let told: Vec<String> = checked(kind, text)
            .problems
            .iter()
            .map(Diagnostic::to_string)
            .collect();
        told.join("\n")
    }

    #[test]
    fn every_shipped_script_passes_without_a_word() {
        let library = Library::load(vec![]);
        let generation = library.generation();
        for served in generation.all() {
            let source = served.script.source();
            let problems = check(&generation, &source, Some(&NodeFacts::bundled())).problems;
            assert!(problems.is_empty(), "{}: {problems:#?}", source.key);
        }
    }

    #[test]
    fn a_library_without_what_others_call_breaks_them_and_one_with_more_does_not() {
        let generation = Library::load(vec![]).generation();
        let text = generation.text(Kind::Lib, "save").unwrap();
        let library = |text: String| Source {
            text,
            ..generation.get(Kind::Lib, "save").unwrap().script.source()
        };
        let more = library(format!("{text}\nfn more() {{ 1 }}\n"));
        assert!(broken_by(&generation, &more).is_empty());

        let less = library("fn clip(g, video, prefix) { g }".to_owned());
        let broken = broken_by(&generation, &less);
        let of_pictures = |problem: &Diagnostic| problem.message.starts_with("no function save::");
        assert!(
            !broken.is_empty() && broken.iter().all(of_pictures),
            "{broken:#?}"
        );
        let others = library("fn f( {".to_owned());
        assert!(broken_by(&generation, &others).len() > broken.len());
    }

    #[test]
    fn a_misspelt_function_in_a_branch_never_taken_is_found() {
        insta::assert_snapshot!(
            told(
                Kind::Pipeline,
                "fn run(p) {\n    if p.get(\"fast\") == true { comfy::submitt(p) }\n    let x = [1].mapp(|n| n);\n    rendom_seed()\n}\n"
            ),
            @r#"
        error: no function comfy::submitt
         --> mine.rhai:2:39
          |
        2 |     if p.get("fast") == true { comfy::submitt(p) }
          |                                       ^^^^^^^
          |
          = help: did you mean comfy::submit?
        warning: no function mapp
         --> mine.rhai:3:17
          |
        3 |     let x = [1].mapp(|n| n);
          |                 ^^^^
          |
          = help: did you mean map?
        error: no function rendom_seed
         --> mine.rhai:4:5
          |
        4 |     rendom_seed()
          |     ^^^^^^^^^^^
          |
          = help: did you mean random_seed?
        "#
        );
    }

    #[test]
    fn a_call_with_too_many_arguments_is_told_how_many_it_takes() {
        insta::assert_snapshot!(
            told(
                Kind::Pipeline,
                "import \"loaders\" as loaders;\nfn run(p) {\n    let g = workflow();\n    loaders::checkpoint(g);\n    progress(\"a\", 0.5, 3);\n    half(1, 2);\n}\nfn half(x) { x / 2 }\n"
            ),
            @r#"
        error: loaders::checkpoint is called with 1 argument
         --> mine.rhai:4:14
          |
        4 |     loaders::checkpoint(g);
          |              ^^^^^^^^^^
          |
          = help: write loaders::checkpoint(g, file)
        error: progress is called with 3 arguments
         --> mine.rhai:5:5
          |
        5 |     progress("a", 0.5, 3);
          |     ^^^^^^^^
          |
          = help: write progress(message: string) or progress(message: string, fraction: float) or progress(message: string, fraction: int)
        error: half is called with 2 arguments
         --> mine.rhai:6:5
          |
        6 |     half(1, 2);
          |     ^^^^
          |
          = help: write half(x)
        "#
        );
    }

    #[test]
    fn an_undeclared_parameter_is_found_where_it_is_read() {
        insta::assert_snapshot!(
            told(
                Kind::Template,
                "param(\"WIDTH\", \"int\", #{ value: 64 });\nfn build(p) {\n    let g = workflow();\n    if p.WIDHT > 3 { g.node(\"EmptyImage\", #{ width: p.WIDTH }) }\n    g\n}\n"
            ),
            @r#"
        error: no parameter "WIDHT" is declared
         --> mine.rhai:4:10
          |
        4 |     if p.WIDHT > 3 { g.node("EmptyImage", #{ width: p.WIDTH }) }
          |          ^^^^^
          |
          = help: did you mean WIDTH?
        "#
        );
    }

    #[test]
    fn a_misspelt_node_class_or_input_is_a_warning() {
        let text = "fn build(p) {\n    let g = workflow();\n    g.node(\"EmptyImag\", #{ width: 64 });\n    g.node(\"EmptyImage\", #{ widht: 64 });\n    g\n}\n";
        assert!(checked(Kind::Template, text).is_good());
        insta::assert_snapshot!(told(Kind::Template, text), @r#"
        warning: the server has no node class "EmptyImag"
         --> mine.rhai:3:12
          |
        3 |     g.node("EmptyImag", #{ width: 64 });
          |            ^^^^^^^^^^^
          |
          = help: did you mean EmptyImage?
        warning: EmptyImage has no input "widht"
         --> mine.rhai:4:29
          |
        4 |     g.node("EmptyImage", #{ widht: 64 });
          |                             ^^^^^
          |
          = help: did you mean width?
        "#);
    }

    #[test]
    fn a_text_that_does_not_parse_is_shown_where_it_breaks() {
        insta::assert_snapshot!(told(Kind::Pipeline, "fn run(p) {\n    let x = ;\n}\n"), @r#"
        error: unexpected ;
         --> mine.rhai:2:13
          |
        2 |     let x = ;
          |             ^
          |
          = help: a value is missing before it, or a (, [ or { is not closed
        "#);
        assert!(!checked(Kind::Pipeline, "fn run(p) {\n    let x = ;\n}\n").is_good());
    }

    #[test]
    fn own_functions_closures_and_methods_of_maps_are_known() {
        let text = "fn run(p) {\n    let twice = |x| x * 2;\n    let map = #{ f: twice };\n    let n = twice.call(2) + helper(1) + map.f.call(1);\n    try { throw #{ code: \"X\" } } catch (e) { print(e.code) }\n    [n, 1].map(|x| x + 1).reduce(|sum, x| sum + x, 0)\n}\nfn helper(x) { if x > 0 { helper(x - 1) } else { x } }\n";
        assert_eq!(told(Kind::Pipeline, text), "");
    }

    #[test]
    fn a_closure_may_call_its_own_parameter_p() {
        let text = "fn run(p) { [#{ size: 1 }].map(|p| p.size) }";
        assert_eq!(told(Kind::Pipeline, text), "");
    }

    #[test]
    fn the_kind_of_a_loose_text_follows_from_its_function() {
        assert_eq!(kind_of_text("fn build(p) { workflow() }"), Kind::Template);
        assert_eq!(kind_of_text("fn run(p) { 1 }"), Kind::Pipeline);
        assert_eq!(kind_of_text("fn wide() { 64 }"), Kind::Lib);
        let both = "fn build(p) { workflow() } fn run (p) { build(p) }";
        assert_eq!(kind_of_text(both), Kind::Pipeline);
        let said = "// what fn build(p) is for\nfn run(p) { \"fn build(\" }";
        assert_eq!(kind_of_text(said), Kind::Pipeline);
        assert_eq!(kind_of_text("fn run(p) { let x = ; }"), Kind::Pipeline);
    }
}
