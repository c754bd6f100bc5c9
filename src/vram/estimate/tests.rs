//! What estimates say of whole workflows.

use super::*;
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;
use crate::script::{Generation, Sources, build};
use crate::vram::Card;
use proptest::prelude::*;
use serde_json::{Value, json};

fn plan(template: &str, parameters: Value) -> Plan {
    let Value::Object(parameters) = parameters else {
        panic!("not an object")
    };
    let generation = Generation::build(Sources::read(&[]), None);
    let workflow = build(&generation, template, parameters).unwrap();
    Plan::of(&workflow, &NodeFacts::bundled())
}

fn of(workflow: Value) -> Plan {
    Plan::of(
        &Workflow::from_json(workflow).unwrap(),
        &NodeFacts::bundled(),
    )
}

fn machine(gigabytes: u64) -> Machine {
    Machine::with_card(Some(Card {
        total: gigabytes << 30,
        free: gigabytes << 30,
    }))
}

fn estimated(plan: &Plan, gigabytes: u64) -> Estimate {
    estimate(&Question {
        plan,
        knowledge: &Knowledge::bundled(),
        inventory: &Inventory::default(),
        machine: &machine(gigabytes),
        observed: None,
    })
}

#[test]
fn a_picture_is_reckoned_phase_by_phase() {
    let small = estimated(&plan("qwen_txt2img", json!({ "PROMPT": "x" })), 24);
    let kinds: Vec<PhaseKind> = small.phases.iter().map(|phase| phase.phase).collect();
    assert_eq!(
        kinds,
        [PhaseKind::TextEncode, PhaseKind::Sample, PhaseKind::Decode]
    );
    // 20 billion weights of a byte each; 166 x 166 cells on both sides of the guidance; decoding
    // takes 2200 x 166 x 166 x 64 x 2.
    assert_eq!(small.breakdown.weights_gb, Some(18.63));
    assert_eq!(small.breakdown.sampling_gb, Some(1.94));
    assert_eq!(small.breakdown.text_encoders_gb, Some(7.73));
    assert_eq!(small.breakdown.decoding_gb, Some(7.23));
    // The worst moment is sampling, with 0.39 kept free: not all of it together.
    assert_eq!(small.estimated_vram_gb, Some(20.95));
    assert!(
        small.range_gb[0] < 20.0 && small.range_gb[1] > 22.0,
        "{small:?}"
    );
    assert_eq!((small.verdict, small.will_fit), (Fit::Whole, Some(true)));
    assert_eq!(small.source, Source::Table);

    let large = json!({ "PROMPT": "x", "WIDTH": 2656, "HEIGHT": 2656 });
    let large = estimated(&plan("qwen_txt2img", large), 24);
    assert_eq!(
        large.breakdown.sampling_gb,
        Some(7.75),
        "four times the area"
    );
    assert_eq!(large.verdict, Fit::Streamed);
    let cost = large.offload.unwrap().cost;
    assert!(cost.contains("tiles"), "decoding takes 29 GB: {cost}");
}

#[test]
fn frames_count() {
    let of = |frames: u32| {
        let parameters = json!({ "PROMPT": "x", "FRAMES": frames });
        estimated(&plan("ltx2_txt2vid", parameters), 24)
    };
    let (short, long) = (of(121), of(481));
    assert_eq!(
        short.resolution,
        Some([1280.0, 704.0]),
        "after the second pass"
    );
    let ratio = long.breakdown.sampling_gb.unwrap() / short.breakdown.sampling_gb.unwrap();
    assert!((ratio - 61.0 / 16.0).abs() < 0.01, "{ratio}");
}

#[test]
fn work_that_is_larger_than_the_card_does_not_fit_and_a_smaller_batch_does() {
    let huge = json!({ "PROMPT": "x", "WIDTH": 4096, "HEIGHT": 4096, "BATCH": 16 });
    let huge = estimated(&plan("flux2_txt2img", huge), 24);
    assert_eq!((huge.verdict, huge.will_fit), (Fit::No, Some(false)));
    let actions: Vec<&str> = huge.ways_out.iter().map(|way| &*way.action).collect();
    assert!(
        actions.iter().any(|action| action.contains(" x ")),
        "{actions:?}"
    );
}

