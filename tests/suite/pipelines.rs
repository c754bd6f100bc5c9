//! The pipelines that come with the program, each run to its end on the simulator.

use serde_json::{Value, json};

use crate::support::mmf::{Home, Ran, sim};
use crate::support::sim::get;

/// As little work as the templates allow.
fn small() -> Value {
    json!({ "WIDTH": 256, "HEIGHT": 256, "STEPS": 2 })
}

struct Studio {
    home: Home,
    comfy: massmediafactory::sim::Sim,
}

impl Studio {
    async fn new() -> Self {
        let home = Home::new();
        let picture = image::RgbImage::from_fn(96, 64, |x, y| {
            let shade = u8::try_from((x * 7 + y * 3) % 256).unwrap();
            image::Rgb([shade, 255 - shade, 128])
        });
        picture.save(home.project().join("photo.png")).unwrap();
        Self {
            home,
            comfy: sim(&[]).await,
        }
    }

    /// Runs a pipeline with parameters by name to a good end.
    async fn run(&self, name: &str, params: &Value) -> Value {
        self.ends(name, params).await.exits(0).json()
    }

    async fn ends(&self, name: &str, params: &Value) -> Ran {
        let mut words = ["run", name, "--json", "-o", "out"]
            .map(str::to_owned)
            .to_vec();
        for (name, value) in params.as_object().unwrap() {
            words.push(format!("--{name}"));
            words.push(value.as_str().map_or(value.to_string(), str::to_owned));
        }
        self.home.mmf(words).server(&self.comfy.url()).run().await
    }

