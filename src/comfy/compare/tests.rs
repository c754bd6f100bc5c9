use proptest::prelude::*;
use serde_json::json;

use super::*;

fn workflow(nodes: Value) -> Workflow {
    Workflow::from_json(nodes).unwrap()
}

fn sampled() -> Workflow {
    workflow(json!({
        "1": { "class_type": "Loader", "inputs": { "file": "a.safetensors" } },
        "2": { "class_type": "Text", "inputs": { "text": "a fox", "clip": ["1", 1] } },
        "3": { "class_type": "Text", "inputs": { "text": "", "clip": ["1", 1] } },
        "4": { "class_type": "Sampler", "inputs": {
            "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "steps": 20, "cfg": 4.0 } },
        "5": { "class_type": "Save", "inputs": { "images": ["4", 0] } },
    }))
}

/// The same under other ids and in another order.
fn renumbered(workflow: &Workflow, order: &[usize], from: usize) -> Workflow {
    let ids: Vec<&str> = workflow.nodes().map(|node| node.id).collect();
    let new = |id: &str| {
        let at = ids.iter().position(|own| *own == id);
        at.map_or_else(|| id.to_owned(), |at| (from + order[at]).to_string())
    };
    let mut nodes: Vec<(usize, String, Value)> = workflow
        .nodes()
        .enumerate()
        .map(|(at, node)| {
            let mut body = node.body().clone();
            for value in body["inputs"].as_object_mut().unwrap().values_mut() {
                if let Some((id, slot)) = link(value) {
                    *value = json!([new(id), slot]);
                }
            }
            (order[at], new(node.id), body)
        })
        .collect();
    nodes.sort_by_key(|(place, ..)| *place);
    Workflow::from_nodes(nodes.into_iter().map(|(_, id, body)| (id, body)).collect())
}

/// Workflows in which much is alike.
fn workflows() -> impl Strategy<Value = Workflow> {
    let input = (0_usize..3, any::<proptest::sample::Index>(), 0_i64..3);
    let node = (0_usize..3, proptest::collection::vec(input, 0..4));
    proptest::collection::vec(node, 1..24).prop_map(|nodes| {
        let nodes = nodes.into_iter().enumerate().map(|(at, (class, inputs))| {
            let inputs = inputs
                .into_iter()
                .enumerate()
                .map(|(input, (kind, from, value))| {
                    let is_link = kind > 0 && at > 0;
                    let value = if is_link {
                        json!([from.index(at).to_string(), kind - 1])
                    } else {
                        json!(value)
                    };
                    (format!("in{input}"), value)
                });
            let inputs: Map<String, Value> = inputs.collect();
            (
                at.to_string(),
                json!({ "class_type": format!("C{class}"), "inputs": inputs }),
            )
        });
        Workflow::from_nodes(nodes.collect())
    })
}

proptest! {
    #[test]
    fn the_same_under_other_ids_and_in_another_order_is_identical(
        (given, order) in workflows().prop_flat_map(|given| {
            let order: Vec<usize> = (0..given.len()).collect();
            (Just(given), Just(order).prop_shuffle())
        }),
    ) {
        let found = compare(&given, &renumbered(&given, &order, 0));
        prop_assert!(found.identical, "{found:#?}");
        prop_assert_eq!(found.nodes_unchanged, given.len());
        let found = compare(&given, &renumbered(&given, &order, 1000));
        prop_assert!(found.identical, "{found:#?}");
    }

    #[test]
    fn one_changed_value_is_the_one_change(
        given in workflows(),
        which in any::<proptest::sample::Index>(),
    ) {
        let inputs = given.nodes().flat_map(|node| {
            let names = node.inputs().unwrap().keys();
            names.map(move |name| (node.id.to_owned(), name.clone()))
        });
        let inputs: Vec<(String, String)> = inputs.collect();
        prop_assume!(!inputs.is_empty());
        let (id, input) = which.get(&inputs).clone();
        let mut changed = given.clone();
        changed.set_input(&id, &input, json!("something else"));
        let found = compare(&given, &changed);
        let from = given.node(&id).unwrap().inputs().unwrap().get(&input).cloned();
        let change = Change { input, from, to: Some(json!("something else")) };
        prop_assert_eq!(found.nodes_modified.len(), 1, "{:#?}", found);
        prop_assert_eq!(&found.nodes_modified[0].id, &id);
        prop_assert_eq!(&found.nodes_modified[0].changes, &vec![change]);
        prop_assert_eq!(found.nodes_unchanged + 1, given.len());
    }
}

#[test]
fn one_change_is_found_under_other_ids() {
    let mut changed = renumbered(&sampled(), &[4, 3, 2, 1, 0], 30);
    changed.set_input("31", "steps", json!(30));
    let found = compare(&sampled(), &changed);
    let modified = Modified {
        id: "4".to_owned(),
        new_id: Some("31".to_owned()),
        class: "Sampler".to_owned(),
        changes: vec![Change {
            input: "steps".to_owned(),
            from: Some(json!(20)),
            to: Some(json!(30)),
        }],
    };
    assert_eq!(found.nodes_modified, [modified]);
    assert_eq!((found.nodes_unchanged, found.identical), (4, false));
}

#[test]
fn a_node_put_in_between_is_added_and_moves_one_link() {
    let mut nodes = sampled().into_json();
    nodes["9"] = json!({ "class_type": "Lora", "inputs": { "model": ["1", 0], "strength": 0.5 } });
    nodes["4"]["inputs"]["model"] = json!(["9", 0]);
    let found = compare(&sampled(), &workflow(nodes));
    assert_eq!(found.nodes_added.len(), 1);
    assert_eq!(found.nodes_added[0].class, "Lora");
    assert_eq!(found.nodes_removed, []);
    assert_eq!(found.nodes_modified.len(), 1);
    assert_eq!(found.nodes_modified[0].changes[0].to, Some(json!(["9", 0])));
}

#[test]
fn texts_that_changed_places_are_two_changed_links_or_texts() {
    let mut nodes = sampled().into_json();
    nodes["4"]["inputs"]["positive"] = json!(["3", 0]);
    nodes["4"]["inputs"]["negative"] = json!(["2", 0]);
    let found = compare(&sampled(), &workflow(nodes));
    let changes: usize = found
        .nodes_modified
        .iter()
        .map(|node| node.changes.len())
        .sum();
    assert_eq!(changes, 2, "{found:#?}");
}

#[test]
fn another_class_is_another_node() {
    let mut nodes = sampled().into_json();
    nodes["5"]["class_type"] = json!("Preview");
    let found = compare(&sampled(), &workflow(nodes));
    assert_eq!((found.nodes_added.len(), found.nodes_removed.len()), (1, 1));
    assert_eq!(found.nodes_modified, []);
}

#[test]
fn titles_are_told_and_make_no_difference() {
    let mut titled = sampled();
    titled.set_title("2", "Prompt");
    let found = compare(&sampled(), &titled);
    assert!(found.identical);
    assert_eq!(found.nodes_retitled.len(), 1);
    assert_eq!(found.nodes_retitled[0].to, "Prompt");
}

#[test]
fn numbers_are_the_same_however_they_are_written() {
    let mut same = sampled();
    same.set_input("4", "cfg", json!(4));
    same.set_input("1", "file", json!("a.safetensors"));
    assert!(compare(&sampled(), &same).identical);
}

#[test]
fn an_input_that_comes_or_goes_has_one_side_only() {
    let mut more = sampled();
    more.set_input("4", "denoise", json!(null));
    let found = compare(&sampled(), &more);
    let change = json!({ "input": "denoise", "to": null });
    assert_eq!(json!(found.nodes_modified[0].changes), json!([change]));
    let found = compare(&more, &sampled());
    let change = json!({ "input": "denoise", "from": null });
    assert_eq!(json!(found.nodes_modified[0].changes), json!([change]));
}
