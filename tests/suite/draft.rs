//! Workflows as templates: every one gives back what it was made from.

use std::sync::Arc;

use massmediafactory::clock::Clock;
use massmediafactory::comfy::Workflow;
use massmediafactory::comfy::json::parse_lenient;
use massmediafactory::comfy::nodes::{NodeClass, NodeFacts};
use massmediafactory::comfy::ui::{Options, to_api};
use massmediafactory::script::draft::{Draft, DraftError, DraftOptions, draft};
use massmediafactory::script::{
    Declaration, Diagnostic, Generation, Key, Kind, Layer, Mistake, Source, Sources, Type, build,
    check,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::frontend::Recording;
use crate::support::golden;

fn shipped() -> Generation {
    Generation::build(Sources::read(&[]), None)
}

fn options(name: &str) -> DraftOptions<'_> {
    DraftOptions {
        name,
        title: None,
        from: None,
        shared: &[],
    }
}

fn source(text: &str) -> Source {
    Source {
        key: Key {
            kind: Kind::Template,
            name: "imported".to_owned(),
        },
        layer: Layer::File,
        path: "imported.rhai".into(),
        text: text.to_owned(),
    }
}

/// What a template builds with its defaults.
fn built(generation: &Generation, text: &str) -> Workflow {
    let generation = generation.with(&source(text));
    build(&generation, "imported", Map::new())
        .map_err(|error| format!("{error}\n{text}"))
        .unwrap()
}

/// Classes, inputs and ids; the titles where somebody gave one.
fn comparable(workflow: &Workflow, like: &Workflow, facts: &NodeFacts) -> Value {
    let nodes = workflow.nodes().map(|node| {
        let class = node.class_type().unwrap();
        let shown = facts.class(class).map(NodeClass::display_name);
        let given = like.node(node.id).and_then(|node| node.title());
        let is_own = given.is_some_and(|title| title != class && Some(title) != shown);
        let title = node.title().filter(|_| is_own);
        let told = json!({ "class": class, "inputs": node.inputs().cloned().unwrap_or_default(), "title": title });
        (node.id.to_owned(), told)
    });
    Value::Object(nodes.collect())
}

fn assert_back(original: &Workflow, text: &str, generation: &Generation, facts: &NodeFacts) {
    let made = built(generation, text);
    let expected = comparable(original, original, facts);
    let made = comparable(&made, original, facts);
    assert_eq!(made, expected, "{text}");
    // Equal numbers may be written in two ways: 1 and 1.0.
    assert_eq!(sorted(made), sorted(expected), "{text}");
}

