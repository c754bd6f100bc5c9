//! Finding and changing what a caller means in graphs of all kinds.

use massmediafactory::comfy::Workflow;
use massmediafactory::comfy::anatomy::{Anatomy, ChangeError, Changes, Role, Spot};
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::failure::Failure;
use serde_json::{Value, json};

use crate::support::graphs::{controlnet, flux, graph, wan, workflow};

/// The places of a role, the most important first.
#[track_caller]
fn places(nodes: &Value, role: Role) -> Vec<String> {
    let anatomy = Anatomy::of(&workflow(nodes), &NodeFacts::bundled());
    anatomy.spots(role).iter().map(Spot::path).collect()
}

fn change(nodes: &Value, wanted: Value) -> (Workflow, Result<Changes, ChangeError>) {
    let mut workflow = workflow(nodes);
    let Value::Object(wanted) = wanted else {
        panic!("changes are an object")
    };
    let changes = workflow.change(&NodeFacts::bundled(), &wanted, || Some(1234));
    (workflow, changes)
}

/// What changed: `node.input`, with what is there now.
#[track_caller]
fn changed(nodes: &Value, wanted: Value) -> Value {
    let (workflow, changes) = change(nodes, wanted);
    let changes = changes.unwrap();
    for change in &changes.changed {
        let node = workflow.node(&change.node_id).unwrap();
        assert_eq!(
            node.inputs().unwrap()[&change.input],
            change.to,
            "{change:?}"
        );
    }
    let paths = changes.changed.iter().map(|change| {
        (
            format!("{}.{}", change.node_id, change.input),
            change.to.clone(),
        )
    });
    paths.collect()
}

#[track_caller]
fn refused(nodes: &Value, wanted: Value) -> Failure {
    let (after, changes) = change(nodes, wanted);
    assert_eq!(after, workflow(nodes), "nothing changes by halves");
    changes.unwrap_err().into()
}

#[test]
fn prompts_are_found_behind_a_controlnet() {
    let nodes = controlnet();
    assert_eq!(places(&nodes, Role::Prompt), ["2.text"]);
    assert_eq!(places(&nodes, Role::NegativePrompt), ["3.text"]);
    assert_eq!(places(&nodes, Role::Width), ["7.width"]);
    assert_eq!(places(&nodes, Role::Model), ["1.ckpt_name"]);
    assert_eq!(
        changed(
            &nodes,
            json!({ "prompt": "a blue fox", "negative_prompt": "ugly", "cfg": 4.5, "seed": u64::MAX })
        ),
        json!({ "2.text": "a blue fox", "3.text": "ugly", "8.cfg": 4.5, "8.seed": u64::MAX })
    );
}

#[test]
fn a_guider_graph_has_its_settings_in_nodes_of_their_own() {
    let nodes = flux();
    for (role, place) in [
        (Role::Prompt, "4.text"),
        (Role::Seed, "8.noise_seed"),
        (Role::Steps, "10.steps"),
        (Role::Cfg, "5.guidance"),
        (Role::Guidance, "5.guidance"),
        (Role::Sampler, "9.sampler_name"),
        (Role::Scheduler, "10.scheduler"),
        (Role::Denoise, "10.denoise"),
        (Role::Model, "1.unet_name"),
    ] {
        assert_eq!(places(&nodes, role), [place], "{role:?}");
    }
    assert_eq!(
        changed(
            &nodes,
            json!({ "cfg": 4.5, "width": 128, "height": 80, "seed": null })
        ),
        json!({
            "5.guidance": 4.5, "11.width": 128, "6.width": 128, "11.height": 80, "6.height": 80,
            "8.noise_seed": 1234,
        }),
        "the model's patch has to know the size, too"
    );
    let failure = refused(&nodes, json!({ "negative_prompt": "ugly", "cfg": 3.0 }));
    assert_eq!(
        failure.message,
        "\"negative_prompt\" has nowhere to go: nothing negative leads to the sampler"
    );
    let hint = failure.hint.unwrap();
    assert!(
        hint.contains("prompt (4.text), seed (8.noise_seed)"),
        "{hint}"
    );
}