#[test]
fn what_is_unknown_is_not_taken_for_nothing() {
    let plan = of(json!({
        "1": { "class_type": "SomeVideoModelLoader", "inputs": { "model": "thing" } },
        "2": { "class_type": "EmptyHunyuanLatentVideo",
            "inputs": { "width": 1280, "height": 720, "length": 121, "batch_size": 1 } },
    }));
    let unknown = estimated(&plan, 24);
    assert_eq!(
        (unknown.estimated_vram_gb, unknown.will_fit, unknown.verdict),
        (None, None, Fit::Unknown)
    );
    assert!(unknown.range_gb[0] > 1.0, "{unknown:?}");
    assert!(!unknown.unknown.is_empty());
}

#[test]
fn a_partner_node_needs_nothing_here() {
    let parameters = json!({ "PROMPT": "x", "IMAGE_PATH": "a.png" });
    let elsewhere = estimated(&plan("wan26_img2vid", parameters), 8);
    assert_eq!(
        (elsewhere.verdict, elsewhere.estimated_vram_gb),
        (Fit::Elsewhere, Some(0.0))
    );
}

#[test]
fn what_has_no_model_needs_nothing() {
    let plan = of(json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    }));
    let nothing = estimated(&plan, 8);
    assert_eq!(
        (nothing.verdict, nothing.estimated_vram_gb),
        (Fit::Whole, Some(0.0))
    );
}

#[test]
fn two_samplers_are_two_phases_and_only_one_model_is_loaded_at_a_time() {
    let sampler = |model: &str, latent: &str| {
        json!({ "class_type": "KSamplerAdvanced", "inputs": {
            "model": [model, 0], "positive": ["text", 0], "negative": ["text", 0], "latent_image": [latent, 0],
            "noise_seed": 1, "steps": 20, "cfg": 3.5, "sampler_name": "euler", "scheduler": "simple" } })
    };
    let loader = |noise: &str| {
        let file = format!("wan2.2_t2v_{noise}_noise_14B_fp8_scaled.safetensors");
        json!({ "class_type": "UNETLoader", "inputs": { "unet_name": file, "weight_dtype": "default" } })
    };
    let mut workflow = json!({
        "high": loader("high"),
        "low": loader("low"),
        "text": { "class_type": "CLIPTextEncode", "inputs": { "text": "x" } },
        "latent": { "class_type": "EmptyHunyuanLatentVideo",
            "inputs": { "width": 640, "height": 640, "length": 81, "batch_size": 1 } },
        "first": sampler("high", "latent"),
        "second": sampler("low", "first"),
    });
    let both = estimated(&of(workflow.clone()), 24);
    let painting = |estimate: &Estimate| -> Vec<(Vec<String>, f64)> {
        let phases = estimate
            .phases
            .iter()
            .filter(|phase| phase.phase == PhaseKind::Sample);
        phases
            .map(|phase| (phase.nodes.clone(), phase.needs_gb))
            .collect()
    };
    let found = painting(&both);
    assert_eq!((found.len(), found[0].1), (2, found[1].1), "{both:#?}");
    assert_eq!(both.frames, Some(81.0), "also behind the first sampler");

    workflow["second"]["inputs"]["model"] = json!(["high", 0]);
    let one = estimated(&of(workflow), 24);
    assert_eq!(
        painting(&one),
        [(vec!["first".to_owned(), "second".to_owned()], found[0].1)]
    );
    assert_eq!(one.estimated_vram_gb, both.estimated_vram_gb);
}