fn sorted(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

/// A draft that gives its workflow back, and of which a check has nothing to say.
fn drafted(name: &str, prompt: &Value, generation: &Generation, facts: &NodeFacts) -> Draft {
    let workflow = Workflow::from_json(prompt.clone()).unwrap();
    let draft = draft(&workflow, facts, generation, &options(name))
        .map_err(|error| format!("{name}: {error}"))
        .unwrap();
    assert_back(&workflow, &draft.text, generation, facts);
    draft
}

fn complaints(text: &str, generation: &Generation, facts: &NodeFacts) -> Vec<String> {
    let problems = check(generation, &source(text), Some(facts)).problems;
    // Which model files are there is not the draft's doing.
    let of_the_draft = problems
        .iter()
        .filter(|problem| problem.code != Mistake::MissingModel);
    of_the_draft.map(Diagnostic::to_string).collect()
}

/// The prompts of the recorded sample by name.
fn recorded_prompts() -> Vec<(String, Value)> {
    let Some(cases) = golden::recorded("ui2api-sample.json.gz") else {
        return Vec::new();
    };
    let cases = cases.as_object().unwrap().clone().into_iter();
    cases
        .filter_map(|(name, case)| Some((name, case["api"].as_object()?.clone().into())))
        .filter(|(_, prompt): &(String, Value)| prompt.as_object().is_some_and(|it| !it.is_empty()))
        .collect()
}

#[test]
fn every_recorded_prompt_comes_back_from_its_template() {
    let (generation, facts) = (shipped(), NodeFacts::bundled());
    let mut complained = Vec::new();
    for (name, prompt) in recorded_prompts() {
        // Of a class that the editor did not know it sends nodes without one, which no server runs.
        let mut nodes = prompt.as_object().unwrap().values();
        if nodes.any(|node| !node["class_type"].is_string()) {
            let workflow = Workflow::from_json(prompt).unwrap();
            let error = draft(&workflow, &facts, &generation, &options("x")).unwrap_err();
            assert!(matches!(error, DraftError::NoClass(_)), "{name}: {error}");
            continue;
        }
        let draft = drafted(&name, &prompt, &generation, &facts);
        for complaint in complaints(&draft.text, &generation, &facts) {
            complained.push(format!("{name}: {complaint}"));
        }
    }
    // What a prompt has that its class does not know is no mistake of the template.
    let own = |complaint: &&String| {
        !complaint.contains("has no input") && !complaint.contains("has no node class")
    };
    let complained: Vec<&String> = complained.iter().filter(own).collect();
    assert!(complained.is_empty(), "{complained:#?}");
}

#[test]
fn official_graphs_come_back_from_their_templates() {
    let Some(recording) = Recording::open() else {
        return;
    };
    let generation = shipped();
    let convert = Options::new(&Clock::fixed("2026-11-22T09:00:00Z".parse().unwrap()));
    let (mut came_back, mut shared) = (0, 0);
    let official = recording.cases.iter();
    let official = official.filter(|case| case.name.starts_with("official/"));
    for case in official {
        // What can't be converted is told in the suite `frontend`.
        let Ok(converted) = to_api(&case.ui, &recording.facts, &convert) else {
            continue;
        };
        let options = DraftOptions {
            shared: &converted.shared,
            ..options("imported")
        };
        let draft = draft(&converted.workflow, &recording.facts, &generation, &options);
        let draft = draft
            .map_err(|error| format!("{}: {error}", case.name))
            .unwrap();
        assert_back(
            &converted.workflow,
            &draft.text,
            &generation,
            &recording.facts,
        );
        came_back += 1;
        shared += converted.shared.len();
    }
    assert!(came_back > 180 && shared > 0, "{came_back}, {shared}");
}

#[test]
fn every_shipped_template_comes_back_from_what_it_builds() {
    let (generation, facts) = (shipped(), NodeFacts::bundled());
    for served in generation.of_kind(Kind::Template) {
        let name = &served.script.key.name;
        let given = placeholders(&served.script.declaration);
        let workflow = build(&generation, name, given).unwrap();
        let draft = drafted(name, &workflow.into_json(), &generation, &facts);
        let complaints = complaints(&draft.text, &generation, &facts);
        assert!(
            complaints.is_empty(),
            "{name}: {complaints:#?}\n{}",
            draft.text
        );
    }
}

/// An argument for every parameter that needs one.
fn placeholders(declaration: &Declaration) -> Map<String, Value> {
    let required = declaration.params.iter().filter(|param| param.required);
    let given = required.map(|param| {
        let value = match param.ty {
            Type::Image => json!("example.png"),
            _ => json!(format!("{{{{{}}}}}", param.name)),
        };
        (param.name.clone(), value)
    });
    given.collect()
}

fn text(prompt: &Value) -> String {
    drafted("fox", prompt, &shipped(), &NodeFacts::bundled()).text
}

#[test]
fn a_plain_picture_reads_as_a_person_would_write_it() {
    insta::assert_snapshot!(text(&json!({
        "3": { "class_type": "KSampler", "inputs": {
            "seed": 156_680_208_700_286_u64, "steps": 20, "cfg": 8, "sampler_name": "euler",
            "scheduler": "normal", "denoise": 1, "model": ["4", 0], "positive": ["6", 0],
            "negative": ["7", 0], "latent_image": ["5", 0],
        } },
        "4": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd_xl_base_1.0.safetensors" } },
        "5": { "class_type": "EmptyLatentImage", "inputs": { "width": 512, "height": 512, "batch_size": 1 } },
        "6": { "class_type": "CLIPTextEncode", "inputs": { "text": "a red fox", "clip": ["4", 1] },
               "_meta": { "title": "CLIP Text Encode (Prompt)" } },
        "7": { "class_type": "CLIPTextEncode", "inputs": { "text": "text, watermark", "clip": ["4", 1] } },
        "8": { "class_type": "VAEDecode", "inputs": { "samples": ["3", 0], "vae": ["4", 2] } },
        "9": { "class_type": "SaveImage", "inputs": { "filename_prefix": "ComfyUI", "images": ["8", 0] },
               "_meta": { "title": "The fox" } },
    })));
}

#[test]
fn a_controlnet_and_a_lora_have_their_names_and_strengths() {
    insta::assert_snapshot!(text(&json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd_xl_base_1.0.safetensors" } },
        "10": { "class_type": "LoraLoader", "inputs": {
            "lora_name": "ink.safetensors", "strength_model": 0.8, "strength_clip": 0.8,
            "model": ["1", 0], "clip": ["1", 1],
        }, "_meta": { "title": "Ink style" } },
        "11": { "class_type": "LoraLoader", "inputs": {
            "lora_name": "detail.safetensors", "strength_model": 1, "strength_clip": 1.0,
            "model": ["10", 0], "clip": ["10", 1],
        } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox,\nin ink", "clip": ["11", 1] } },
        "3": { "class_type": "CLIPTextEncode", "inputs": { "text": "", "clip": ["11", 1] } },
        "20": { "class_type": "LoadImage", "inputs": { "image": "pose.png" }, "_meta": { "title": "Pose" } },
        "21": { "class_type": "Canny", "inputs": { "image": ["20", 0], "low_threshold": 0.4, "high_threshold": 0.8 } },
        "22": { "class_type": "ControlNetLoader", "inputs": { "control_net_name": "canny.safetensors" } },
        "23": { "class_type": "ControlNetApplyAdvanced", "inputs": {
            "positive": ["2", 0], "negative": ["3", 0], "control_net": ["22", 0], "image": ["21", 0],
            "strength": 0.9, "start_percent": 0, "end_percent": 1, "vae": ["1", 2],
        } },
        "4": { "class_type": "EmptyLatentImage", "inputs": { "width": 1024, "height": 768, "batch_size": 1 } },
        "5": { "class_type": "KSampler", "inputs": {
            "model": ["11", 0], "positive": ["23", 0], "negative": ["23", 1], "latent_image": ["4", 0],
            "seed": u64::MAX, "steps": 30, "cfg": 6.5, "sampler_name": "dpmpp_2m",
            "scheduler": "karras", "denoise": 1.0,
        } },
        "6": { "class_type": "VAEDecode", "inputs": { "samples": ["5", 0], "vae": ["1", 2] } },
        "7": { "class_type": "SaveImage", "inputs": { "images": ["6", 0], "filename_prefix": "ink" } },
    })));
}

