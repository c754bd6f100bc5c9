//! Sweeps that are looked at: contact sheets, going on around a result, and the order of runs.

use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, Rgba, RgbaImage};
use massmediafactory::assets::{Kind, NewAsset, Sheet, SheetAxis, SheetCell};
use massmediafactory::sim::{Caching, Sim, SimOptions};
use serde_json::{Value, json};

use crate::support::assets::Shelf;
use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};
use crate::support::sim::http;

const RED: [u8; 4] = [200, 20, 20, 255];
const GREEN: [u8; 4] = [20, 200, 20, 255];
const BLUE: [u8; 4] = [20, 20, 200, 255];

fn axis(name: &str, values: &[&str]) -> SheetAxis {
    SheetAxis {
        name: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn keep(shelf: &Shelf, name: &str, bytes: &[u8]) -> SheetCell {
    let new = NewAsset {
        filename: name.to_owned(),
        ..NewAsset::default()
    };
    SheetCell::Asset(shelf.assets.keep(new, bytes).unwrap().asset_id)
}

fn plain(shelf: &Shelf, colour: [u8; 4]) -> SheetCell {
    let picture = RgbaImage::from_pixel(300, 200, Rgba(colour));
    let mut bytes = std::io::Cursor::new(vec![]);
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    keep(shelf, "plain.png", bytes.get_ref())
}

fn moving(shelf: &Shelf, colours: &[[u8; 4]]) -> SheetCell {
    let mut bytes = vec![];
    let mut gif = GifEncoder::new(&mut bytes);
    for colour in colours {
        let picture = RgbaImage::from_pixel(60, 60, Rgba(*colour));
        let frame = Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(100, 1));
        gif.encode_frame(frame).unwrap();
    }
    drop(gif);
    keep(shelf, "moving.gif", &bytes)
}

fn drawn(shelf: &Shelf, sheet: &Sheet) -> Vec<RgbaImage> {
    let kept = shelf
        .assets
        .keep_sheet(sheet, &NewAsset::default())
        .unwrap();
    kept.iter()
        .map(|asset| {
            assert_eq!(asset.kind, Kind::Images);
            let bytes = shelf.assets.read_bytes(&asset.asset_id).unwrap();
            image::load_from_memory(&bytes).unwrap().to_rgba8()
        })
        .collect()
}

/// Left, top, right and bottom of all that is of about this colour.
fn place(sheet: &RgbaImage, colour: [u8; 4]) -> (u32, u32, u32, u32) {
    let near = |pixel: &Rgba<u8>| pixel.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 12);
    let spots = sheet.enumerate_pixels().filter(|(_, _, pixel)| near(pixel));
    let spots: Vec<(u32, u32)> = spots.map(|(x, y, _)| (x, y)).collect();
    assert!(!spots.is_empty(), "{colour:?} is not there");
    let (xs, ys) = (spots.iter().map(|it| it.0), spots.iter().map(|it| it.1));
    (
        xs.clone().min().unwrap(),
        ys.clone().min().unwrap(),
        xs.max().unwrap(),
        ys.max().unwrap(),
    )
}

/// How many pixels there are as bright as letters.
fn ink(sheet: &RgbaImage, columns: std::ops::Range<u32>, rows: std::ops::Range<u32>) -> usize {
    let spots = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
    spots
        .filter(|(x, y)| {
            sheet.get_pixel(*x, *y).0[..3]
                .iter()
                .all(|shade| *shade > 200)
        })
        .count()
}

#[test]
fn pictures_stand_where_their_values_cross_and_the_values_stand_beside() {
    let shelf = Shelf::new();
    let sheet = Sheet {
        axes: vec![axis("CFG", &["3.0", "4.5"]), axis("STEPS", &["20", "30"])],
        cells: vec![
            plain(&shelf, RED),
            plain(&shelf, GREEN),
            plain(&shelf, BLUE),
            SheetCell::Empty("out of memory".into()),
        ],
    };
    let pages = drawn(&shelf, &sheet);
    let [page] = &pages[..] else {
        panic!("one page")
    };
    assert!(
        page.width().max(page.height()) <= 1024,
        "{:?}",
        page.dimensions()
    );
    let [red, green, blue] = [RED, GREEN, BLUE].map(|colour| place(page, colour));
    assert!(red.2 < green.0 && red.1 == green.1, "STEPS runs across");
    assert!(red.3 < blue.1 && red.0 == blue.0, "CFG runs down");
    assert_eq!((red.2 - red.0) * 2 / 3, red.3 - red.1, "undistorted");

    assert!(
        ink(page, red.0..red.2, 0..red.1) > 20,
        "a value over the column"
    );
    assert!(
        ink(page, 0..red.0, red.1..red.3) > 20,
        "a value beside the row"
    );
    let failed = page.get_pixel(green.0 + 2, blue.1 + 2).0;
    assert!(failed[0] > failed[2] + 10, "{failed:?} is marked");
}

