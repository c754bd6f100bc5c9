//! What the author of a script is told when it is wrong.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use massmediafactory::comfy::Workflow;
use massmediafactory::script::{Kind, Layer, Library, Root, ScriptError, build};
use serde_json::{Map, Value, json};

/// A project with one script, and the library that has loaded it.
struct Project {
    folder: tempfile::TempDir,
    library: Library,
}

impl Project {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root {
            layer: Layer::Project,
            path: folder.path().into(),
        };
        let library = Library::load(vec![root]);
        Self { folder, library }
    }

    /// The one problem that loading found.
    fn problem(&self) -> String {
        let generation = self.library.generation();
        let problems: Vec<String> = generation
            .problems()
            .values()
            .map(ToString::to_string)
            .collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        self.relative(&problems[0])
    }

    /// What running the template `mine` says, as a person sees it. It runs on a stack as large as
    /// scripts get.
    fn failure(&self, arguments: &Value) -> String {
        let Value::Object(arguments) = arguments.clone() else {
            panic!("not an object")
        };
        let error = self.run(arguments).unwrap_err();
        let shown = error
            .diagnostic()
            .map_or_else(|| error.to_string(), ToString::to_string);
        self.relative(&shown)
    }

    fn run(&self, arguments: Map<String, Value>) -> Result<Value, ScriptError> {
        let generation = self.library.generation();
        std::thread::Builder::new()
            .stack_size(massmediafactory::script::Limits::STACK)
            .spawn(move || build(&generation, "mine", arguments).map(Workflow::into_json))
            .unwrap()
            .join()
            .unwrap()
    }

    fn relative(&self, text: &str) -> String {
        let folder = format!("{}/", Path::new(self.folder.path()).display());
        text.replace(&folder, "")
    }
}

fn template(text: &str) -> Project {
    Project::with(&[("templates/mine.rhai", text)])
}

#[test]
fn a_forgotten_semicolon_is_pointed_at() {
    let project = template("title(\"Mine\")\nfn build(p) {\n    workflow()\n}\n");
    assert_snapshot!(project.problem());
}

#[test]
fn a_missing_entry_function_is_spelt_out() {
    let project = template("title(\"Mine\");\nfn make(p) { workflow() }\n");
    assert_snapshot!(project.problem());
}

#[test]
fn statements_outside_functions_are_refused() {
    let project = template("title(\"Mine\");\nlet x = 1;\nfn build(p) { workflow() }\n");
    assert_snapshot!(project.problem());
}

#[test]
fn a_misspelt_option_of_a_parameter_has_a_suggestion() {
    let project =
        template("param(\"SEED\", \"seed\", #{ vaule: 42 });\nfn build(p) { workflow() }\n");
    assert_snapshot!(project.problem());
}

#[test]
fn an_unknown_type_has_a_suggestion_and_the_list() {
    let project = template("param(\"SEED\", \"sed\");\nfn build(p) { workflow() }\n");
    assert_snapshot!(project.problem());
}

#[test]
fn a_value_outside_its_own_range_is_told_at_once() {
    let project =
        template("param(\"STEPS\", \"int\", #{ value: 0, min: 1 });\nfn build(p) { workflow() }\n");
    assert_snapshot!(project.problem());
}

#[test]
fn the_word_default_is_explained() {
    let project =
        template("param(\"STEPS\", \"int\", #{ default: 1 });\nfn build(p) { workflow() }\n");
    assert_snapshot!(project.problem());
}

#[test]
fn a_pure_script_that_reaches_for_the_server_is_told_why_not() {
    let project = template("fn build(p) {\n    let queue = comfy::queue();\n    workflow()\n}\n");
    assert_snapshot!(project.problem());
}

#[test]
fn a_misspelt_parameter_is_found_where_it_is_used() {
    let project = template(
        "param(\"SIZE\", \"int\", #{ value: 64 });\nfn build(p) {\n    let g = workflow();\n    \
         g.node(\"EmptyImage\", #{ width: p.SIZ });\n    g\n}\n",
    );
    assert_snapshot!(project.failure(&json!({})));
}

