//! `mmf batch` and `mmf sweep`: what is asked in a table, a folder or by options, each run with its
//! outputs, and every mistake before anything is queued.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::mmf::{Home, NOWHERE, PATIENCE, Ran, sim, sim_with_steps};
use crate::support::sim::get;

/// What makes each picture small.
const SMALL: [&str; 6] = ["--STEPS", "1", "--WIDTH", "64", "--HEIGHT", "64"];

fn words<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, &SMALL, more].concat()
}

/// The names of the files in a folder of the project.
fn files(home: &Home, folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(home.project().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn parameters(home: &Home, url: &str, asset_id: &Value) -> Value {
    let arguments = json!({ "asset_id": asset_id }).to_string();
    let told = home.mmf(["call", "get_asset_metadata", &arguments]);
    let told = told.server(url).run().await.exits(0).json();
    told["provenance"]["parameters"].clone()
}

#[tokio::test]
async fn each_row_of_a_table_is_a_run_with_values_as_the_template_has_them() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    // As a spreadsheet writes it: a mark, quotes, an empty cell, an empty line.
    home.write(
        "rows.csv",
        "\u{feff}PROMPT,SEED,CFG\r\n\"a fox, red\",7,\r\n\r\n\"two\nlines\",18446744073709551615,3\r\n",
    );
    let batch = ["batch", "sd3_txt2img", "--from", "rows.csv"];
    let ran = home.mmf(words(&batch, &["--json", "-o", "out"]));
    let ran = ran.server(&comfy.url()).run().await.exits(0);
    let answer = ran.json();
    assert_eq!(
        (&answer["total_jobs"], &answer["completed"]),
        (&json!(2), &json!(2))
    );
    let results = answer["results"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|one| (&one["label"], &one["line"]))
        .collect();
    assert_eq!(
        told,
        [(&json!("row 1"), &json!(2)), (&json!("row 2"), &json!(4))]
    );
    for (result, (prompt, seed, cfg)) in results.iter().zip([
        ("a fox, red", json!(7), json!(4.0)),
        ("two\nlines", json!(u64::MAX), json!(3.0)),
    ]) {
        let output = &result["outputs"][0];
        let made = parameters(&home, &comfy.url(), &output["asset_id"]).await;
        let made = (&made["PROMPT"], &made["SEED"], &made["CFG"]);
        assert_eq!(made, (&json!(prompt), &seed, &cfg));
        assert!(
            home.project()
                .join(output["path"].as_str().unwrap())
                .is_file()
        );
    }
    assert_eq!(files(&home, "out"), names(&["row-1.png", "row-2.png"]));
}

#[tokio::test]
async fn a_person_is_told_each_picture_with_its_row_and_how_it_went() {
    let (home, comfy) = (Home::new(), sim(&["oom@KSampler*1"]).await);
    home.write(
        "rows.jsonl",
        "{\"PROMPT\": \"one\"}\n\n{\"PROMPT\": \"two\"}\n{\"PROMPT\": \"three\"}\n",
    );
    let batch = ["batch", "sd3_txt2img", "--from", "rows.jsonl"];
    let ran = home
        .mmf(words(&batch, &[]))
        .server(&comfy.url())
        .run()
        .await
        .exits(4);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let [two, three] = &lines[..] else {
        panic!("{}", ran.stdout)
    };
    assert!(
        two.ends_with("  64x64  row 2") && three.ends_with("  64x64  row 3"),
        "{lines:?}"
    );
    assert!(Path::new(two.split("  ").next().unwrap()).is_file());
    assert!(
        ran.stderr.contains("error: row 1 (line 1): "),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("2 of 3 runs are over"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.ends_with("2 of 3 runs completed, 1 failed\n"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn all_bad_rows_are_told_with_their_lines_before_anything_is_queued() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(
        "rows.csv",
        "PROMPT,STEPS,SAMPLER\na fox,many,euler\na cat,2,euler\na dog,0,eular\na, b,2,euler\n,2,euler\n",
    );
    let batch = ["batch", "sd3_txt2img", "--from", "rows.csv"];
    let ran = home.mmf(batch).server(&comfy.url()).run().await.exits(3);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: 4 of 5 rows can't be run, so nothing was queued:
      line 2: "STEPS" is "many", allowed is a whole number from 1 to 150
      line 4: "STEPS" is 0, allowed is a whole number from 1 to 150
      line 5: there are 4 cells and 3 names in the first line: a text with a comma is put in quotes
      line 6: "PROMPT" is required: a string
    hint: mend them, or leave them out; `mmf run sd3_txt2img --help` tells what it takes
    "#);
    assert_eq!(ran.stdout, "");

    home.write(
        "rows.jsonl",
        "{\"PROMPT\": \"a fox\"}\n{\"PROMT\": \"a cat\"}\n[1]\nnonsense\n",
    );
    let batch = ["batch", "sd3_txt2img", "--from", "rows.jsonl", "--json"];
    let ran = home.mmf(batch).server(&comfy.url()).run().await.exits(3);
    let mistakes = ran.json()["mistakes"].clone();
    let lines = mistakes.as_array().unwrap().iter().map(|one| &one["line"]);
    assert_eq!(lines.collect::<Vec<_>>(), [2, 3, 4], "{mistakes:#}");
    assert_eq!(get(&comfy, "/history").await, json!({}));
}

#[tokio::test]
async fn a_misspelt_column_is_told_once_and_nobody_needs_a_server_for_that() {
    let home = Home::new();
    home.write("rows.csv", "PROMPT,SEDE\na,1\nb,2\n");
    let batch = ["batch", "sd3_txt2img", "--from", "rows.csv"];
    let ran = home.mmf(batch).server(NOWHERE).run().await.exits(3);
    let said =
        "error: rows.csv, line 1: sd3_txt2img has no parameter \"SEDE\", did you mean \"SEED\"?\n";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
}

#[tokio::test]
async fn a_folder_is_a_run_for_each_of_its_pictures_and_equal_ones_are_uploaded_once() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let folder = home.project().join("photos");
    std::fs::create_dir(&folder).unwrap();
    let picture = |shade: u8| image::RgbImage::from_pixel(24, 16, image::Rgb([shade, 0, 0]));
    picture(9).save(folder.join("b.png")).unwrap();
    picture(9).save(folder.join("c.png")).unwrap();
    picture(200).save(folder.join("a.jpg")).unwrap();
    home.write("photos/notes.txt", "no picture");
    let batch = [
        "batch",
        "upscale_image",
        "--from",
        "photos",
        "--SCALE",
        "2",
        "-o",
        "out",
        "--json",
    ];
    let ran = home.mmf(batch).server(&comfy.url()).run().await.exits(0);
    let answer = ran.json();
    let results = answer["results"].as_array().unwrap();
    let labels: Vec<&Value> = results.iter().map(|result| &result["label"]).collect();
    assert_eq!(labels, ["a.jpg", "b.png", "c.png"]);
    assert_eq!(files(&home, "out"), names(&["a.png", "b.png", "c.png"]));
    let mut handed = vec![];
    for result in results {
        let made = parameters(&home, &comfy.url(), &result["outputs"][0]["asset_id"]).await;
        handed.push(made["IMAGE_PATH"].clone());
    }
    assert_ne!(handed[0], handed[1]);
    assert_eq!(handed[1], handed[2]);
    assert!(
        ran.stderr
            .contains("1 files that are no image files are left out"),
        "{}",
        ran.stderr
    );

    let several = ["batch", "flux_kontext_multiref", "--from", "photos"];
    let ran = home.mmf(several).server(&comfy.url()).run().await.exits(3);
    assert!(ran.stderr.contains("--param"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_workflow_with_placeholders_needs_no_template() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let workflow = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": "{{WIDTH}}", "height": 32, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "{{NAME}}" } },
    });
    home.write("plain.json", &workflow.to_string());
    let mut batch = home
        .mmf([
            "batch",
            "plain.json",
            "--from",
            "-",
            "--NAME",
            "x",
            "--json",
        ])
        .server(&comfy.url())
        .spawn();
    let mut rows = batch.stdin.take().unwrap();
    rows.write_all(b"WIDTH\n48\n96\n").await.unwrap();
    drop(rows);
    let answer = Ran::end(batch).await.exits(0).json();
    let results = answer["results"].as_array().unwrap();
    let widths: Vec<&Value> = results
        .iter()
        .map(|one| &one["outputs"][0]["width"])
        .collect();
    assert_eq!(widths, [48, 96]);

    let sweep = [
        "sweep",
        "plain.json",
        "--WIDTH",
        "32..96..32",
        "--NAME",
        "a, b",
        "--json",
    ];
    let answer = home
        .mmf(sweep)
        .server(&comfy.url())
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(answer["order"], json!(["WIDTH=32", "WIDTH=64", "WIDTH=96"]));
}

#[tokio::test]
async fn a_sweep_tries_every_combination_and_lays_them_out_on_a_sheet() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let sweep = [
        "sweep",
        "sd3_txt2img",
        "--PROMPT",
        "a fox, red",
        "--CFG",
        "3,4.5",
        "--WIDTH,HEIGHT",
        "64x96,96x64",
        "--STEPS",
        "1",
        "-o",
        "out",
        "--seed",
        "5",
    ];
    let ran = home.mmf(sweep).server(&comfy.url()).run().await.exits(0);
    let made = [
        "CFG=3,WIDTH=64,HEIGHT=96.png",
        "CFG=3,WIDTH=96,HEIGHT=64.png",
        "CFG=4.5,WIDTH=64,HEIGHT=96.png",
        "CFG=4.5,WIDTH=96,HEIGHT=64.png",
    ];
    let mut all = names(&made);
    all.insert("contact-sheet.png".to_owned());
    let found: BTreeSet<String> = files(&home, "out")
        .into_iter()
        .map(|name| name.replace("contact-sheet.webp", "contact-sheet.png"))
        .collect();
    assert_eq!(found, all);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[1].ends_with("  96x64  CFG=3,WIDTH=96,HEIGHT=64"),
        "{lines:#?}"
    );
    assert!(
        lines[4].ends_with("  contact sheet") && lines.len() == 5,
        "{lines:#?}"
    );
    assert!(
        ran.stderr.ends_with("4 of 4 runs completed\n"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_queued_in_which_order_and_queues_nothing() {
    let home = Home::new();
    let sweep = [
        "sweep",
        "sd3_txt2img",
        "--PROMPT",
        "a fox",
        "--SEED",
        "random:2",
        "--CHECKPOINT",
        "a.safetensors,b.safetensors",
        "--dry-run",
    ];
    let ran = home
        .mmf(words(&sweep, &["--json"]))
        .server(NOWHERE)
        .run()
        .await
        .exits(0);
    let plan = ran.json();
    assert_eq!(plan["total_jobs"], 4);
    let queued = plan["queued"].as_array().unwrap();
    let models: Vec<&Value> = queued
        .iter()
        .map(|run| &run["parameters"]["CHECKPOINT"])
        .collect();
    // As asked, the model would change with each run.
    assert_eq!(models[0], models[1], "{models:?}");
    assert_eq!(models[2], models[3], "{models:?}");
    let seeds: BTreeSet<u64> = queued
        .iter()
        .map(|run| run["parameters"]["SEED"].as_u64().unwrap())
        .collect();
    assert_eq!(seeds.len(), 2);
    assert!(queued[0]["workflow"].is_object(), "{plan:#}");

    let person = home
        .mmf(words(&sweep, &[]))
        .server(NOWHERE)
        .run()
        .await
        .exits(0);
    assert_eq!(person.stdout.lines().count(), 4, "{}", person.stdout);
    assert!(
        person.stderr.contains("4 runs would be queued"),
        "{}",
        person.stderr
    );
}

#[tokio::test]
async fn a_sweep_that_can_not_be_meant_is_told_as_it_is_written() {
    let home = Home::new();
    for (more, said) in [
        (&["--CFG", "3,x"][..], "\"CFG\" is \"x\""),
        (
            &["--STEPS", "10.."],
            "--STEPS 10.. is neither a list nor a range",
        ),
        (
            &["--WIDTH,HEIGHT", "64"],
            "\"64\" are not 2 values for WIDTH,HEIGHT",
        ),
        (&["--CFG", "3"], "there is nothing to sweep"),
        (&["--CFG", "1..2..0.0001"], "these are 10001 runs, at most"),
        (
            &["--sweep", "{\"SEDE\": [1, 2]}"],
            "no parameter \"SEDE\", did you mean \"SEED\"?",
        ),
    ] {
        let args = [&["sweep", "sd3_txt2img", "--PROMPT", "x"], more].concat();
        let ran = home.mmf(args).server(NOWHERE).run().await;
        assert!(ran.stderr.contains(said), "{more:?}: {}", ran.stderr);
        assert_ne!(ran.code, Some(0), "{more:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_fails_all_for_the_same_reason() {
    let home = Home::new();
    home.write("rows.csv", "PROMPT\na\nb\n");
    let batch = ["batch", "sd3_txt2img", "--from", "rows.csv"];
    let ran = home.mmf(batch).server(NOWHERE).run().await.exits(5);
    assert!(ran.stderr.contains("row 2 (line 3)"), "{}", ran.stderr);
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupt_cancels_what_is_queued_and_tells_what_was_made() {
    let step = Duration::from_millis(50);
    let (home, comfy) = (Home::new(), sim_with_steps(step, &[]).await);
    home.write("rows.csv", "PROMPT,STEPS\na,1\nb,150\nc,150\n");
    let batch = [
        "batch",
        "sd3_txt2img",
        "--from",
        "rows.csv",
        "--WIDTH",
        "64",
        "--HEIGHT",
        "64",
    ];
    let mut batch = home.mmf(batch).server(&comfy.url()).spawn();
    let mut said = BufReader::new(batch.stderr.take().unwrap()).lines();
    loop {
        let line = timeout(PATIENCE, said.next_line())
            .await
            .expect("it goes on");
        if line.unwrap().unwrap() == "1 of 3 runs are over" {
            break;
        }
    }
    let pid = batch.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().await;
    assert!(killed.unwrap().success());
    let ran = Ran::end(batch).await.exits(130);
    let made: Vec<&str> = ran.stdout.lines().collect();
    assert!(made.len() == 1 && Path::new(made[0]).is_file(), "{made:?}");
    let queue = home.mmf(["call", "get_queue_status"]).server(&comfy.url());
    let queue = queue.run().await.exits(0).json();
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(0), &json!(0))
    );
}