#[test]
fn a_controlnet_is_loaded_beside_the_model_and_a_lora_becomes_part_of_it() {
    let with = |changes: &dyn Fn(&mut Value)| {
        let mut workflow = sd15_workflow(512, 512, 1);
        changes(&mut workflow);
        let plan = of(workflow);
        let mut inventory = Inventory::default();
        for (folder, file) in [
            ("controlnet", "control.safetensors"),
            ("loras", "style.safetensors"),
        ] {
            inventory
                .sizes
                .insert((folder.to_owned(), file.to_owned()), 1 << 30);
        }
        let question = Question {
            plan: &plan,
            knowledge: &Knowledge::bundled(),
            inventory: &inventory,
            machine: &machine(8),
            observed: None,
        };
        let found = estimate(&question);
        let sampling = found
            .phases
            .iter()
            .find(|phase| phase.phase == PhaseKind::Sample)
            .unwrap();
        sampling.weights
    };
    let plain = with(&|_| ());
    let controlled = with(&|workflow| {
        workflow["6"] = json!({ "class_type": "ControlNetLoader", "inputs": { "control_net_name": "control.safetensors" } });
        workflow["7"] = json!({ "class_type": "ControlNetApply",
            "inputs": { "conditioning": ["2", 0], "control_net": ["6", 0], "strength": 1.0 } });
        workflow["4"]["inputs"]["positive"] = json!(["7", 0]);
    });
    assert!(
        (controlled.likely - plain.likely - GIB).abs() < 1.0,
        "{controlled:?}"
    );
    let styled = with(&|workflow| {
        workflow["6"] = json!({ "class_type": "LoraLoaderModelOnly",
            "inputs": { "model": ["1", 0], "lora_name": "style.safetensors", "strength_model": 1.0 } });
        workflow["4"]["inputs"]["model"] = json!(["6", 0]);
    });
    assert_eq!(
        (styled.low.to_bits(), styled.likely.to_bits()),
        (plain.low.to_bits(), plain.likely.to_bits())
    );
    assert!(styled.high > plain.high + GIB, "{styled:?}");
}

fn sd15(width: u32, height: u32, batch: u32, tile: Option<u32>) -> Plan {
    let mut workflow = sd15_workflow(width, height, batch);
    if let Some(tile) = tile {
        workflow["5"] = json!({ "class_type": "VAEDecodeTiled", "inputs": {
            "samples": ["4", 0], "vae": ["1", 2], "tile_size": tile, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8 } });
    }
    of(workflow)
}

fn sd15_workflow(width: u32, height: u32, batch: u32) -> Value {
    json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "x", "clip": ["1", 1] } },
        "3": { "class_type": "EmptyLatentImage", "inputs": { "width": width, "height": height, "batch_size": batch } },
        "4": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0],
            "seed": 1, "steps": 1, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0 } },
        "5": { "class_type": "VAEDecode", "inputs": { "samples": ["4", 0], "vae": ["1", 2] } },
    })
}

#[test]
fn a_checkpoint_is_used_in_parts() {
    let found = estimated(&sd15(512, 512, 1, None), 8);
    let weights: Vec<f64> = found.phases.iter().map(|phase| phase.weights_gb).collect();
    // 0.123, 0.86 and 0.084 billion of two bytes each.
    assert_eq!(weights, [0.23, 1.6, 0.16]);
    assert_eq!(found.models.len(), 1);
    assert_eq!(found.models[0].weights_gb, Some(1.99));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn more_never_needs_less(
        width in 4_u32..32, height in 4_u32..32, batch in 1_u32..6,
        more in prop::array::uniform3(0_u32..4),
    ) {
        let of = |width: u32, height: u32, batch: u32| {
            estimated(&sd15(width * 64, height * 64, batch, None), 8).estimated_vram_gb.unwrap()
        };
        let small = of(width, height, batch);
        prop_assert!(small <= of(width + more[0], height + more[1], batch + more[2]));
    }

    #[test]
    fn tiles_never_need_more_than_the_whole(width in 4_u32..48, height in 4_u32..48, tile in 2_u32..20) {
        let decoding = |tile: Option<u32>| {
            estimated(&sd15(width * 64, height * 64, 1, tile), 8).breakdown.decoding_gb.unwrap()
        };
        prop_assert!(decoding(Some(tile * 64)) <= decoding(None));
    }
}