#[test]
fn two_stages_change_together_and_keep_their_shares_of_the_steps() {
    let nodes = wan();
    assert_eq!(
        places(&nodes, Role::Seed),
        ["10.noise_seed", "20.noise_seed"]
    );
    assert_eq!(places(&nodes, Role::Model), ["1.unet_name", "2.unet_name"]);
    assert_eq!(places(&nodes, Role::Frames), ["7.length"]);
    assert_eq!(
        changed(&nodes, json!({ "steps": 30, "cfg": 4.0, "frames": 81 })),
        json!({
            "10.steps": 30, "20.steps": 30, "10.end_at_step": 15, "20.start_at_step": 15,
            "10.cfg": 4.0, "20.cfg": 4.0, "7.length": 81,
        })
    );
    let (_, changes) = change(
        &nodes,
        json!({ "model": "wan2.2_ti2v_5B_fp16.safetensors" }),
    );
    let changes = changes.unwrap();
    assert_eq!(
        changes.left[0].at, "2.unet_name",
        "the other expert is named"
    );
}

#[test]
fn a_second_pass_keeps_what_is_its_own() {
    let mut nodes = controlnet();
    nodes["11"] = json!({ "class_type": "LatentUpscaleBy", "inputs": {
        "samples": ["8", 0], "upscale_method": "nearest-exact", "scale_by": 2.0,
    }});
    nodes["12"] = nodes["8"].clone();
    for (input, value) in [
        ("latent_image", json!(["11", 0])),
        ("steps", json!(2)),
        ("denoise", json!(0.5)),
        ("positive", json!(["2", 0])),
        ("negative", json!(["3", 0])),
    ] {
        nodes["12"]["inputs"][input] = value;
    }
    nodes["9"]["inputs"]["samples"] = json!(["12", 0]);
    let wanted = json!({ "steps": 8, "denoise": 0.4, "seed": 3, "prompt": "a wolf", "width": 128 });
    assert_eq!(
        changed(&nodes, wanted.clone()),
        json!({
            "8.steps": 8, "12.denoise": 0.4, "8.seed": 3, "12.seed": 3, "2.text": "a wolf",
            "7.width": 128,
        })
    );
    let left = change(&nodes, wanted).1.unwrap().left;
    let left: Vec<&str> = left.iter().map(|left| left.at.as_str()).collect();
    assert_eq!(left, ["12.steps", "8.denoise"]);
}

