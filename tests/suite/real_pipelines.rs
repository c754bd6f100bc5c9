//! The pipelines and many runs on a real `ComfyUI`: with a model so small that what it paints is noise,
//! and templates of plain nodes for what only large models do.

use serde_json::{Value, json};

use crate::support::mmf::{Home, Ran};
use crate::support::rig::Rig;

/// Stands for one that sets a picture in motion, with sound if there is some.
const STILL: &str = r#"
title("Still");
param("IMAGE_PATH", "image", #{ required: true });
param("AUDIO_PATH", "audio");
param("FRAMES", "int", #{ value: 5, min: 1, max: 200 });
param("FPS", "int", #{ value: 8, min: 1, max: 60 });

fn build(p) {
    let g = workflow();
    let picture = g.node("LoadImage", #{ image: p.IMAGE_PATH });
    let frames = g.node("RepeatImageBatch", #{ image: picture[0], amount: p.FRAMES });
    let clip = #{ images: frames[0], fps: p.FPS * 1.0 };
    if p.AUDIO_PATH != () {
        clip.audio = g.node("LoadAudio", #{ audio: p.AUDIO_PATH })[0];
    }
    let video = g.node("CreateVideo", clip);
    g.node("SaveVideo", #{ video: video[0], filename_prefix: "still", format: "mp4", codec: "h264" });
    g
}
"#;

/// Stands for one that speaks.
const SILENCE: &str = r#"
title("Silence");
param("SECONDS", "float", #{ value: 1.0, min: 0.1, max: 10 });

fn build(p) {
    let g = workflow();
    let sound = g.node("EmptyAudio", #{ duration: p.SECONDS, sample_rate: 44100, channels: 2 });
    g.node("SaveAudio", #{ audio: sound[0], filename_prefix: "silence" });
    g
}
"#;

const TWICE: &str = r#"
title("Twice as large");
param("IMAGE_PATH", "image", #{ required: true });

fn build(p) {
    let g = workflow();
    let picture = g.node("LoadImage", #{ image: p.IMAGE_PATH });
    let larger = g.node("ImageScaleBy", #{ image: picture[0], upscale_method: "nearest-exact", scale_by: 2.0 });
    g.node("SaveImage", #{ images: larger[0], filename_prefix: "twice" });
    g
}
"#;

/// A card that is full whatever is tried.
const FULL: &str = r#"
title("Full");

fn run(p) {
    let g = workflow();
    g.node("MmfFail", #{ message: "it was told to", kind: "out_of_memory" });
    comfy::run(g, #{ on_oom: "less" })
}
"#;

/// Parameters of the sd3 template that take a CPU a second.
fn small() -> Value {
    json!({ "WIDTH": 64, "HEIGHT": 64, "STEPS": 2 })
}

struct Studio {
    home: Home,
    rig: &'static Rig,
}

impl Studio {
    async fn new() -> Option<Self> {
        let rig = Rig::shared().await?;
        let home = Home::new();
        for (name, text) in [("still", STILL), ("silence", SILENCE), ("twice", TWICE)] {
            home.write(&format!(".mmf/templates/{name}.rhai"), text);
        }
        home.write(".mmf/scripts/pipelines/full.rhai", FULL);
        let shades = image::RgbImage::from_fn(64, 48, |x, y| {
            let shade = u8::try_from((x * 5 + y * 3) % 256).unwrap();
            image::Rgb([shade, 128, 255 - shade])
        });
        shades.save(home.project().join("photo.png")).unwrap();
        Some(Self { home, rig })
    }

    async fn ends(&self, name: &str, params: &Value) -> Ran {
        let params = params.to_string();
        let words = ["run", name, "--json", "--params", &params];
        self.home.mmf(words).server(self.rig.url()).run().await
    }

    async fn run(&self, name: &str, params: &Value) -> Value {
        self.ends(name, params).await.exits(0).json()
    }

    async fn is(&self, asset_id: &Value, kind: &str) -> Value {
        let arguments = json!({ "asset_id": asset_id }).to_string();
        let told = self.home.mmf(["call", "get_asset_metadata", &arguments]);
        let asset = told.server(self.rig.url()).run().await.exits(0).json();
        assert_eq!(asset["type"], kind, "{asset:#}");
        asset
    }
}

#[tokio::test]
async fn a_picture_is_painted_and_becomes_a_clip() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let made = studio
        .run(
            "image_to_video",
            &json!({ "PROMPT": "a fox", "MOTION": "it runs", "PICTURE": "sd3_txt2img",
                "PICTURE_PARAMS": small(), "CLIP": "still", "CLIP_PARAMS": { "FRAMES": 8 } }),
        )
        .await;
    studio.is(&made["picture"], "images").await;
    let clip = studio.is(&made["clip"], "video").await;
    assert_eq!(clip["provenance"]["made_from"], json!([made["picture"]]));
    assert_eq!(clip["width"], 64, "{clip:#}");
}

#[tokio::test]
async fn the_scenes_of_a_storyboard_become_clips_in_their_order() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let made = studio
        .run(
            "storyboard",
            &json!({ "SCENES": ["a harbour", { "prompt": "a market", "motion": "people walk" }],
                "PICTURE": "sd3_txt2img", "PICTURE_PARAMS": small(), "CLIP": "still" }),
        )
        .await;
    let scenes = made["scenes"].as_array().unwrap();
    for (scene, prompt) in scenes.iter().zip(["a harbour", "a market"]) {
        let picture = studio.is(&scene["picture"], "images").await;
        assert_eq!(picture["provenance"]["parameters"]["PROMPT"], prompt);
        let clip = studio.is(&scene["clip"], "video").await;
        assert_eq!(clip["provenance"]["made_from"], json!([scene["picture"]]));
    }
    assert_eq!(scenes.len(), 2);
}

#[tokio::test]
async fn the_best_is_enlarged() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let params =
        json!({ "PROMPT": "a fox", "COUNT": 3, "TEMPLATE": "sd3_txt2img", "PARAMS": small() });
    let made = studio.run("best_of", &params).await;
    assert_eq!(
        (&made["tried"], &made["errors"]),
        (&json!(3), &json!(0)),
        "{made:#}"
    );
    let best = &made["best"]["asset_id"];
    assert_eq!(studio.is(best, "images").await["pinned"], true);
    let larger = json!({ "ASSETS": [best], "TEMPLATE": "twice" });
    let larger = studio.run("upscale", &larger).await;
    let larger = studio
        .is(&larger["pictures"][0]["asset_id"], "images")
        .await;
    assert_eq!(larger["width"], 128, "{larger:#}");
    assert_eq!(larger["provenance"]["made_from"], json!([best]));
}

#[tokio::test]
async fn a_model_that_is_not_installed_is_told_beside_the_others() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let params = json!({ "PROMPT": "a fox", "TEMPLATES": ["qwen_txt2img", "sd3_txt2img"], "PARAMS": { "WIDTH": 256, "HEIGHT": 256, "STEPS": 1 } });
    let made = studio.ends("compare_models", &params).await.exits(4).json();
    let error = &made["pictures"][0]["error"];
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("qwen_txt2img can't run: the server lacks "),
        "{made:#}"
    );
    assert!(
        error["missing_models"].as_array().unwrap().len() >= 3,
        "{made:#}"
    );
    studio.is(&made["pictures"][1]["asset_id"], "images").await;
    studio.is(&made["contact_sheet"], "images").await;
}

#[tokio::test]
async fn a_product_is_set_before_backgrounds_and_published() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    std::fs::create_dir_all(studio.home.project().join("public/gen")).unwrap();
    studio.home.write("package.json", "{}");
    let made = studio
        .run(
            "product_set",
            &json!({ "IMAGE_PATH": "./photo.png", "NAME": "mug", "BACKGROUNDS": ["a beach", "a desk"],
                "EDIT": "sd3_txt2img", "EDIT_PARAMS": { "STEPS": 2 } }),
        )
        .await;
    let pictures = made["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 2, "{made:#}");
    for picture in pictures {
        let path = picture["published"]["path"].as_str().unwrap();
        assert!(std::path::Path::new(path).is_file(), "{made:#}");
    }
}

#[tokio::test]
async fn a_picture_in_another_style_becomes_a_clip() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let made = studio
        .run(
            "style_transfer_video",
            &json!({ "IMAGE_PATH": "./photo.png", "STYLE": "a woodcut", "MOTION": "it turns",
                "EDIT": "sd3_txt2img", "EDIT_PARAMS": { "STEPS": 2 }, "CLIP": "still" }),
        )
        .await;
    let clip = studio.is(&made["clip"], "video").await;
    assert_eq!(clip["provenance"]["made_from"], json!([made["styled"]]));
}

#[tokio::test]
async fn a_talking_clip_is_as_long_as_what_is_said() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let made = studio
        .run(
            "text_to_talking_video",
            &json!({ "TEXT": "hello there", "IMAGE_PATH": "./photo.png", "SPEECH": "silence",
                "SPEECH_PARAMS": { "SECONDS": 1.5 }, "CLIP": "still", "FPS": 8 }),
        )
        .await;
    assert_eq!(made["seconds"], 1.5, "{made:#}");
    let clip = studio.is(&made["clip"], "video").await;
    assert_eq!(clip["provenance"]["parameters"]["FRAMES"], 13, "12 and one");
}

#[tokio::test]
async fn a_card_that_is_full_twice_is_told_after_two_attempts() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    let failure = studio.ends("full", &json!({})).await.exits(7).json();
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("; so it did once more after memory was freed"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn rows_of_a_table_and_combinations_of_a_sweep_are_pictures_of_their_own() {
    let Some(studio) = Studio::new().await else {
        return;
    };
    studio.home.write(
        "rows.csv",
        "PROMPT,SEED,WIDTH\n\"a fox, red\",1,64\na cat,2,128\n",
    );
    let size = ["--HEIGHT", "64", "--STEPS", "2", "--json"];
    let batch = [
        &["batch", "sd3_txt2img", "--from", "rows.csv", "-o", "out"][..],
        &size,
    ]
    .concat();
    let ran = studio.home.mmf(batch).server(studio.rig.url()).run().await;
    let answer = ran.exits(0).json();
    let widths = answer["results"].as_array().unwrap().iter();
    let widths: Vec<&Value> = widths.map(|one| &one["outputs"][0]["width"]).collect();
    assert_eq!(widths, [64, 128], "{answer:#}");
    assert!(studio.home.project().join("out/row-2.png").is_file());

    let sweep = [
        "sweep",
        "sd3_txt2img",
        "--PROMPT",
        "a fox",
        "--CFG",
        "2..4/2",
        "--WIDTH",
        "64",
        "--SEED",
        "random:2",
    ];
    let ran = studio
        .home
        .mmf([&sweep[..], &size].concat())
        .server(studio.rig.url())
        .run()
        .await;
    let answer = ran.exits(0).json();
    assert_eq!(answer["completed"], 4, "{answer:#}");
    let sheet = answer["contact_sheet_paths"][0].as_str().unwrap();
    assert!(std::path::Path::new(sheet).is_file());
}