fn asked(plan: &Plan, machine: &Machine, observed: Option<&Observed>) -> Estimate {
    estimate(&Question {
        plan,
        knowledge: &Knowledge::bundled(),
        inventory: &Inventory::default(),
        machine,
        observed,
    })
}

fn ran(peak_gb: [f64; 2]) -> Observed {
    Observed {
        runs: 1,
        from_empty: 0,
        peak_gb,
        out_of_memory: 0,
        shortage: None,
        last: String::new(),
    }
}

#[test]
fn what_ran_out_of_memory_says_so_and_offers_only_what_needs_less() {
    let plan = sd15(1024, 1024, 4, None);
    let observed = Observed {
        runs: 0,
        out_of_memory: 1,
        shortage: Some(Shortage {
            free_gb: 24.0,
            node: Some("KSampler".to_owned()),
        }),
        ..ran([0.0; 2])
    };
    let short = asked(&plan, &machine(24), Some(&observed));
    assert_eq!(short.verdict, Fit::No);
    let expected = "ran out of memory on this card with 24 GB to be had, in KSampler, and never ran: \
        free memory of the card, or take one of ways_out";
    assert_eq!(short.recommendation, expected);
    let actions: Vec<&str> = short.ways_out.iter().map(|way| &*way.action).collect();
    assert!(!actions.is_empty());
    for action in &actions {
        assert!(!action.contains("Tiled"), "the sampler failed: {actions:?}");
        assert!(
            !action.contains("close"),
            "nothing else holds it: {actions:?}"
        );
    }
    let larger = Machine {
        card: machine(48).card,
        ..machine(24)
    };
    assert_eq!(asked(&plan, &larger, Some(&observed)).verdict, Fit::Whole);
}

#[test]
fn what_was_seen_is_believed_within_what_is_reckoned() {
    let plan = sd15(512, 512, 1, None);
    let [low, high] = asked(&plan, &machine(24), None).range_gb;
    let between = f64::midpoint(low, high);
    let seen = |peak_gb| asked(&plan, &machine(24), Some(&ran(peak_gb))).estimated_vram_gb;
    let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 0.02;
    assert!(
        near(seen([between, 20.0]), between),
        "the least that a run took"
    );
    assert!(near(seen([20.0, 20.0]), high), "others' models are in it");
    assert!(near(seen([0.1, 0.1]), low), "the worst moment was missed");
    let clean = Observed {
        from_empty: 1,
        ..ran([20.0, 20.0])
    };
    let clean = asked(&plan, &machine(24), Some(&clean)).estimated_vram_gb;
    assert!(near(clean, 20.0), "nothing else is in it");
}

fn clip(model: &str, latent: &Value) -> Plan {
    of(json!({
        "1": { "class_type": "UNETLoader", "inputs": { "unet_name": model, "weight_dtype": "default" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "x" } },
        "3": latent,
        "4": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0],
            "seed": 1, "steps": 1, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0 } },
    }))
}

#[test]
fn fewer_frames_are_on_the_models_rule_and_layers_are_no_frames() {
    let way = |plan: &Plan, word: &str, gigabytes: u64| {
        let found = estimated(plan, gigabytes);
        let way = found.ways_out.iter().find(|way| way.action.contains(word));
        way.unwrap_or_else(|| panic!("no {word}: {found:#?}"))
            .action
            .clone()
    };
    let number = |action: &str| -> u32 { action.split(' ').next().unwrap().parse().unwrap() };
    let latent = |length: u32| {
        json!({ "class_type": "EmptyHunyuanLatentVideo",
            "inputs": { "width": 1920, "height": 1088, "length": length, "batch_size": 1 } })
    };
    let knowledge = Knowledge::bundled();
    for (model, length) in [("MiniMax H3", 1025), ("LTX-2 19B", 4001)] {
        let known = knowledge.model(model).unwrap();
        let file = known.own_files().next().unwrap();
        let frames = number(&way(&clip(&file.name, &latent(length)), "frames", 6));
        let rule = knowledge.frame_rule(known).unwrap();
        assert!(rule.allows(frames), "{model}: {frames} is not {rule}");
    }

    let layered = json!({ "class_type": "EmptyQwenImageLayeredLatentImage",
        "inputs": { "width": 2048, "height": 2048, "layers": 30, "batch_size": 1 } });
    let plan = clip("qwen_image_layered_bf16.safetensors", &layered);
    let action = way(&plan, "layers", 8);
    assert!(action.ends_with("layers instead of 30"), "{action}");
    assert!(number(&action) < 30);
}

