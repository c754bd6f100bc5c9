//! Fixers of one's own: whatever they do, no workflow gets worse.

use massmediafactory::script::{Generation, Key, Kind, Layer, Source};
use rstest::rstest;
use serde_json::json;

use crate::support::mend::{SHIPPED, mend_with, painted, told};

/// The shipped scripts and a fixer of one's own.
pub(crate) fn with_fixer(name: &str, body: &str) -> Generation {
    let text = format!("title(\"t\"); about(\"a\");\nfn fix(workflow, findings) {{ {body} }}\n");
    SHIPPED.with(&Source {
        key: Key {
            kind: Kind::Fixer,
            name: name.to_owned(),
        },
        layer: Layer::Project,
        path: format!("{name}.rhai").into(),
        text,
    })
}

#[rstest]
#[case::no_list("5", "has to return a list")]
#[case::no_proposal("[#{ node_id: 5 }]", "has to return a list")]
#[case::endless("loop {}", "more steps")]
#[case::broken("findings.nonsense()", "nonsense")]
fn a_fixer_that_misbehaves_is_told_and_passed_over(#[case] body: &str, #[case] reason: &str) {
    let scripts = with_fixer("a_bad_one", body);
    let mended = mend_with(&scripts, &painted(&[("8", "steps", json!("20"))]));
    assert_eq!(told(&mended), [r#"types 8.steps: "20" -> 20"#]);
    assert_eq!(mended.failed.len(), 1);
    let failed = &mended.failed[0];
    assert!(
        failed.starts_with("a_bad_one: ") && failed.contains(reason),
        "{failed}"
    );
}

#[test]
fn what_makes_it_worse_or_merely_other_is_not_taken() {
    let scripts = with_fixer(
        "a_bad_one",
        r#"[
            #{ node_id: "8", field: "steps", to: -1 },
            #{ node_id: "8", field: "vae", to: ["99", 0] },
            #{ node_id: "10", field: "class_type", to: "Nope" },
            #{ changes: [#{ node_id: "8", field: "steps", to: 20 }, #{ node_id: "2", field: "text", remove: true }] },
            #{ node_id: "2", field: "text", to: "another prompt" },
        ]"#,
    );
    let mended = mend_with(&scripts, &painted(&[("8", "steps", json!("20"))]));
    assert_eq!(told(&mended), [r#"types 8.steps: "20" -> 20"#]);
}
