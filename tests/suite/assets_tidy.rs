//! Assets whose time is over leave the disk, whoever runs the program and however.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use massmediafactory::assets::{AssetOptions, Assets, Query};
use massmediafactory::clock::Clock;
use massmediafactory::ids::Ids;

use crate::support::assets::{files_below, output};
use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};

const HOUR: Duration = Duration::from_hours(1);

/// Puts an asset into the home that was kept two hours ago for one.
fn keep_something_old(home: &Home) {
    let clock = Clock::fixed(Timestamp::now() - 2 * HOUR);
    let options = AssetOptions {
        ttl: Some(HOUR),
        ..AssetOptions::default()
    };
    let assets = open(&home.data().join("assets"), options, clock);
    assets.keep(output("run", "old.txt"), b"old").unwrap();
}

fn open(dir: &Path, options: AssetOptions, clock: Clock) -> Assets {
    Assets::open(dir, options, clock, Ids::default()).unwrap()
}

/// The names of all the assets in the home, those past their time included, and how many blobs
/// there are.
fn lying_about(home: &Home) -> (Vec<String>, usize) {
    let dir = home.data().join("assets");
    let assets = open(&dir, AssetOptions::default(), Clock::default());
    let query = Query {
        include_expired: true,
        ..Query::default()
    };
    let names = assets.list(&query).unwrap().assets;
    let names = names.into_iter().map(|asset| asset.filename).collect();
    (names, files_below(&dir.join("blobs")))
}

#[tokio::test]
async fn a_server_that_starts_lets_go_of_assets_whose_time_is_over() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    keep_something_old(&home);
    assert_eq!(lying_about(&home), (vec!["old.txt".to_owned()], 1));

    let serve = home.mmf(["serve"]).server(&comfy.url());
    let mut client = McpClient::greet(serve.env("MMF_LOG", "info")).await;
    client.logged("let go of assets").await;

    assert_eq!(lying_about(&home), (vec![], 0));
    client.close().await;
}

#[tokio::test]
async fn a_run_from_the_shell_lets_go_of_assets_whose_time_is_over_and_of_no_other() {
    let home = Home::new();
    keep_something_old(&home);

    let run = ["run", "sd3_txt2img", "--sim", "--PROMPT", "a red fox"];
    let small = ["--WIDTH", "64", "--HEIGHT", "64", "--STEPS", "1"];
    home.mmf(run.into_iter().chain(small)).run().await.exits(0);

    let (names, blobs) = lying_about(&home);
    assert_eq!((names.len(), blobs), (1, 1), "{names:?}");
    assert_ne!(names, ["old.txt"]);
}