/// What the shipped template of that name builds, numbered as parts of subgraphs are.
fn as_in_subgraphs(name: &str) -> Value {
    let generation = shipped();
    let script = &generation.get(Kind::Template, name).unwrap().script;
    let mut workflow = build(&generation, name, placeholders(&script.declaration)).unwrap();
    let ids: Vec<String> = (0..workflow.len())
        .map(|at| format!("92:{}", 3 * at + 1))
        .collect();
    workflow.renumber(&ids).unwrap();
    workflow.into_json()
}

#[test]
fn flux_is_called_as_the_libraries_call_it() {
    insta::assert_snapshot!(text(&as_in_subgraphs("flux2_txt2img")));
}

#[test]
fn ltx_with_the_ids_of_subgraphs_stays_readable() {
    insta::assert_snapshot!(text(&as_in_subgraphs("ltx2_txt2vid")));
}

#[test]
fn a_library_of_the_users_own_is_used_and_never_leads_astray() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let facts = NodeFacts::bundled();
    let workflow = json!({
        "7": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } },
        "9": { "class_type": "SaveImage", "inputs": { "images": ["7", 0], "filename_prefix": "out/dark" } },
    });
    let with = |text: &str| {
        write("scripts/lib/dark.rhai", text);
        let root = massmediafactory::script::Root {
            layer: Layer::User,
            path: folder.path().into(),
        };
        let generation = Generation::build(Sources::read(&[root]), None);
        drafted("dark", &workflow, &generation, &facts).text
    };
    let own = "/// A dark square.\nfn square(g, wide, high, name) {\n    \
        let dark = g.node(\"EmptyImage\", #{ width: wide, height: high, batch_size: 1, color: 0 });\n    \
        g.node(\"SaveImage\", #{ images: dark, filename_prefix: `out/${name}` })\n}\n";
    let text = with(own);
    assert!(
        text.contains("dark::square(g, p.WIDTH, p.HEIGHT, \"dark\");"),
        "{text}"
    );

    // One that does something else for these very arguments: seen when the template is built.
    let capricious = own.replace("{\n    let", "{\n    if wide == 64 { wide = 65; }\n    let");
    let text = with(&capricious);
    assert!(!text.contains("dark::"), "{text}");
    assert!(text.contains("g.node(\"EmptyImage\""), "{text}");
}