#[test]
fn a_misspelt_function_has_a_suggestion() {
    let project = template(
        "fn build(p) {\n    let g = workflow();\n    g.nod(\"EmptyImage\", #{});\n    g\n}\n",
    );
    assert_snapshot!(project.failure(&json!({})));
}

#[test]
fn an_error_in_a_library_shows_the_line_there_and_the_way_to_it() {
    let project = Project::with(&[
        (
            "templates/mine.rhai",
            "import \"sizes\" as sizes;\nfn build(p) {\n    let wide = sizes::half(\"big\");\n    workflow()\n}\n",
        ),
        (
            "scripts/lib/sizes.rhai",
            "fn half(size) {\n    size / 2\n}\n",
        ),
    ]);
    assert_snapshot!(project.failure(&json!({})));
}

#[test]
fn what_a_script_throws_is_said_in_its_own_words() {
    let project = template(
        "fn build(p) {\n    throw #{ code: \"NO_MODEL\", message: \"no model for this\", hint: \"install one\" };\n}\n",
    );
    assert_snapshot!(project.failure(&json!({})));
}

#[test]
fn a_template_that_returns_no_workflow_is_told_so() {
    let project = template("fn build(p) {\n    let g = workflow();\n    42\n}\n");
    assert_snapshot!(project.failure(&json!({})));
}

#[test]
fn endless_loops_and_endless_recursion_end_with_their_limit() {
    let looping = template("fn build(p) {\n    loop { }\n}\n");
    assert_snapshot!(looping.failure(&json!({})));
    let recursing = template("fn deep(n) { 1 + deep(n + 1) }\nfn build(p) {\n    deep(0)\n}\n");
    let message = recursing.failure(&json!({}));
    assert!(
        message.starts_with(
            "error: the script called functions within functions deeper than its limit of 64"
        ),
        "{message}"
    );
}

#[test]
fn a_fixer_may_not_print_to_stdout_nor_see_the_server() {
    let project = Project::with(&[(
        "scripts/fixers/mine.rhai",
        "fn fix(workflow, findings) {\n    assets::list(#{})\n}\n",
    )]);
    assert_snapshot!(project.problem());
    assert!(
        project
            .library
            .generation()
            .get(Kind::Fixer, "mine")
            .is_err()
    );
}

#[test]
fn a_template_has_neither_clock_nor_sleep() {
    for (call, wanted) in [
        ("timestamp()", "a pure script has no clock"),
        ("sleep(1)", "a pure script does not sleep"),
        ("sleep(0.5)", "a pure script does not sleep"),
    ] {
        let project = template(&format!(
            "fn build(p) {{\n    {call};\n    workflow()\n}}\n"
        ));
        let shown = project.failure(&json!({}));
        assert!(shown.contains(wanted), "{shown}");
    }
}

#[test]
fn seeds_count_on_across_the_limits_of_ints() {
    let project = template(
        "param(\"SEED\", \"seed\");\nfn build(p) {\n    let g = workflow();\n    \
         g.node(\"KSampler\", #{ seed: p.SEED + 1, before: p.SEED - 1, turned: 1 + p.SEED });\n    g\n}\n",
    );
    for seed in [
        0,
        1 << 53,
        (1 << 62) - 1,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 1,
    ] {
        let Value::Object(arguments) = json!({ "SEED": seed }) else {
            panic!("not an object")
        };
        let built = project.run(arguments).unwrap();
        let inputs = &built["1"]["inputs"];
        assert_eq!(inputs["seed"], json!(seed + 1), "{seed}");
        assert_eq!(inputs["turned"], json!(seed + 1), "{seed}");
        if seed > 0 {
            assert_eq!(inputs["before"], json!(seed - 1), "{seed}");
        }
    }
}

#[test]
fn text_in_single_quotes_and_a_seed_out_of_thin_air_are_explained() {
    let quoted = Project::with(&[(
        "templates/mine.rhai",
        "title('Mine');\nfn build(p) { workflow() }",
    )]);
    assert_snapshot!(quoted.problem());
    let random = Project::with(&[(
        "templates/mine.rhai",
        "fn build(p) { let g = workflow(); g.node(\"KSampler\", #{ seed: random_seed() }); g }",
    )]);
    assert_snapshot!(random.failure(&json!({})));
}
