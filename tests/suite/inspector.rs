//! The protocol's own inspector lists and calls, over stdio and over HTTP.

use serde_json::Value;

use crate::support::http::HttpServer;
use crate::support::mmf::{Home, binary};
use crate::support::npm::Npm;

const INSPECTOR: &str = "inspector-cli/build/index.js";

/// How the inspector reaches a server: what comes before the method on its command line.
struct Target<'a> {
    npm: &'a Npm,
    reached_by: Vec<String>,
}

impl Target<'_> {
    async fn ask(&self, method: &[&str]) -> Value {
        let reached_by = self.reached_by.iter().map(String::as_str);
        let args = reached_by.chain(["--method"]).chain(method.iter().copied());
        let output = self.npm.run(INSPECTOR, args).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            let log = String::from_utf8_lossy(&output.stderr);
            panic!("{method:?}: {error}\n{log}")
        })
    }

    async fn lists_and_calls(&self) {
        let tools = self.ask(&["tools/list"]).await;
        let has_tool = |name: &str| {
            let tools = tools["tools"].as_array().unwrap().iter();
            tools.into_iter().any(|tool| tool["name"] == name)
        };
        assert!(has_tool("list_assets"), "{tools:#}");
        let called = ["tools/call", "--tool-name", "list_assets"];
        let called = [&called[..], &["--tool-arg", "limit=3"]].concat();
        let called = self.ask(&called).await;
        assert_eq!(called["structuredContent"]["count"], 0, "{called:#}");
        let template = "name=sd3_txt2img";
        let called = ["tools/call", "--tool-name", "get_template", "--tool-arg"];
        let called = self.ask(&[&called[..], &[template]].concat()).await;
        assert_eq!(called["isError"], false, "{called:#}");
    }
}

#[tokio::test]
async fn the_inspector_lists_and_calls_over_stdio() {
    let Some(npm) = Npm::installed("the_inspector_lists_and_calls_over_stdio") else {
        return;
    };
    let home = Home::new();
    let data = home.data();
    let words = [
        binary().into_string().unwrap(),
        "serve".into(),
        "--sim".into(),
        "--data-dir".into(),
        data.to_str().unwrap().into(),
    ];
    let target = Target {
        npm: &npm,
        reached_by: words.to_vec(),
    };
    target.lists_and_calls().await;
}

#[tokio::test]
async fn the_inspector_lists_and_calls_over_http() {
    let Some(npm) = Npm::installed("the_inspector_lists_and_calls_over_http") else {
        return;
    };
    let home = Home::new();
    let server = HttpServer::of(home.mmf(["serve", "--sim", "--http", "127.0.0.1:0"])).await;
    let words = [server.url.as_str(), "--transport", "http"];
    let target = Target {
        npm: &npm,
        reached_by: words.map(str::to_owned).to_vec(),
    };
    target.lists_and_calls().await;
}