#[test]
fn a_circle_is_an_error_that_names_the_nodes() {
    let prompt = json!({
        "1": { "class_type": "A", "inputs": { "x": ["3", 0] } },
        "2": { "class_type": "B", "inputs": { "x": ["1", 0] } },
        "3": { "class_type": "C", "inputs": { "x": ["2", 0] } },
        "4": { "class_type": "SaveImage", "inputs": { "images": ["3", 0] } },
    });
    let workflow = Workflow::from_json(prompt).unwrap();
    let error = draft(&workflow, &NodeFacts::bundled(), &shipped(), &options("x")).unwrap_err();
    assert!(matches!(error, DraftError::Cycle(_)));
    let told = error.to_string();
    assert!(
        ["1 (A)", "2 (B)", "3 (C)"]
            .iter()
            .all(|node| told.contains(node)),
        "{told}"
    );
}

#[test]
fn what_servers_note_for_themselves_is_told_and_left_out() {
    let prompt = json!({
        "1": { "class_type": "LoadImage", "inputs": { "image": "a.png" }, "is_changed": ["0f"] },
        "2": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
    });
    let workflow = Workflow::from_json(prompt).unwrap();
    let draft = draft(&workflow, &NodeFacts::bundled(), &shipped(), &options("x")).unwrap();
    assert_eq!(draft.notes, ["node 1 has is_changed, which is left out"]);
}

#[test]
fn links_to_nowhere_stay_what_they_are() {
    let prompt = json!({
        "5": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
        "6": { "class_type": "SaveImage", "inputs": { "images": ["2", -1], "filename_prefix": "y" } },
        "7": { "class_type": "SaveImage", "inputs": { "images": ["5", 0.5], "filename_prefix": "z" } },
    });
    let text = text(&prompt);
    assert!(
        text.contains("g.set(\"5\", \"images\", [\"1\", 0]);"),
        "{text}"
    );
}

#[test]
fn thousands_of_nodes_in_a_row_are_no_more_than_a_long_template() {
    let mut nodes = Map::new();
    nodes.insert(
        "x".into(),
        json!({ "class_type": "EmptyImage", "inputs": { "width": 8, "height": 8, "batch_size": 1, "color": 0 } }),
    );
    let mut before = "x".to_owned();
    for at in 0..2000 {
        let id = format!("a:{at}");
        let node = json!({ "class_type": "ImageInvert", "inputs": { "image": [before, 0] } });
        nodes.insert(id.clone(), node);
        before = id;
    }
    nodes.insert(
        "end".into(),
        json!({ "class_type": "PreviewImage", "inputs": { "images": [before, 0] } }),
    );
    let _ = text(&nodes.into());
}

