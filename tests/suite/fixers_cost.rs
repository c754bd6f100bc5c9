//! What mending costs: looks at the workflow, and that no number of faults is too many.

use std::sync::atomic::{AtomicUsize, Ordering};

use massmediafactory::comfy::Workflow;
use massmediafactory::script::{Generation, Repaired, repair_apart};
use serde_json::{Value, json};

use crate::suite::fixers_own::with_fixer;
use crate::support::graphs::graph;
use crate::support::mend::{SHIPPED, inspect, told};

/// So many pictures that are saved; the width of each of the first ones is text.
fn pictures(count: usize, wrong: usize) -> Value {
    let mut nodes = json!({});
    for id in 0..count {
        let width = if id < wrong { json!("64") } else { json!(64) };
        let picture = json!({ "width": width, "height": 64, "batch_size": 1, "color": 0 });
        let save = json!({ "images": [format!("p{id}"), 0], "filename_prefix": "x" });
        let (picture_id, save_id) = (format!("p{id}"), format!("s{id}"));
        let both = graph(&[
            (&picture_id, "EmptyImage", picture),
            (&save_id, "SaveImage", save),
        ]);
        nodes
            .as_object_mut()
            .unwrap()
            .extend(both.as_object().unwrap().clone());
    }
    nodes
}

/// Mends it and counts how often it was looked at.
fn mend_counting(scripts: &Generation, nodes: &Value) -> (Repaired, usize) {
    let looks = AtomicUsize::new(0);
    let look = |nodes: &Value| {
        looks.fetch_add(1, Ordering::Relaxed);
        inspect(nodes)
    };
    let workflow = Workflow::from_json(nodes.clone()).unwrap();
    let repaired = repair_apart(scripts, &look, workflow).unwrap();
    (repaired, looks.load(Ordering::Relaxed))
}

#[test]
fn many_faults_of_one_kind_take_few_looks() {
    let (repaired, looks) = mend_counting(&SHIPPED, &pictures(50, 20));
    assert_eq!(repaired.report.findings, []);
    let wanted = (0..20).map(|id| format!("types p{id}.width: \"64\" -> 64"));
    assert_eq!(told(&repaired), wanted.collect::<Vec<_>>());
    assert_eq!(looks, 2);
}

#[test]
fn what_does_not_help_is_found_among_what_does() {
    let scripts = with_fixer(
        "a_half_bad_one",
        r#"
            let good = findings.filter(|finding| finding.type == "coerced_value");
            let all = good.map(|finding| #{ node_id: finding.node_id, field: finding.input, to: 64 });
            all.insert(7, #{ node_id: "s7", field: "images", to: ["nowhere", 0] });
            all.insert(12, #{ node_id: "s9", field: "filename_prefix", to: "y" });
            all
        "#,
    );
    let (repaired, looks) = mend_counting(&scripts, &pictures(50, 20));
    assert_eq!(repaired.report.findings, []);
    let wanted = (0..20).map(|id| format!("a_half_bad_one p{id}.width: \"64\" -> 64"));
    assert_eq!(told(&repaired), wanted.collect::<Vec<_>>());
    assert!(looks < 20, "{looks} looks");
}

#[test]
fn no_number_of_faults_is_too_many() {
    let (repaired, looks) = mend_counting(&SHIPPED, &pictures(1_100, 1_100));
    assert_eq!(repaired.failed, Vec::<String>::new());
    assert_eq!(repaired.report.findings, []);
    assert_eq!((repaired.corrections.len(), looks), (1_100, 3));
}
