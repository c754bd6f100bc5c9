//! The pipelines that come with the program, each run to its end on the simulator.

use serde_json::{Value, json};

use crate::support::mmf::{Home, sim};

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

    /// Runs a pipeline with parameters by name.
    async fn run(&self, name: &str, params: &Value) -> Value {
        let mut words = vec!["run".to_owned(), name.to_owned()];
        for (name, value) in params.as_object().unwrap() {
            words.push(format!("--{name}"));
            words.push(value.as_str().map_or(value.to_string(), str::to_owned));
        }
        let ran = self.home.mmf(words).server(&self.comfy.url());
        ran.run().await.exits(0).json()
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
    let made = studio
        .run(
            "compare_models",
            &json!({ "PROMPT": "a fox", "TEMPLATES": ["sd3_txt2img", "no_such", "zimage_turbo_txt2img"],
                "PARAMS": small() }),
        )
        .await;
    let pictures = made["pictures"].as_array().unwrap();
    studio.is(&pictures[0]["asset_id"], "images").await;
    assert_eq!(pictures[1]["error"]["code"], "NOT_FOUND", "{made:#}");
    studio.is(&pictures[2]["asset_id"], "images").await;
    studio.is(&made["contact_sheet"], "images").await;
}
