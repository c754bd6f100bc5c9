//! What each template that comes with the program builds, and what a real server says to it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use massmediafactory::comfy::Workflow;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::script::Kind;
use massmediafactory::sim::default_models;
use serde_json::{Map, Value, json};

use crate::support::rig::Rig;
use crate::support::shipped::{MEDIA, built, shipped};
use crate::support::sim::http;

/// A line a node: `5 KSampler seed=42 steps=20 model=[1.0] "Title"`.
fn listing(workflow: &Workflow) -> String {
    let mut lines = String::new();
    for node in workflow.nodes() {
        write!(lines, "{} {}", node.id, node.class_type().unwrap_or("?")).unwrap();
        for (name, value) in node.inputs().into_iter().flatten() {
            let link = value.as_array().filter(|link| link.len() == 2);
            match link.and_then(|link| Some((link[0].as_str()?, link[1].as_u64()?))) {
                Some((id, slot)) => write!(lines, " {name}=[{id}.{slot}]"),
                None => write!(lines, " {name}={value}"),
            }
            .unwrap();
        }
        let title = node
            .title()
            .filter(|title| Some(*title) != node.class_type());
        if let Some(title) = title {
            write!(lines, " {title:?}").unwrap();
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn every_template_builds_the_workflow_that_its_snapshot_shows() {
    let generation = shipped();
    for served in generation.of_kind(Kind::Template) {
        let workflow = listing(&built(&generation, served));
        insta::with_settings!({
            snapshot_path => "snapshots/templates",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(served.script.key.name.as_str(), workflow);
        });
    }
}

#[test]
fn every_template_speaks_of_a_model_that_is_known_or_of_none() {
    let knowledge = Knowledge::bundled();
    for served in shipped().of_kind(Kind::Template) {
        let meta = &served.script.declaration.meta;
        assert!(meta["type"].is_string(), "{}", served.script.key);
        assert!(meta["tags"].is_array(), "{}", served.script.key);
        if let Some(model) = meta.get("model").and_then(Value::as_str) {
            let known = knowledge.identify(model).is_some();
            let elsewhere = meta.contains_key("paid") || meta.contains_key("needs");
            assert!(known || elsewhere, "{}: {model}", served.script.key);
        }
    }
}

/// Files of no bytes under the names of all that is known, and the media that the arguments name.
fn lay_out(rig: &Rig) {
    for (folder, files) in default_models() {
        for file in files {
            let path = rig.models_dir().join(&folder).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !path.exists() {
                fs::write(path, []).unwrap();
            }
        }
    }
    for media in MEDIA {
        fs::write(rig.input_dir().join(media), []).unwrap();
    }
}

async fn post(rig: &Rig, path: &str, body: &Value) -> (u16, Value) {
    let request = http().post(format!("{}{path}", rig.url())).json(body);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Whether all that is wrong is the type of a text encoder's loader, which newer models brought.
fn lacks_choices(answer: &Value) -> bool {
    let nodes = answer["node_errors"].as_object().into_iter().flatten();
    let mut errors = nodes.flat_map(|(_, node)| node["errors"].as_array().into_iter().flatten());
    let is_type = |error: &Value| {
        error["type"] == "value_not_in_list" && error["extra_info"]["input_name"] == "type"
    };
    answer["node_errors"]
        .as_object()
        .is_some_and(|nodes| !nodes.is_empty())
        && errors.all(is_type)
}

#[tokio::test]
async fn a_real_server_accepts_every_template_whose_nodes_it_has() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    lay_out(&rig);
    let known = http().get(format!("{}/object_info", rig.url())).send();
    let known: Map<String, Value> =
        serde_json::from_slice(&known.await.unwrap().bytes().await.unwrap()).unwrap();
    // A busy server judges what it is sent and runs nothing of it.
    let hold = json!({ "1": { "class_type": "MmfHold", "inputs": { "gate": "templates" } } });
    let (status, _) = post(&rig, "/prompt", &json!({ "prompt": hold })).await;
    assert_eq!(status, 200);

    let generation = shipped();
    let (mut accepted, mut beyond) = (BTreeSet::new(), BTreeSet::new());
    for served in generation.of_kind(Kind::Template) {
        let name = served.script.key.name.as_str();
        let workflow = built(&generation, served);
        let mut classes = workflow.nodes().filter_map(|node| node.class_type());
        if !classes.all(|class| known.contains_key(class)) {
            beyond.insert(name);
            continue;
        }
        let prompt = json!({ "prompt": workflow.as_map() });
        let (status, answer) = post(&rig, "/prompt", &prompt).await;
        let is_whole = answer["node_errors"].as_object().is_some_and(Map::is_empty);
        if lacks_choices(&answer) {
            beyond.insert(name);
            continue;
        }
        assert!(status == 200 && is_whole, "{name}: {answer:#}");
        accepted.insert(name);
    }
    post(&rig, "/queue", &json!({ "clear": true })).await;
    rig.open_gate("templates");
    eprintln!("accepted: {accepted:?}\nwith nodes that this server lacks: {beyond:?}");
    assert!(accepted.contains("sd3_txt2img"), "{accepted:?}");
}
