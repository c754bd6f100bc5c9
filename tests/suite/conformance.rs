//! The protocol's own conformance suite, against the fixtures in `tests/conformance`.

use std::path::Path;

use crate::support::http::HttpServer;
use crate::support::mmf::Home;
use crate::support::npm::Npm;

const SUITE: &str = "conformance/dist/index.js";

/// All that it has for servers; a suite that shrank must not pass unnoticed.
const SCENARIOS: usize = 32;

/// The fixtures as scripts of the user's own.
fn install_fixtures(home: &Home) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/scripts");
    let mut folders = vec![fixtures.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(&fixtures).unwrap();
            let target = home.data().join("scripts").join(below);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(&path, target).unwrap();
        }
    }
}

#[tokio::test]
async fn every_scenario_of_the_conformance_suite_passes() {
    let Some(npm) = Npm::installed("every_scenario_of_the_conformance_suite_passes") else {
        return;
    };
    let home = Home::new();
    install_fixtures(&home);
    let server = HttpServer::of(home.mmf(["serve", "--sim", "--http", "127.0.0.1:0"])).await;
    let results = home.project().join("results");
    let output = npm
        .run(
            SUITE,
            [
                "server".as_ref(),
                "--url".as_ref(),
                server.url.as_ref(),
                "--suite".as_ref(),
                "all".as_ref(),
                "--output-dir".as_ref(),
                results.as_os_str(),
            ],
        )
        .await;
    let said = String::from_utf8_lossy(&output.stdout);
    let (_, summary) = said.split_once("=== SUMMARY ===").expect("a summary");
    let passed = summary.lines().filter(|line| line.starts_with('✓'));
    assert!(
        output.status.success() && passed.count() == SCENARIOS,
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