#[test]
fn what_a_sheet_is_made_of_is_known_and_its_pages_are_told_apart() {
    let shelf = Shelf::new();
    let picture = plain(&shelf, RED);
    let values: Vec<String> = (0..70).map(|at| at.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let sheet = Sheet {
        axes: vec![axis("SEED", &values)],
        cells: vec![picture.clone(); 70],
    };
    let kept = shelf
        .assets
        .keep_sheet(&sheet, &NewAsset::default())
        .unwrap();
    let facts: Vec<_> = kept
        .iter()
        .map(|asset| (&*asset.filename, asset.provenance.made_from.len()))
        .collect();
    assert_eq!(
        facts,
        [("contact_sheet_1.png", 64), ("contact_sheet_2.png", 6)]
    );
    let again = shelf.another().get(&kept[0].asset_id).unwrap();
    let SheetCell::Asset(id) = picture else {
        panic!()
    };
    assert_eq!(again.provenance.made_from[0], id, "on disk, too");
}

#[test]
fn of_what_moves_the_first_middle_and_last_frame_are_seen_and_of_a_clip_why_not() {
    let shelf = Shelf::new();
    let grey = [90, 90, 90, 255];
    let sheet = Sheet {
        axes: vec![axis("LENGTH", &["5", "9"])],
        cells: vec![
            moving(&shelf, &[RED, grey, GREEN, grey, BLUE]),
            keep(&shelf, "clip.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42"),
        ],
    };
    let page = &drawn(&shelf, &sheet)[0];
    let [red, green, blue] = [RED, GREEN, BLUE].map(|colour| place(page, colour));
    assert!(
        red.2 < green.0 && green.2 < blue.0,
        "{red:?} {green:?} {blue:?}"
    );
}

#[tokio::test]
async fn a_sweep_answers_with_a_sheet_that_an_agent_can_look_at() {
    let (home, comfy) = (Home::new(), sim(&["oom@KSampler*1"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({
        "workflow": "sd3_txt2img",
        "sweep_params": { "CFG": { "from": 2, "to": 4, "count": 3 }, "SEED": { "random": 2 } },
        "fixed_params": { "PROMPT": "a fox", "STEPS": 1, "WIDTH": 64, "HEIGHT": 64 },
    });
    let swept = client.call("execute_parameter_sweep", arguments).await;
    assert_eq!(
        (&swept["completed"], &swept["errors"]),
        (&json!(5), &json!(1))
    );
    let first = swept["order"][0].as_str().unwrap();
    let seed = swept["results"][first]["parameters"]["SEED"].clone();
    assert_eq!(first, format!("CFG=2,SEED={seed}"), "{swept:#}");

    let id = json!({ "asset_id": swept["contact_sheet"] });
    let shown = client.call_raw("view_output", id.clone()).await;
    let kinds: Vec<&Value> = shown["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["type"])
        .collect();
    assert!(kinds.contains(&&json!("image")), "{kinds:?}");
    let facts = client.call("get_asset_metadata", id).await;
    assert_eq!(facts["prompt_preview"], "contact sheet: CFG, SEED");
    assert_eq!(
        facts["provenance"]["made_from"].as_array().unwrap().len(),
        5
    );
    assert_eq!(
        facts["provenance"]["script"]["name"],
        "execute_parameter_sweep"
    );
    assert_eq!(facts.get("url"), None, "no server has it");
}

#[tokio::test]
async fn a_sweep_goes_on_around_one_of_its_results() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut arguments = json!({
        "workflow": "sd3_txt2img",
        "sweep_params": {
            "CFG": [2.0, 4.0, 6.0],
            "SAMPLER": ["euler", "dpmpp_2m"],
            "SEED": [5, 6],
            "STEPS": { "from": 1, "to": 5, "step": 2 },
            "WIDTH,HEIGHT": [[64, 96], [96, 64]],
        },
        "fixed_params": { "PROMPT": "a fox" },
    });
    arguments["around"] = "CFG=4.0,SAMPLER=dpmpp_2m,SEED=6,STEPS=5,WIDTH=96,HEIGHT=64".into();
    let swept = client
        .call("execute_parameter_sweep", arguments.clone())
        .await;
    let around = json!({
        "CFG": [3.0, 4.0, 5.0],
        "SAMPLER": ["dpmpp_2m"],
        "SEED": [6],
        "STEPS": [4, 5, 6],
        "WIDTH,HEIGHT": [[96, 64]],
    });
    assert_eq!(swept["sweep_params"], around, "{swept:#}");
    assert_eq!(swept["completed"], 9);

    for (around, said) in [
        (json!("CFG=4.0"), "is no combination"),
        (json!({ "CFG": 4.0 }), "does not say which SAMPLER"),
        (
            json!({ "CFG": 4.0, "SAMPLR": "euler" }),
            "\"SAMPLR\" is not swept",
        ),
    ] {
        arguments["around"] = around;
        let failure = client
            .call_fails("execute_parameter_sweep", arguments.clone())
            .await;
        let message = failure["message"].as_str().unwrap();
        assert!(message.contains(said), "{failure:#}");
    }
}

/// A server that keeps only what its last run used.
async fn forgetful() -> Sim {
    let options = SimOptions {
        caching: Caching::Classic,
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

#[tokio::test]
async fn each_model_is_loaded_once_however_the_sweep_is_written() {
    let (home, comfy) = (Home::new(), forgetful().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({
        "workflow": "sd3_txt2img",
        "sweep_params": {
            "CFG": [1.0, 2.0, 3.0],
            "CHECKPOINT": ["sd3.5_large_fp8_scaled.safetensors", "sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors"],
        },
        "fixed_params": { "PROMPT": "a fox", "STEPS": 1, "WIDTH": 64, "HEIGHT": 64, "SEED": 1 },
    });
    let swept = client.call("execute_parameter_sweep", arguments).await;
    assert_eq!(swept["completed"], 6, "{swept:#}");
    assert_eq!(
        swept["order"][1], "CFG=1.0,CHECKPOINT=sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors",
        "told in the order asked"
    );
    let history: Value = http()
        .get(format!("{}/history", comfy.url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let runs = history.as_object().unwrap().values();
    let loads = runs.filter(|run| {
        let nodes = run["prompt"][2].as_object().unwrap();
        let loader = nodes
            .iter()
            .find(|(_, node)| node["class_type"] == "CheckpointLoaderSimple");
        let loader = json!(loader.unwrap().0);
        let messages = run["status"]["messages"].as_array().unwrap().iter();
        let cached = messages.filter(|message| message[0] == "execution_cached");
        !cached
            .flat_map(|message| message[1]["nodes"].as_array().unwrap())
            .any(|node| *node == loader)
    });
    assert_eq!(loads.count(), 2);
}

#[tokio::test]
async fn a_script_can_measure_and_compare_what_was_made() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(
        ".mmf/scripts/tools/judge.rhai",
        r#"
            about("Measures two pictures.");
            param("ids", "array", #{ required: true });
            fn run(p) {
                let measures = p.ids.map(|id| assets::measure(id));
                #{ measures: measures, likeness: assets::likeness(p.ids[0], p.ids[1]) }
            }
        "#,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({
        "workflow": "sd3_txt2img",
        "sweep_params": { "SEED": [1, 2] },
        "fixed_params": { "PROMPT": "a fox", "STEPS": 4, "WIDTH": 256, "HEIGHT": 256 },
    });
    let swept = client.call("execute_parameter_sweep", arguments).await;
    let id = |key: &str| swept["results"][key]["outputs"][0]["asset_id"].clone();
    let (one, other) = (id("SEED=1"), id("SEED=2"));
    let judged = client.call("judge", json!({ "ids": [one, one] })).await;
    assert_eq!(judged["likeness"], 1.0);
    let judged = client.call("judge", json!({ "ids": [one, other] })).await;
    let first = &judged["measures"][0];
    assert!(first["sharpness"].as_f64().unwrap() > 0.0, "{judged:#}");
    assert!((0.0..=1.0).contains(&first["exposure"]["mean"].as_f64().unwrap()));
    assert_ne!(first["hash"], judged["measures"][1]["hash"]);
    assert!(judged["likeness"].as_f64().unwrap() < 1.0);
}
