//! What the knowledge tools know, and the mending of workflows.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim};

#[tokio::test]
async fn models_are_known_without_a_server() {
    let mut client = McpClient::start(&Home::new(), NOWHERE).await;
    let sota = client
        .call("get_sota_models", json!({ "category": "image_gen" }))
        .await;
    let names: Vec<&Value> = sota["sota_models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names[..2], ["Qwen-Image-2512", "FLUX.2-dev"]);
    assert_eq!(sota["last_updated"].as_str().unwrap().len(), 10);

    let fresh = client
        .call(
            "check_model_freshness",
            json!({ "model_name": "flux1-dev-fp8.safetensors" }),
        )
        .await;
    assert_eq!(
        (&fresh["status"], &fresh["replacement"]),
        (&json!("DEPRECATED"), &json!("FLUX.2-dev"))
    );
    let unknown = client
        .call("check_model_freshness", json!({ "model_name": "sd" }))
        .await;
    assert_eq!(unknown["status"], "UNKNOWN");

    let settings = client
        .call(
            "get_model_settings",
            json!({ "model_name": "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors" }),
        )
        .await;
    assert_eq!(
        (&settings["cfg"], &settings["shift"]),
        (&json!(3.5), &json!(5.0))
    );
    let failure = client
        .call_fails(
            "get_model_settings",
            json!({ "model_name": "my_merge_v3.safetensors" }),
        )
        .await;
    assert_eq!(failure["error"], "NOT_FOUND");

    let advised = client
        .call(
            "recommend_model",
            json!({ "task": "portrait", "vram_gb": 24 }),
        )
        .await;
    assert_eq!(
        (
            &advised["recommended"],
            &advised["template"],
            &advised["will_fit"]
        ),
        (
            &json!("Qwen-Image-2512"),
            &json!("qwen_txt2img"),
            &json!(true)
        ),
        "{advised:#}"
    );
    let small = client
        .call(
            "recommend_model",
            json!({ "task": "portrait", "vram_gb": 8 }),
        )
        .await;
    assert_eq!(small["recommended"], "Stable Diffusion XL", "{small:#}");
    let failure = client
        .call_fails("recommend_model", json!({ "task": "portraits" }))
        .await;
    assert!(
        failure["available_tasks"]
            .as_array()
            .unwrap()
            .contains(&json!("portrait")),
        "{failure:#}"
    );
}

#[tokio::test]
async fn memory_is_estimated_from_the_files_on_the_server() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let built = json!({ "name": "qwen_txt2img", "params": { "PROMPT": "a fox" } });
    let built = client.call("create_workflow_from_template", built).await;
    let workflow = json!({ "workflow": built["workflow"] });
    let estimate = client.call("estimate_vram", workflow).await;
    assert_eq!(
        (&estimate["confidence"], &estimate["total_system_vram_gb"]),
        (&json!("high"), &json!(24.0)),
        "{estimate:#}"
    );
    assert_eq!(estimate["models"][0]["model"], "Qwen-Image-2512");
    assert_eq!(estimate["will_fit"], true, "{estimate:#}");

    let fits = json!({ "model_name": "Qwen-Image-2512", "precision": "fp16" });
    let fits = client.call("check_model_fits", fits).await;
    assert_eq!(fits["fit"], "streamed", "{fits:#}");
}

#[tokio::test]
async fn a_workflow_is_mended_where_only_one_thing_can_be_meant() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let broken = json!({
        "1": { "class_type": "CheckpointLoaderSimpel", "inputs": { "ckpt_name": "SDXL\\sd_xl_base_1.0.ckpt" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox", "clip": [1, 1] } },
        "3": { "class_type": "EmptyLatentImage", "inputs": { "width": "512", "height": 515, "batch_size": 0 } },
        "4": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["2", "0"], "negative": ["2", 0], "latent_image": ["3", 0],
            "seed": "18446744073709551615", "steps": 20, "cfg": 250, "sampler_name": "Euler", "scheduler": "karas" } },
        "5": { "class_type": "VAEDecode", "inputs": { "samples": ["4", 0], "vae": ["1", 2] } },
        "6": { "class_type": "SaveImage", "inputs": { "images": ["5", 0] } },
    });
    let mended = client
        .call("validate_and_fix_workflow", json!({ "workflow": broken }))
        .await;
    assert_eq!(mended["valid"], true, "{mended:#}");
    let workflow = &mended["workflow"];
    assert_eq!(
        workflow["1"],
        json!({ "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd_xl_base_1.0.safetensors" } })
    );
    assert_eq!(
        workflow["3"]["inputs"],
        json!({ "width": 512, "height": 512, "batch_size": 1 })
    );
    let sampler = &workflow["4"]["inputs"];
    assert_eq!(sampler["seed"], json!(u64::MAX));
    assert_eq!(
        (&sampler["sampler_name"], &sampler["scheduler"]),
        (&json!("euler"), &json!("karras"))
    );
    // Into the range of the node, and then to what the model takes.
    assert_eq!(sampler["cfg"], json!(7.0));
    assert_eq!(workflow["2"]["inputs"]["clip"], json!(["1", 1]));
    let first = &mended["corrections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["field"] == "class_type")
        .unwrap();
    assert_eq!(
        (&first["from"], &first["fixer"]),
        (&json!("CheckpointLoaderSimpel"), &json!("classes"))
    );

    let again = client
        .call("validate_and_fix_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(
        (&again["corrections"], &again["workflow"]),
        (&json!([]), workflow)
    );
}

#[tokio::test]
async fn what_can_not_be_mended_is_left_as_it_is_and_said() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let broken = json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "another_model.safetensors" } },
        "2": { "class_type": "NonExistentNode", "inputs": {} },
        "3": { "class_type": "SaveImage", "inputs": { "images": ["9", 0], "filename_prefix": "x" } },
    });
    let mended = client
        .call("validate_and_fix_workflow", json!({ "workflow": broken }))
        .await;
    assert_eq!(
        (
            &mended["valid"],
            &mended["workflow"],
            &mended["corrections"]
        ),
        (&json!(false), &broken, &json!([]))
    );
    assert!(
        mended["errors"]
            .as_array()
            .unwrap()
            .contains(&json!("Node type 'NonExistentNode' not found")),
        "{mended:#}"
    );
}

#[tokio::test]
async fn a_fixer_of_ones_own_is_used_and_never_makes_it_worse() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(
        ".mmf/scripts/fixers/worse.rhai",
        "title(\"Worse\"); about(\"Breaks things.\");\n\
         fn fix(workflow, findings) { [#{ node_id: \"1\", field: \"width\", to: -5 }, #{ node_id: \"1\", field: \"height\", to: 96 }] }\n",
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let broken = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": -1, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    let mended = client
        .call("validate_and_fix_workflow", json!({ "workflow": broken }))
        .await;
    assert_eq!(mended["valid"], true, "{mended:#}");
    assert_eq!(mended["workflow"]["1"]["inputs"]["width"], 64, "{mended:#}");
}