#[test]
fn where_there_are_no_ways_out_none_are_promised() {
    let found = estimated(&sd15(256, 256, 1, Some(256)), 1);
    assert_eq!(
        (found.verdict, found.ways_out.len()),
        (Fit::No, 0),
        "{found:#?}"
    );
    let expected = "does not run: it takes a larger card or a smaller model";
    assert_eq!(found.recommendation, expected);
}

#[test]
fn reference_pictures_are_looked_at_once_by_each_side() {
    let edit = |pictures: usize, cfg: f64| {
        let mut encoder = json!({ "class_type": "TextEncodeQwenImageEditPlus",
            "inputs": { "prompt": "x", "vae": ["vae", 0] } });
        for picture in 1..=pictures {
            encoder["inputs"][format!("image{picture}")] = json!(["picture", 0]);
        }
        let plan = of(json!({
            "picture": { "class_type": "LoadImage", "inputs": { "image": "a.png" } },
            "vae": { "class_type": "VAELoader", "inputs": { "vae_name": "qwen_image_vae.safetensors" } },
            "model": { "class_type": "UNETLoader",
                "inputs": { "unet_name": "qwen_image_edit_2511_fp8mixed.safetensors", "weight_dtype": "default" } },
            "wanted": encoder.clone(),
            "unwanted": encoder,
            "latent": { "class_type": "EmptySD3LatentImage", "inputs": { "width": 1024, "height": 1024, "batch_size": 1 } },
            "sample": { "class_type": "KSampler", "inputs": {
                "model": ["model", 0], "positive": ["wanted", 0], "negative": ["unwanted", 0],
                "latent_image": ["latent", 0], "seed": 1, "steps": 1, "cfg": cfg, "sampler_name": "euler",
                "scheduler": "simple", "denoise": 1.0 } },
        }));
        estimated(&plan, 24)
            .breakdown
            .sampling_gb
            .unwrap()
            .to_string()
    };
    // 128 x 128 cells x 0.02 x 1.8 MiB are 0.576 GiB: one of the picture on each side, one for each
    // reference of each side.
    assert_eq!(edit(0, 4.0), "1.15");
    assert_eq!(edit(1, 4.0), "2.3");
    assert_eq!(edit(3, 4.0), "4.61");
    assert_eq!(edit(3, 1.0), "2.3");
}

#[test]
fn a_reference_of_one_side_is_not_the_others_though_both_go_through_one_node() {
    let plan = |side: &str| {
        let mut workflow = sd15_workflow(1024, 1024, 1);
        workflow["1"] = json!({ "class_type": "UNETLoader",
            "inputs": { "unet_name": "flux1-dev.safetensors", "weight_dtype": "default" } });
        workflow["2"] = json!({ "class_type": "CLIPTextEncode", "inputs": { "text": "x" } });
        workflow["reference"] = json!({ "class_type": "ReferenceLatent",
            "inputs": { "conditioning": ["2", 0], "latent": ["3", 0] } });
        workflow["both"] = json!({ "class_type": "InpaintModelConditioning",
            "inputs": { "positive": ["2", 0], "negative": ["2", 0] } });
        workflow["both"]["inputs"][side] = json!(["reference", 0]);
        workflow["4"]["inputs"]["positive"] = json!(["both", 0]);
        workflow["4"]["inputs"]["negative"] = json!(["both", 1]);
        of(workflow)
    };
    let references = |side: &str| {
        plan(side)
            .phases
            .into_iter()
            .find(|phase| phase.kind == PhaseKind::Sample)
            .unwrap()
            .references
    };
    let mut positive = references("positive");
    positive.sort_by(f64::total_cmp);
    assert_eq!(positive, [0.0, 1.0]);
    let mut negative = references("negative");
    negative.sort_by(f64::total_cmp);
    assert_eq!(negative, [0.0, 1.0]);
}