#[test]
fn values_that_are_nested_deeper_than_an_expression_may_be_come_back() {
    let mut deep = json!(1.0);
    for at in 0..100 {
        deep = if at % 2 == 0 {
            json!([deep, at])
        } else {
            json!({ "in": deep })
        };
    }
    let _ = text(&json!({ "1": { "class_type": "Odd", "inputs": { "deep": deep } } }));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        Just(json!(i64::MIN)),
        Just(json!(1.0)),
        Just(json!(-0.5)),
        any::<f64>()
            .prop_filter("JSON has finite numbers", |x| x.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z`$\\{\\}\n\r\t\"\\\\ ]{0,12}".prop_map(Value::from),
        Just(json!(["1", 0])),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Nodes with any inputs, and links to those before them.
fn any_prompt() -> impl Strategy<Value = Value> {
    let classes = prop_oneof![
        Just("KSampler".to_owned()),
        Just("CLIPTextEncode".to_owned()),
        Just("CheckpointLoaderSimple".to_owned()),
        Just("LoadImage".to_owned()),
        Just("VAEDecode".to_owned()),
        Just("SaveImage".to_owned()),
        Just("EmptyLatentImage".to_owned()),
        any::<String>(),
    ];
    let names = prop_oneof![
        prop::sample::select(vec![
            "seed",
            "text",
            "steps",
            "cfg",
            "width",
            "ckpt_name",
            "image",
            "clip",
            "model",
            "type",
            "default",
            "images",
            "fps",
            "noise_seed",
            "strength",
            "prompt",
            "lora_name",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let ids = prop_oneof!["[0-9]{1,3}", "[0-9]{1,2}:[0-9]{1,3}", any::<String>()];
    let inputs = prop::collection::btree_map(names.clone(), any_value(), 0..5);
    let links = prop::collection::vec((names, any::<prop::sample::Index>(), 0_u32..3), 0..4);
    let title = prop::option::of(any::<String>());
    let node = (classes, inputs, links, title);
    prop::collection::btree_map(ids, node, 1..8).prop_map(|nodes| {
        let ids: Vec<String> = nodes.keys().cloned().collect();
        let nodes = nodes.into_iter().enumerate();
        let nodes = nodes.map(|(at, (id, (class, inputs, links, title)))| {
            let mut all: Map<String, Value> = inputs.into_iter().collect();
            if at > 0 {
                for (name, before, slot) in links {
                    all.insert(name, json!([ids[before.index(at)], slot]));
                }
            }
            // A value may look like a link to a later node, which would be a circle.
            all.retain(|_, value| {
                let target = value.get(0).and_then(Value::as_str);
                target.is_none_or(|target| {
                    ids.iter()
                        .position(|id| id == target)
                        .is_none_or(|place| place < at)
                })
            });
            let mut node = json!({ "class_type": class, "inputs": all });
            if let Some(title) = title {
                node["_meta"] = json!({ "title": title });
            }
            (id, node)
        });
        Value::Object(nodes.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_a_prompt_says_comes_back_from_its_template(prompt in any_prompt()) {
        static GENERATION: std::sync::LazyLock<Arc<Generation>> =
            std::sync::LazyLock::new(|| Arc::new(shipped()));
        if let Ok(workflow) = Workflow::from_json(prompt.clone())
            && workflow.as_map() == prompt.as_object().unwrap()
        {
            drafted("any", &prompt, &GENERATION, &NodeFacts::bundled());
        }
    }
}

#[test]
fn accepted_prompts_of_the_recorded_validation_come_back() {
    use std::io::{BufRead as _, BufReader};
    let Some(lines) = golden::open("validate-0.33.0-sample.jsonl.gz") else {
        return;
    };
    let (generation, facts) = (shipped(), NodeFacts::bundled());
    let mut seen = 0;
    for line in BufReader::new(lines).lines() {
        let case: Value = parse_lenient(line.unwrap().as_bytes()).unwrap();
        if case["truth"]["valid"] != true || !case["prompt"].is_object() {
            continue;
        }
        let Ok(workflow) = Workflow::from_json(case["prompt"].clone()) else {
            continue;
        };
        match draft(&workflow, &facts, &generation, &options("case")) {
            Ok(draft) => assert_back(&workflow, &draft.text, &generation, &facts),
            // What the server never looks at may be as it likes.
            Err(DraftError::Cycle(_) | DraftError::NoClass(_) | DraftError::NoInputs(_)) => {
                continue;
            }
            Err(error) => panic!("{}: {error}", case["id"]),
        }
        seen += 1;
    }
    assert!(seen > 300, "{seen}");
}