    /// What was copied into the folder that was asked for.
    fn copied(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.project().join("out")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// Whether the server was given nothing to do.
    async fn is_idle(&self) -> bool {
        get(&self.comfy, "/history").await == json!({})
    }

    async fn asset(&self, asset_id: &Value) -> Value {
        let arguments = json!({ "asset_id": asset_id }).to_string();
        let told = self.home.mmf(["call", "get_asset_metadata", &arguments]);
        told.server(&self.comfy.url()).run().await.exits(0).json()
    }

    async fn is(&self, asset_id: &Value, kind: &str) -> Value {
        let asset = self.asset(asset_id).await;
        assert_eq!(asset["type"], kind, "{asset:#}");
        asset
    }
}

#[tokio::test]
async fn image_to_video_paints_a_picture_and_sets_that_very_picture_in_motion() {
    let studio = Studio::new().await;
    let made = studio
        .run(
            "image_to_video",
            &json!({ "PROMPT": "a fox", "MOTION": "it runs", "PICTURE_PARAMS": small(),
                "CLIP_PARAMS": { "WIDTH": 128, "HEIGHT": 128, "STEPS": 2, "FRAMES": 5 } }),
        )
        .await;
    studio.is(&made["picture"], "images").await;
    let clip = studio.is(&made["clip"], "video").await;
    assert_eq!(clip["provenance"]["made_from"], json!([made["picture"]]));
    assert_eq!(
        studio.copied().len(),
        2,
        "the picture and the clip: {:?}",
        studio.copied()
    );
}

#[tokio::test]
async fn upscale_enlarges_each_of_the_pictures() {
    let studio = Studio::new().await;
    let picture = studio
        .run(
            "best_of",
            &json!({ "PROMPT": "a fox", "COUNT": 2, "PARAMS": small() }),
        )
        .await;
    let asset_id = &picture["best"]["asset_id"];
    let larger = studio
        .run("upscale", &json!({ "ASSETS": [asset_id] }))
        .await;
    let asset = studio
        .is(&larger["pictures"][0]["asset_id"], "images")
        .await;
    assert!(asset["width"].as_u64() > Some(256), "{asset:#}");
    assert_eq!(asset["provenance"]["made_from"], json!([asset_id]));
}

#[tokio::test]
async fn style_transfer_video_repaints_before_it_animates() {
    let studio = Studio::new().await;
    let made = studio
        .run(
            "style_transfer_video",
            &json!({ "IMAGE_PATH": "./photo.png", "STYLE": "a woodcut", "MOTION": "it turns",
                "CLIP_PARAMS": { "WIDTH": 128, "HEIGHT": 128, "STEPS": 2, "FRAMES": 5 } }),
        )
        .await;
    let clip = studio.is(&made["clip"], "video").await;
    assert_eq!(clip["provenance"]["made_from"], json!([made["styled"]]));
}

#[tokio::test]
async fn storyboard_keeps_the_order_of_its_scenes() {
    let studio = Studio::new().await;
    let scenes = json!([{ "prompt": "a harbour", "motion": "boats leave" }, "a market"]);
    let made = studio
        .run(
            "storyboard",
            &json!({ "SCENES": scenes, "STYLE": "ink", "PICTURE_PARAMS": small(),
                "CLIP_PARAMS": { "WIDTH": 128, "HEIGHT": 128, "STEPS": 2, "FRAMES": 5 } }),
        )
        .await;
    let told = made["scenes"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{made:#}");
    for (scene, prompt) in told.iter().zip(["a harbour, ink", "a market, ink"]) {
        let picture = studio.is(&scene["picture"], "images").await;
        assert_eq!(picture["provenance"]["parameters"]["PROMPT"], prompt);
        let clip = studio.is(&scene["clip"], "video").await;
        assert_eq!(clip["provenance"]["made_from"], json!([scene["picture"]]));
    }
}

#[tokio::test]
async fn best_of_ranks_what_it_made_and_keeps_the_best() {
    let studio = Studio::new().await;
    let made = studio
        .run(
            "best_of",
            &json!({ "PROMPT": "a fox", "COUNT": 3, "PARAMS": small() }),
        )
        .await;
    let pictures = made["pictures"].as_array().unwrap();
    let scores: Vec<f64> = pictures
        .iter()
        .map(|picture| picture["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|one, other| one >= other), "{made:#}");
    assert_eq!(made["best"], pictures[0]);
    let best = studio.is(&made["best"]["asset_id"], "images").await;
    assert_eq!(best["pinned"], true, "{best:#}");
}

#[tokio::test]
async fn a_talking_video_is_as_long_as_what_is_said() {
    let studio = Studio::new().await;
    let made = studio
        .run(
            "text_to_talking_video",
            &json!({ "TEXT": "hello there", "IMAGE_PATH": "./photo.png", "SPEECH": "stable_audio_txt2audio",
                "SPEECH_PARAMS": { "SECONDS": 2, "STEPS": 2 },
                "CLIP_PARAMS": { "WIDTH": 128, "HEIGHT": 128, "STEPS": 2 } }),
        )
        .await;
    studio.is(&made["speech"], "audio").await;
    let clip = studio.is(&made["clip"], "video").await;
    let frames = clip["provenance"]["parameters"]["FRAMES"].as_f64().unwrap();
    let seconds = made["seconds"].as_f64().unwrap();
    assert!(
        frames >= seconds * 16.0 && frames <= seconds * 16.0 + 5.0,
        "{made:#}"
    );
    let from = clip["provenance"]["made_from"].as_array().unwrap();
    assert!(from.contains(&made["speech"]), "{clip:#}");
}

#[tokio::test]
async fn a_product_set_is_published_with_its_manifest() {
    let studio = Studio::new().await;
    std::fs::create_dir_all(studio.home.project().join("public/gen")).unwrap();
    studio.home.write("package.json", "{}");
    let made = studio
        .run(
            "product_set",
            &json!({ "IMAGE_PATH": "./photo.png", "NAME": "mug", "BACKGROUNDS": ["a beach", "a desk"],
                "EDIT_PARAMS": { "STEPS": 2 } }),
        )
        .await;
    let pictures = made["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 2, "{made:#}");
    for picture in pictures {
        let path = picture["published"]["path"].as_str().unwrap();
        assert!(std::path::Path::new(path).is_file(), "{made:#}");
    }
    let folder = std::path::Path::new(pictures[0]["published"]["path"].as_str().unwrap());
    let manifest = std::fs::read(folder.with_file_name("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert!(
        manifest.get("mug_1").is_some() && manifest.get("mug_2").is_some(),
        "{manifest:#}"
    );
}

#[tokio::test]
async fn models_are_compared_also_when_one_of_them_fails() {
    let studio = Studio::new().await;
    let ran = studio
        .ends(
            "compare_models",
            &json!({ "PROMPT": "a fox", "TEMPLATES": ["sd3_txt2img", "no_such", "zimage_turbo_txt2img"],
                "PARAMS": small() }),
        )
        .await;
    let made = ran.exits(4).json();
    assert_eq!(made["errors"], 1, "{made:#}");
    let pictures = made["pictures"].as_array().unwrap();
    studio.is(&pictures[0]["asset_id"], "images").await;
    assert_eq!(pictures[1]["error"]["code"], "NOT_FOUND", "{made:#}");
    studio.is(&pictures[2]["asset_id"], "images").await;
    studio.is(&made["contact_sheet"], "images").await;
    assert_eq!(
        studio.copied().len(),
        3,
        "two pictures and their sheet: {:?}",
        studio.copied()
    );
}

#[tokio::test]
async fn what_is_wrong_with_any_stage_is_told_before_the_first_begins() {
    let studio = Studio::new().await;
    let clip = json!({ "PROMPT": "a fox", "MOTION": "it runs" });
    let talking =
        json!({ "TEXT": "hello", "IMAGE_PATH": "./photo.png", "SPEECH": "stable_audio_txt2audio" });
    for (name, params, more, said) in [
        (
            "image_to_video",
            &clip,
            json!({ "CLIP": "wan22_img2vd" }),
            "no template \"wan22_img2vd\"",
        ),
        (
            "image_to_video",
            &clip,
            json!({ "CLIP_PARAMS": { "FRAMS": 5 } }),
            "wan22_img2vid: no parameter \"FRAMS\", did you mean \"FRAMES\"?",
        ),
        (
            "image_to_video",
            &clip,
            json!({ "CLIP_PARAMS": { "FRAMES": 6 } }),
            "\"FRAMES\" is 6",
        ),
        (
            "image_to_video",
            &clip,
            json!({ "PICTURE_PARAMS": { "STEP": 5 } }),
            "qwen_txt2img: no parameter \"STEP\", did you mean \"STEPS\"?",
        ),
        (
            "image_to_video",
            &clip,
            json!({ "CLIP": "stable_audio_txt2audio" }),
            "stable_audio_txt2audio takes no IMAGE_PATH",
        ),
        (
            "image_to_video",
            &clip,
            json!({ "CLIP_PARAMS": { "VAE": "none.safetensors" } }),
            "wan22_img2vid can't run: the server lacks none.safetensors",
        ),
        (
            "text_to_talking_video",
            &talking,
            json!({ "IMAGE_PATH": "./nobody.png" }),
            "IMAGE_PATH is not there",
        ),
        (
            "text_to_talking_video",
            &talking,
            json!({ "CLIP_PARAMS": { "STEP": 2 } }),
            "no parameter \"STEP\"",
        ),
        (
            "storyboard",
            &json!({ "SCENES": ["a fox", { "motion": "it runs" }] }),
            json!({}),
            "scene 2 is #{\"motion\": \"it runs\"}",
        ),
        (
            "storyboard",
            &json!({ "SCENES": ["a fox"] }),
            json!({ "CLIP_PARAMS": { "STEP": 2 } }),
            "no parameter \"STEP\"",
        ),
        (
            "best_of",
            &json!({ "PROMPT": "a fox" }),
            json!({ "PARAMS": { "STEP": 2 } }),
            "no parameter \"STEP\"",
        ),
        (
            "upscale",
            &json!({ "ASSETS": ["nothing"] }),
            json!({}),
            "asset",
        ),
        (
            "compare_models",
            &json!({ "PROMPT": "a fox", "TEMPLATES": ["sd3_txt2img"] }),
            json!({ "PARAMS": { "STEP": 2 } }),
            "none of the templates takes \"STEP\"",
        ),
    ] {
        let mut params = params.clone();
        for (name, value) in more.as_object().unwrap() {
            params[name] = value.clone();
        }
        let ran = studio.ends(name, &params).await;
        let failure = ran.json();
        assert!(
            [Some(3), Some(6)].contains(&ran.code),
            "{name}: {failure:#}"
        );
        let message = failure["message"].as_str().unwrap();
        assert!(message.contains(said), "{name}: {message}");
        assert!(studio.is_idle().await, "{name} {more}");
    }
}

#[tokio::test]
async fn best_of_nothing_fails_as_the_first_of_them_did() {
    let studio = Studio {
        comfy: sim(&["oom@KSampler"]).await,
        ..Studio::new().await
    };
    let params = json!({ "PROMPT": "a fox", "COUNT": 2, "PARAMS": small() });
    let failure = studio.ends("best_of", &params).await.exits(7).json();
    assert_eq!(failure["error"], "OUT_OF_MEMORY", "{failure:#}");
}

#[tokio::test]
async fn the_best_of_those_that_were_made_is_told_with_what_failed() {
    let studio = Studio {
        comfy: sim(&["oom@KSampler*1"]).await,
        ..Studio::new().await
    };
    let params = json!({ "PROMPT": "a fox", "COUNT": 3, "PARAMS": small() });
    let made = studio.ends("best_of", &params).await.exits(4).json();
    assert_eq!(
        (&made["errors"], &made["tried"]),
        (&json!(1), &json!(3)),
        "{made:#}"
    );
    studio.is(&made["best"]["asset_id"], "images").await;
}