#[test]
fn a_size_that_cannot_be_read_is_not_assumed() {
    let with = |input: &str, value: Value| {
        let mut workflow = sd15_workflow(1024, 1024, 1);
        workflow["m"] = json!({ "class_type": "SomeMath", "inputs": { "a": 3000, "b": 4000 } });
        workflow["3"]["inputs"][input] = value;
        estimated(&of(workflow), 8)
    };
    for (input, value, said) in [
        (
            "width",
            json!(["m", 0]),
            "width of node 3 (EmptyLatentImage), which another node reckons",
        ),
        (
            "batch_size",
            json!(["m", 0]),
            "batch_size of node 3 (EmptyLatentImage), which another node reckons",
        ),
        (
            "width",
            json!(0),
            "width of node 3 (EmptyLatentImage), which is 0",
        ),
        (
            "height",
            json!(-512),
            "height of node 3 (EmptyLatentImage), which is -512",
        ),
        (
            "width",
            json!(1e15),
            "width of node 3 (EmptyLatentImage), which is 1000000000000000.0",
        ),
        (
            "batch_size",
            json!(1e308),
            "batch_size of node 3 (EmptyLatentImage), which is 1e+308",
        ),
    ] {
        let found = with(input, value);
        assert_eq!(
            (found.verdict, found.estimated_vram_gb),
            (Fit::Unknown, None),
            "{found:#?}"
        );
        assert!(
            found.unknown.iter().any(|one| one == said),
            "{said}: {:?}",
            found.unknown
        );
        let [low, high] = found.range_gb;
        assert!(low < high && high < 100.0, "{:?}", found.range_gb);
    }
}

#[test]
fn a_cfg_that_cannot_be_read_counts_as_a_guidance() {
    let with = |cfg: Value| {
        let mut workflow = sd15_workflow(1024, 1024, 1);
        workflow["m"] = json!({ "class_type": "SomeMath", "inputs": { "a": 3, "b": 4 } });
        workflow["4"]["inputs"]["cfg"] = cfg;
        estimated(&of(workflow), 8)
    };
    let (linked, written) = (with(json!(["m", 0])), with(json!(7.0)));
    assert_eq!(linked.breakdown.sampling_gb, written.breakdown.sampling_gb);
    assert!(
        linked.unknown[0].starts_with("cfg of node 4"),
        "{:?}",
        linked.unknown
    );
}

#[test]
fn a_tile_that_is_none_is_no_tile() {
    let whole = estimated(&sd15(1024, 1024, 1, None), 8)
        .breakdown
        .decoding_gb;
    assert_eq!(
        estimated(&sd15(1024, 1024, 1, Some(0)), 8)
            .breakdown
            .decoding_gb,
        whole
    );
}

#[test]
fn a_size_that_is_a_pictures_may_be_smaller_or_larger() {
    let mut workflow = sd15_workflow(512, 512, 1);
    workflow["3"] = json!({ "class_type": "LoadImage", "inputs": { "image": "a.png" } });
    workflow["6"] =
        json!({ "class_type": "VAEEncode", "inputs": { "pixels": ["3", 0], "vae": ["1", 2] } });
    workflow["4"]["inputs"]["latent_image"] = json!(["6", 0]);
    let found = estimated(&of(workflow), 24);
    let sampling = found
        .phases
        .iter()
        .find(|phase| phase.phase == PhaseKind::Sample)
        .unwrap();
    assert!(
        sampling.work.high > sampling.work.likely * 4.0,
        "{:?}",
        sampling.work
    );
}
