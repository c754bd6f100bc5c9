//! `mmf demo`: the main job on the simulator, from template to published picture.

use std::path::{Path, PathBuf};
use std::time::Instant;

use directories::ProjectDirs;
use serde_json::{Map, Value, json};

use super::args::{DemoArgs, Global};
use super::progress::Display;
use super::{Ended, Stopped, report};
use crate::app::{App, AppOptions};
use crate::config::{Config, Overrides};
use crate::failure::{Code, Failure};
use crate::script::Caller;
use crate::sim::SimOptions;

const TEMPLATE: &str = "sd3_txt2img";

pub(super) async fn demo(global: &Global, args: &DemoArgs) -> Result<Ended, Stopped> {
    let began = Instant::now();
    let folder = folder(args)?;
    let demo = Demo::start(global, &folder).await?;

    report::line("1. A simulated ComfyUI is running, in this process.");
    let first = demo.picture(&args.prompt, 42).await?;
    let second = demo.picture(&args.prompt, 43).await?;
    let published = demo
        .call(
            "publish_asset",
            json!({ "asset_id": second, "target_filename": "hero.png" }),
        )
        .await?;
    report::line(format_args!(
        "4. Published the second one as {}\n   {}",
        word(&published, "url"),
        word(&published, "path"),
    ));
    let listed = demo
        .call("get_asset_metadata", json!({ "asset_id": first }))
        .await?;
    report::line(format_args!(
        "5. Each picture knows how it was made: script {} ({}), seed {}, hash {}",
        listed["provenance"]["script"]["name"],
        listed["provenance"]["script"]["origin"],
        listed["provenance"]["parameters"]["SEED"],
        word(&listed, "blake3").get(..12).unwrap_or_default(),
    ));
    report::line(format_args!(
        "\nDone in {:.1} s. Everything lies in {}.\n\
         Next: `mmf run {TEMPLATE} --sim --PROMPT \"...\"`, or point --url at your ComfyUI.",
        began.elapsed().as_secs_f64(),
        folder.display()
    ));
    Ok(Ended::Well)
}

/// The demo's folder, which belongs to the user: one that anybody may write to could have been made
/// by somebody else.
fn folder(args: &DemoArgs) -> Result<PathBuf, Failure> {
    let of_user = || {
        let folders = ProjectDirs::from("", "", "massmediafactory")?;
        Some(folders.cache_dir().join("demo"))
    };
    let folder = args.dir.clone().or_else(of_user).ok_or_else(|| {
        Failure::new(Code::INVALID_PARAMS, "this system has no home folder")
            .hint("choose a folder with --dir")
    })?;
    std::path::absolute(&folder).map_err(|error| {
        let message = format!("{} can't be used: {error}", folder.display());
        Failure::new(Code::TOOL_ERROR, message)
    })
}

struct Demo {
    app: App,
    /// How many pictures were made.
    made: std::cell::Cell<u32>,
}

impl Demo {
    async fn start(global: &Global, folder: &Path) -> Result<Self, Failure> {
        let web = folder.join("public/gen");
        std::fs::create_dir_all(&web).map_err(|error| {
            Failure::new(
                Code::TOOL_ERROR,
                format!("{} can't be made: {error}", web.display()),
            )
            .hint("choose another folder with --dir")
        })?;
        let overrides = Overrides {
            data_dir: Some(folder.join("data")),
            ..global.overrides()
        };
        let config = Config {
            // A project of its own, whatever the present folder has.
            project_dir: folder.to_owned(),
            publish_dir: Some(web),
            ..Config::load(&overrides)?
        };
        let simulate = Some(SimOptions::default());
        let app = App::start(
            &config,
            AppOptions {
                simulate,
                ..AppOptions::default()
            },
        )
        .await?;
        Ok(Self {
            app,
            made: std::cell::Cell::default(),
        })
    }

    /// Builds, validates, runs and shows; gives the asset's id.
    async fn picture(&self, prompt: &str, seed: u64) -> Result<String, Failure> {
        self.made.set(self.made.get() + 1);
        let params = json!({ "PROMPT": prompt, "SEED": seed, "WIDTH": 512, "HEIGHT": 512 });
        let built = self
            .call(
                "create_workflow_from_template",
                json!({ "name": TEMPLATE, "params": params }),
            )
            .await?;
        let workflow = &built["workflow"];
        let verdict = self
            .call("validate_workflow", json!({ "workflow": workflow }))
            .await?;
        let nodes = workflow.as_object().map_or(0, Map::len);
        if verdict["valid"] != true {
            let message = format!("the workflow of the template {TEMPLATE} is not valid");
            return Err(Failure::new(Code::VALIDATION_ERROR, message)
                .detail("node_errors", verdict["node_errors"].clone()));
        }
        let queued = self
            .call("execute_workflow", json!({ "workflow": workflow }))
            .await?;
        let done = self
            .call(
                "wait_for_completion",
                json!({ "prompt_id": queued["prompt_id"] }),
            )
            .await?;

        let output = &done["outputs"][0];
        let id = word(output, "asset_id").to_owned();
        let path = self.path(&id)?;
        report::line(format_args!(
            "{}. Template {TEMPLATE}, seed {seed}: {nodes} nodes, valid, {}x{} in {:.1} s\n   {}",
            self.made.get() + 1,
            output["width"],
            output["height"],
            done["elapsed_seconds"].as_f64().unwrap_or_default(),
            path.display(),
        ));
        Ok(id)
    }

    fn path(&self, asset_id: &str) -> Result<PathBuf, Failure> {
        Ok(self.app.host().assets.path(asset_id)?)
    }

    /// Calls a tool as an agent would.
    async fn call(&self, tool: &str, arguments: Value) -> Result<Value, Failure> {
        let Value::Object(arguments) = arguments else {
            return Err(Failure::new(Code::INTERNAL_ERROR, "a tool takes an object"));
        };
        let display = Display::start();
        let caller = Caller {
            progress: display.sink(),
            ..Caller::default()
        };
        let result = self.app.run(self.app.tool(tool)?, arguments, caller).await;
        display.finish();
        Ok(result?.value)
    }
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