#[test]
fn every_familys_text_encoder_is_one() {
    let sampler = |encoder: (&str, Value)| {
        let mut nodes = controlnet();
        nodes["2"] = json!({ "class_type": encoder.0, "inputs": encoder.1 });
        nodes
    };
    let clip = json!(["1", 1]);
    for (encoder, wanted) in [
        (
            (
                "CLIPTextEncodeFlux",
                json!({ "clip": clip, "clip_l": "", "t5xxl": "a fox", "guidance": 3.5 }),
            ),
            json!({ "2.t5xxl": "new" }),
        ),
        (
            (
                "CLIPTextEncodeSDXL",
                json!({
                    "clip": clip, "width": 64, "height": 64, "crop_w": 0, "crop_h": 0,
                    "target_width": 64, "target_height": 64, "text_g": "a fox", "text_l": "fur",
                }),
            ),
            json!({ "2.text_g": "new", "2.text_l": "new" }),
        ),
        (
            (
                "CLIPTextEncodeSD3",
                json!({ "clip": clip, "clip_l": "f", "clip_g": "f", "t5xxl": "f", "empty_padding": "none" }),
            ),
            json!({ "2.clip_l": "new", "2.clip_g": "new", "2.t5xxl": "new" }),
        ),
        (
            (
                "CLIPTextEncodeLumina2",
                json!({ "clip": clip, "system_prompt": "superior", "user_prompt": "a fox" }),
            ),
            json!({ "2.user_prompt": "new" }),
        ),
        (
            (
                "TextEncodeQwenImageEditPlus",
                json!({ "clip": clip, "prompt": "a fox", "image1": ["4", 0] }),
            ),
            json!({ "2.prompt": "new" }),
        ),
        (
            (
                "TextEncodeAceStepAudio",
                json!({ "clip": clip, "tags": "jazz", "lyrics": "la la", "lyrics_strength": 1.0 }),
            ),
            json!({ "2.tags": "new" }),
        ),
        (
            (
                "CLIPTextEncodeHunyuanDiT",
                json!({ "clip": clip, "bert": "a fox", "mt5xl": "a fox" }),
            ),
            json!({ "2.bert": "new", "2.mt5xl": "new" }),
        ),
    ] {
        let name = encoder.0;
        assert_eq!(
            changed(&sampler(encoder), json!({ "prompt": "new" })),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn conditioning_is_followed_through_all_that_stands_between() {
    let mut nodes = controlnet();
    nodes["20"] = json!({ "class_type": "ConditioningSetTimestepRange", "inputs": { "conditioning": ["2", 0], "start": 0.0, "end": 0.5 } });
    nodes["21"] =
        json!({ "class_type": "CLIPTextEncode", "inputs": { "text": "in oil", "clip": ["1", 1] } });
    nodes["22"] = json!({ "class_type": "ConditioningCombine", "inputs": { "conditioning_1": ["20", 0], "conditioning_2": ["21", 0] } });
    nodes["23"] =
        json!({ "class_type": "ConditioningZeroOut", "inputs": { "conditioning": ["2", 0] } });
    nodes["6"]["inputs"]["positive"] = json!(["22", 0]);
    nodes["6"]["inputs"]["negative"] = json!(["23", 0]);
    let (_, changes) = change(&nodes, json!({ "prompt": "a wolf" }));
    let changes = changes.unwrap();
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(changes.changed[0].node_id, "2");
    assert_eq!(
        changes.left[0].at, "21.text",
        "another text of the same side is named"
    );
    let failure = refused(&nodes, json!({ "negative_prompt": "ugly" }));
    assert!(
        failure
            .message
            .contains("node 23 (ConditioningZeroOut) empties it"),
        "{failure}"
    );
}

#[test]
fn values_are_followed_to_primitives_and_through_subgraphs() {
    let mut nodes = controlnet();
    nodes["30:1"] =
        json!({ "class_type": "PrimitiveStringMultiline", "inputs": { "value": "a red fox" } });
    nodes["30:2"] = json!({ "class_type": "StringConcatenate", "inputs": { "string_a": ["30:1", 0], "string_b": ", in oil", "delimiter": "" } });
    nodes["30:3"] = json!({ "class_type": "PrimitiveInt", "inputs": { "value": 64 } });
    nodes["30:4"] = json!({ "class_type": "PrimitiveInt", "inputs": { "value": 5 } });
    nodes["30:5"] = json!({ "class_type": "Reroute", "inputs": { "": ["30:4", 0] } });
    nodes["2"]["inputs"]["text"] = json!(["30:2", 0]);
    nodes["7"]["inputs"]["width"] = json!(["30:3", 0]);
    nodes["7"]["inputs"]["height"] = json!(["30:3", 0]);
    nodes["8"]["inputs"]["seed"] = json!(["30:5", 0]);
    assert_eq!(
        changed(&nodes, json!({ "prompt": "a wolf", "seed": 6 })),
        json!({ "30:1.value": "a wolf", "30:4.value": 6 })
    );
    assert_eq!(
        changed(&nodes, json!({ "width": 128 })),
        json!({ "7.width": 128 }),
        "one number for both sides: the other keeps it"
    );
    let failure = refused(&nodes, json!({ "seed": -7 }));
    assert!(
        failure
            .message
            .contains("8.seed (KSampler) takes a number from 0"),
        "{failure}"
    );
    assert_eq!(
        changed(&nodes, json!({ "30:2.string_b": ", in ink" })),
        json!({ "30:2.string_b": ", in ink" })
    );
}

#[test]
fn a_computed_size_is_replaced_where_it_is_used() {
    let mut nodes = controlnet();
    nodes["30"] = json!({ "class_type": "GetImageSize", "inputs": { "image": ["4", 0] } });
    nodes["7"]["inputs"]["width"] = json!(["30", 0]);
    let (_, changes) = change(&nodes, json!({ "width": 128 }));
    let changes = changes.unwrap();
    assert_eq!(changes.changed[0].from, json!(["30", 0]));
    assert_eq!(changes.changed[0].to, 128);
}

#[test]
fn a_text_that_both_sides_share_changes_for_the_side_that_is_meant() {
    let mut nodes = controlnet();
    nodes["30"] = json!({ "class_type": "PrimitiveString", "inputs": { "value": "a fox" } });
    nodes["2"]["inputs"]["text"] = json!(["30", 0]);
    nodes["3"]["inputs"]["text"] = json!(["30", 0]);
    assert_eq!(
        changed(&nodes, json!({ "negative_prompt": "ugly" })),
        json!({ "3.text": "ugly" })
    );

    let mut nodes = controlnet();
    nodes["6"]["inputs"]["negative"] = json!(["2", 0]);
    let (after, changes) = change(&nodes, json!({ "negative_prompt": "ugly" }));
    let change_made = &changes.unwrap().changed[0];
    assert_eq!(change_made.copy_of.as_deref(), Some("2"));
    let after = after.into_json();
    let copy = &change_made.node_id;
    assert_eq!(after["6"]["inputs"]["negative"], json!([copy, 0]));
    assert_eq!(after["2"]["inputs"]["text"], "a red fox");
    assert_eq!(
        after[copy]["inputs"],
        json!({ "text": "ugly", "clip": ["1", 1] })
    );
    let (_, changes) = change(&nodes, json!({ "prompt": "a wolf" }));
    let told = changes.unwrap().notes;
    assert_eq!(
        told,
        ["node 2 is the negative prompt too, which changed with it"]
    );
}

#[test]
fn nodes_that_nobody_knows_are_followed_by_the_names_of_their_inputs() {
    let nodes = graph(&[
        (
            "1",
            "WildLoader",
            json!({ "model_file": "wild.safetensors" }),
        ),
        (
            "2",
            "WildText",
            json!({ "text": "a red fox", "clip": ["1", 1] }),
        ),
        (
            "3",
            "WildText",
            json!({ "what_not": "ugly and blurred", "clip": ["1", 1], "mode": "x" }),
        ),
        (
            "4",
            "WildBoost",
            json!({ "positive": ["2", 0], "negative": ["3", 0], "amount": 2 }),
        ),
        (
            "5",
            "WildLatent",
            json!({ "width": 64, "height": 64, "frames": 9 }),
        ),
        (
            "6",
            "WildSampler",
            json!({
                "model": ["1", 0], "seed": 1, "steps": 4, "cfg": 3.0, "positive": ["4", 0],
                "negative": ["4", 1], "latent": ["5", 0],
            }),
        ),
        ("7", "WildSave", json!({ "images": ["6", 0] })),
    ]);
    assert_eq!(
        changed(
            &nodes,
            json!({
                "prompt": "a wolf", "negative_prompt": "blur", "seed": 2, "steps": 9, "cfg": 2.0,
                "width": 96, "frames": 17, "model": "tame.safetensors", "amount": 3,
            })
        ),
        json!({
            "2.text": "a wolf", "3.what_not": "blur", "6.seed": 2, "6.steps": 9, "6.cfg": 2.0,
            "5.width": 96, "5.frames": 17, "1.model_file": "tame.safetensors", "4.amount": 3,
        })
    );
}

#[test]
fn a_node_that_calls_a_service_has_all_of_it_in_itself() {
    let facts = NodeFacts::bundled();
    let class = facts.class("WanImageToVideoApi").unwrap();
    assert!(class.input("prompt").is_some());
    let nodes = graph(&[
        ("1", "LoadImage", json!({ "image": "fox.png" })),
        (
            "2",
            "WanImageToVideoApi",
            json!({
                "model": "wan2.6-i2v", "image": ["1", 0], "prompt": "it runs", "negative_prompt": "",
                "resolution": "720P", "duration": 5, "seed": 3,
            }),
        ),
        (
            "3",
            "SaveVideo",
            json!({ "video": ["2", 0], "filename_prefix": "v", "format": "auto", "codec": "auto" }),
        ),
    ]);
    assert_eq!(
        changed(
            &nodes,
            json!({ "prompt": "it jumps", "seed": 4, "image": "wolf.png", "duration": 10 })
        ),
        json!({ "2.prompt": "it jumps", "2.seed": 4, "1.image": "wolf.png", "2.duration": 10 })
    );
}

#[test]
fn what_merely_saves_says_nothing() {
    let nodes = graph(&[
        (
            "1",
            "WanImageToVideoApi",
            json!({ "prompt": "it runs", "seed": 3 }),
        ),
        (
            "2",
            "SaveVideo",
            json!({ "video": ["1", 0], "filename_prefix": "video/run" }),
        ),
    ]);
    assert_eq!(places(&nodes, Role::Prompt), ["1.prompt"]);
}

#[test]
fn a_seed_of_minus_one_and_null_elsewhere_keep_what_is_there() {
    let wanted = json!({ "seed": -1, "prompt": null, "steps": null });
    assert_eq!(changed(&controlnet(), wanted), json!({}));
}

#[test]
fn all_that_can_not_be_changed_is_said_at_once() {
    let failure = refused(
        &controlnet(),
        json!({
            "steps": 0, "width": 1001, "sampler_name": "eular", "strenght": 1, "8.sedd": 1,
            "cfg": 5.0,
        }),
    );
    insta::assert_snapshot!(failure.message);
    assert_eq!(
        failure.details["fields"],
        json!(["steps", "width", "sampler_name", "strenght", "8.sedd"])
    );
    assert_eq!(
        failure.details["settings"]["seed"],
        json!({ "value": 5, "at": ["8.seed"] })
    );
}

#[test]
fn a_name_in_several_nodes_with_several_values_is_asked_back() {
    let mut nodes = wan();
    nodes["9"]["inputs"]["shift"] = json!(5.0);
    let failure = refused(&nodes, json!({ "shift": 3.0 }));
    assert_eq!(
        failure.message,
        "\"shift\" stands in several nodes with different values: 8.shift = 8.0, 9.shift = 5.0"
    );
    assert_eq!(
        changed(&wan(), json!({ "shift": 3.0 })),
        json!({ "8.shift": 3.0, "9.shift": 3.0 })
    );
}

#[test]
fn what_does_not_run_is_left_alone() {
    let mut nodes = controlnet();
    nodes["40"] = nodes["2"].clone();
    nodes["41"] = nodes["8"].clone();
    nodes["41"]["inputs"]["positive"] = json!(["40", 0]);
    nodes["41"]["inputs"]["seed"] = json!(99);
    assert_eq!(places(&nodes, Role::Seed), ["8.seed"]);
}

#[test]
fn links_in_a_circle_end() {
    let mut nodes = controlnet();
    nodes["6"]["inputs"]["positive"] = json!(["6", 0]);
    nodes["7"] = json!({ "class_type": "LatentUpscaleBy", "inputs": { "samples": ["7", 0] } });
    nodes["1"]["inputs"]["model"] = json!(["1", 0]);
    assert_eq!(places(&nodes, Role::Prompt), Vec::<String>::new());
}
