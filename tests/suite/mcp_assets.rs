//! Looking at assets, handing media in and out, over MCP on the simulator.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use massmediafactory::assets::{AssetOptions, Assets, NewAsset};
use massmediafactory::clock::Clock;
use massmediafactory::ids::Ids;
use massmediafactory::sim::Sim;
use serde_json::{Value, json};

use crate::support::assets::{noise, output};
use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};
use crate::support::sim::get_bytes;

/// A server with a simulator behind it.
struct Desk {
    home: Home,
    comfy: Sim,
    client: McpClient,
}

impl Desk {
    async fn new() -> Self {
        let (home, comfy) = (Home::new(), sim(&[]).await);
        let client = McpClient::start(&home, &comfy.url()).await;
        Self {
            home,
            comfy,
            client,
        }
    }

    /// Keeps something as another process would, and returns its id.
    fn keep(&self, new: NewAsset, bytes: &[u8]) -> String {
        let dir = self.home.data().join("assets");
        let options = AssetOptions::default();
        let assets = Assets::open(&dir, options, Clock::default(), Ids::default()).unwrap();
        assets.keep(new, bytes).unwrap().asset_id
    }

    fn keep_picture(&self, name: &str) -> String {
        let picture = noise(900, 600, ImageFormat::Png);
        self.keep(output(name, &format!("{name}.png")), &picture)
    }

    /// What lies in the server's input folder under a name.
    async fn input(&self, name: &str) -> Vec<u8> {
        let path = format!("/view?type=input&filename={name}");
        let (status, _, bytes) = get_bytes(&self.comfy, &path).await;
        assert_eq!(status, 200, "{name}");
        bytes
    }
}

/// A second of silence.
fn wav() -> Vec<u8> {
    let samples = 8000_u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(8000_u32.to_le_bytes());
    bytes.extend(8000_u32.to_le_bytes());
    bytes.extend(b"\x01\0\x08\0data");
    bytes.extend(samples.to_le_bytes());
    bytes.resize(44 + 8000, 128);
    bytes
}

fn block<'a>(answer: &'a Value, kind: &str) -> Option<&'a Value> {
    let blocks = answer["content"].as_array().unwrap();
    blocks.iter().find(|block| block["type"] == kind)
}

#[tokio::test]
async fn a_picture_is_shown_small_with_its_facts_and_a_link_to_the_whole() {
    let mut desk = Desk::new().await;
    let new = NewAsset {
        prompt: "a dragon over the sea".to_owned(),
        ..output("run", "dragon.png")
    };
    let id = desk.keep(new, &noise(900, 600, ImageFormat::Png));

    let arguments = json!({ "asset_id": id, "max_side": 300 });
    let answer = desk.client.call_raw("view_output", arguments).await;

    let image = block(&answer, "image").unwrap();
    assert_eq!(image["mimeType"], "image/jpeg");
    let data = image["data"].as_str().unwrap();
    assert!(data.len() <= 100_000, "{}", data.len());
    let picture = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (300, 200));
    let link = block(&answer, "resource_link").unwrap();
    assert_eq!(link["uri"], format!("mmf://assets/{id}"));
    assert_eq!(link["mimeType"], "image/png");
    let facts = &answer["structuredContent"];
    assert_eq!(
        (&facts["width"], &facts["height"]),
        (&json!(900), &json!(600))
    );
    assert_eq!(facts["prompt_preview"], "a dragon over the sea");
    assert_eq!(facts["mime_type"], "image/png");
    let url = facts["url"].as_str().unwrap();
    assert!(
        url.starts_with(&desk.comfy.url()) && url.contains("filename=dragon.png"),
        "{url}"
    );
    let path = Path::new(facts["path"].as_str().unwrap());
    assert!(path.is_absolute() && path.is_file());

    let arguments = json!({ "asset_id": id, "mode": "metadata" });
    let answer = desk.client.call_raw("view_output", arguments).await;
    assert_eq!(block(&answer, "image"), None);
    assert_eq!(answer["structuredContent"]["width"], 900);
}

#[tokio::test]
async fn a_sound_and_a_text_are_told_and_what_cannot_be_shown_says_where_it_is() {
    let mut desk = Desk::new().await;
    let sound = desk.keep(output("run", "a.wav"), &wav());
    let text = desk.keep(output("run", "a.txt"), "a red fox".as_bytes());
    let body = desk.keep(output("run", "a.glb"), b"glTF\x02\0\0\0");

    let seen = desk
        .client
        .call("view_output", json!({ "asset_id": sound }))
        .await;
    assert_eq!(
        (&seen["type"], &seen["duration"]),
        (&json!("audio"), &json!(1.0))
    );
    let seen = desk
        .client
        .call("view_output", json!({ "asset_id": text }))
        .await;
    assert_eq!(seen["text"], "a red fox");
    let broken = desk.keep(output("run", "cut.png"), b"\x89PNG\r\n\x1a\n");
    for (id, name) in [(body, "a.glb"), (broken, "cut.png")] {
        let seen = desk
            .client
            .call_raw("view_output", json!({ "asset_id": id }))
            .await;
        let facts = &seen["structuredContent"];
        assert!(facts["no_preview"].is_string(), "{seen}");
        assert!(facts["url"].as_str().unwrap().contains(name), "{seen}");
        assert!(block(&seen, "resource_link").is_some(), "{seen}");
        assert_eq!(block(&seen, "image"), None);
    }
    let unknown = desk
        .client
        .call_fails("view_output", json!({ "asset_id": "no" }))
        .await;
    assert_eq!(unknown["error"], "ASSET_NOT_FOUND_OR_EXPIRED");
    assert_eq!(unknown["asset_id"], "no");
}

#[tokio::test]
async fn a_file_of_this_machine_is_uploaded_once_under_a_name_made_of_its_contents() {
    let mut desk = Desk::new().await;
    let bytes = noise(20, 10, ImageFormat::Jpeg);
    let file = desk.home.project().join("photo.jpg");
    fs::write(&file, &bytes).unwrap();

    let arguments = json!({ "image_path": "photo.jpg" });
    let first = desk.client.call("upload_image", arguments).await;
    let again = desk
        .client
        .call("upload_image", json!({ "image_path": file }))
        .await;

    let name = first["name"].as_str().unwrap();
    assert_eq!(
        (&first["uploaded"], &again["uploaded"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(again["name"], name);
    assert_eq!(
        (&first["mime_type"], &first["width"]),
        (&json!("image/jpeg"), &json!(20))
    );
    assert_eq!(desk.input(name).await, bytes);

    let arguments = json!({ "image_path": file, "filename": "mine.jpg", "subfolder": "a/b" });
    let named = desk.client.call("upload_image", arguments).await;
    assert_eq!(named["name"], "a/b/mine.jpg");
}

#[tokio::test]
async fn an_asset_is_uploaded_in_place_of_a_file() {
    let mut desk = Desk::new().await;
    let id = desk.keep(output("run", "a.wav"), &wav());
    let uploaded = desk
        .client
        .call("upload_image", json!({ "asset_id": id }))
        .await;
    assert_eq!(uploaded["mime_type"], "audio/wav");
    assert_eq!(desk.input(uploaded["name"].as_str().unwrap()).await, wav());
}

#[tokio::test]
async fn nothing_but_media_leaves_this_machine_whatever_its_name() {
    let mut desk = Desk::new().await;
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n";
    let mut chance = vec![0xff, 0xfb];
    chance.extend_from_slice(key.as_bytes());
    for (name, bytes) in [
        ("id_rsa", key.as_bytes()),
        ("id_rsa.png", key.as_bytes()),
        ("a.mp3", &chance),
    ] {
        fs::write(desk.home.project().join(name), bytes).unwrap();
        let arguments = json!({ "image_path": name });
        let refused = desk.client.call_fails("upload_image", arguments).await;
        assert_eq!(refused["error"], "UNSUPPORTED_TYPE", "{name}: {refused}");
    }
    for missing in ["nothing.png", "/dev/null", "."] {
        let arguments = json!({ "image_path": missing });
        let refused = desk.client.call_fails("upload_image", arguments).await;
        assert_eq!(refused["error"], "SOURCE_NOT_FOUND", "{missing}");
    }
    let note = desk.keep(output("run", "note.txt"), key.as_bytes());
    let refused = desk
        .client
        .call_fails("upload_image", json!({ "asset_id": note }))
        .await;
    assert_eq!(refused["error"], "UNSUPPORTED_TYPE");
    let refused = desk.client.call_fails("upload_image", json!({})).await;
    assert_eq!(refused["error"], "INVALID_PARAMS");
}

#[tokio::test]
async fn a_templates_picture_may_be_an_asset_or_a_file_and_a_plain_name_stays() {
    let mut desk = Desk::new().await;
    let id = desk.keep_picture("one");
    desk.home.write("photos/readme.txt", "");
    fs::write(
        desk.home.project().join("photos/two.png"),
        noise(8, 8, ImageFormat::Png),
    )
    .unwrap();
    let address = format!("mmf://assets/{id}");
    let mut names = vec![];
    for given in [&id, &address, "photos/two.png", "uploaded_photo.png"] {
        let params = json!({ "IMAGE_PATH": given, "EDIT_PROMPT": "on the moon" });
        let arguments = json!({ "name": "qwen_edit_background", "params": params });
        let built = desk
            .client
            .call("create_workflow_from_template", arguments)
            .await;
        let nodes = built["workflow"].as_object().unwrap().values();
        let load = nodes.clone().find(|node| node["class_type"] == "LoadImage");
        names.push(
            load.unwrap()["inputs"]["image"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(names[0], names[1]);
    assert_eq!(
        desk.input(&names[0]).await,
        noise(900, 600, ImageFormat::Png)
    );
    assert_eq!(desk.input(&names[2]).await, noise(8, 8, ImageFormat::Png));
    assert_eq!(names[3], "uploaded_photo.png");

    let params = json!({ "IMAGE_PATH": "./missing.png", "EDIT_PROMPT": "on the moon" });
    let arguments = json!({ "name": "qwen_edit_background", "params": params });
    let refused = desk
        .client
        .call_fails("create_workflow_from_template", arguments)
        .await;
    assert_eq!(refused["error"], "SOURCE_NOT_FOUND");
    assert_eq!(refused["field"], "IMAGE_PATH");
}

#[tokio::test]
async fn a_template_run_from_the_shell_takes_a_file_as_well() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    fs::write(
        home.project().join("two.png"),
        noise(8, 8, ImageFormat::Png),
    )
    .unwrap();
    let run = ["run", "qwen_edit_background", "--IMAGE_PATH", "./two.png"];
    let rest = ["--EDIT_PROMPT", "on the moon", "--workflow"];
    let ran = home
        .mmf(run.into_iter().chain(rest))
        .server(&comfy.url())
        .run()
        .await
        .exits(0);
    let workflow = ran.json();
    let load = workflow
        .as_object()
        .unwrap()
        .values()
        .find(|node| node["class_type"] == "LoadImage");
    let name = load.unwrap()["inputs"]["image"].as_str().unwrap();
    let (status, _, bytes) = get_bytes(&comfy, &format!("/view?type=input&filename={name}")).await;
    assert_eq!((status, bytes), (200, noise(8, 8, ImageFormat::Png)));
}

#[tokio::test]
async fn an_asset_is_copied_to_a_file_and_never_over_one_unasked() {
    let mut desk = Desk::new().await;
    let id = desk.keep_picture("one");
    let copy = |path: &str, overwrite: bool| json!({ "asset_id": id, "output_path": path, "overwrite": overwrite });

    let copied = desk
        .client
        .call("download_output", copy("out/hero.png", false))
        .await;
    let path = Path::new(copied["path"].as_str().unwrap()).to_owned();
    assert_eq!(fs::read(&path).unwrap(), noise(900, 600, ImageFormat::Png));
    let into = desk
        .client
        .call("download_output", copy("out/", false))
        .await;
    assert!(into["path"].as_str().unwrap().ends_with("out/one.png"));

    desk.client
        .call("download_output", copy("~/from-home.png", false))
        .await;
    let from_home = desk.home.project().join("../from-home.png");
    assert!(from_home.is_file(), "~ is the home folder");

    fs::write(&path, "mine").unwrap();
    let refused = desk
        .client
        .call_fails("download_output", copy("out/hero.png", false))
        .await;
    assert_eq!(refused["error"], "FILE_EXISTS");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    desk.client
        .call("download_output", copy("out/hero.png", true))
        .await;
    assert_ne!(fs::read(&path).unwrap(), b"mine");

    for (wild, code) in [
        ("../hero.png", "PATH_TRAVERSAL"),
        ("/etc/hero.png", "FORBIDDEN_PATH"),
        (".git/hooks/hero.png", "FORBIDDEN_PATH"),
        ("out/.hero.png", "INVALID_FILENAME"),
        ("out/run.sh", "INVALID_FILENAME"),
        ("out/hero.mp4", "INVALID_FILENAME"),
        ("out/hero.jpg", "INVALID_FILENAME"),
    ] {
        let refused = desk
            .client
            .call_fails("download_output", copy(wild, true))
            .await;
        assert_eq!(refused["error"], code, "{wild}: {refused}");
    }
    let entries = fs::read_dir(desk.home.project().join("out")).unwrap();
    assert_eq!(entries.count(), 2, "nothing half written is left");
}

#[tokio::test]
async fn a_name_that_a_server_gave_is_not_trusted_because_it_is_the_assets_own() {
    let mut desk = Desk::new().await;
    let names = ["run.sh", "package.json", "noise.latent"];
    let [script, settings, latent] = names.map(|name| desk.keep(output(name, name), b"{}"));
    let into = |id: &str| json!({ "asset_id": id, "output_path": "out/", "overwrite": true });

    let refused = desk.client.call_fails("download_output", into(&script));
    assert_eq!(refused.await["error"], "INVALID_FILENAME");
    desk.client.call("download_output", into(&latent)).await;
    let theirs = desk.home.write("out/package.json", "theirs");
    let refused = desk.client.call_fails("download_output", into(&settings));
    assert_eq!(refused.await["error"], "FILE_EXISTS");
    assert_eq!(fs::read(theirs).unwrap(), b"theirs");
}

#[cfg(unix)]
#[tokio::test]
async fn a_copy_follows_no_link_out_of_the_project() {
    use std::os::unix::fs::symlink;

    let mut desk = Desk::new().await;
    let id = desk.keep_picture("one");
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), desk.home.project().join("link")).unwrap();
    let arguments = json!({ "asset_id": id, "output_path": "link/hero.png" });
    let refused = desk.client.call_fails("download_output", arguments).await;
    assert_eq!(refused["error"], "PATH_TRAVERSAL");
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, desk.home.project().join("hero.png")).unwrap();
    for overwrite in [false, true] {
        let arguments =
            json!({ "asset_id": id, "output_path": "hero.png", "overwrite": overwrite });
        desk.client.call_raw("download_output", arguments).await;
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn assets_are_listed_by_what_is_asked_for_and_tell_their_variations() {
    let mut desk = Desk::new().await;
    let first = desk.keep_picture("one");
    let variation = |name: &str| NewAsset {
        regenerated_from: Some(first.clone()),
        prompt: format!("a {name} dragon"),
        ..output(name, &format!("{name}.png"))
    };
    let second = desk.keep(variation("red"), &noise(8, 8, ImageFormat::Png));
    let third = desk.keep(variation("blue"), &wav());

    let listed = desk
        .client
        .call("list_assets", json!({ "text": "DRAGON red" }))
        .await;
    assert_eq!((&listed["count"], &listed["total"]), (&json!(1), &json!(1)));
    assert_eq!(listed["assets"][0]["asset_id"], second);
    let page = desk.client.call("list_assets", json!({ "limit": 2 })).await;
    assert_eq!(
        (&page["has_more"], &page["next"]),
        (&json!(true), &json!(second))
    );
    let rest = desk
        .client
        .call("list_assets", json!({ "before": page["next"] }))
        .await;
    assert_eq!(rest["assets"][0]["asset_id"], first);
    assert_eq!(rest["has_more"], false);

    for (tool, arguments, field) in [
        ("list_assets", json!({ "before": "yesterday" }), "before"),
        (
            "publish_asset",
            json!({ "asset_id": first, "target_filename": "x.png", "max_bytes": -1 }),
            "max_bytes",
        ),
    ] {
        let refused = desk.client.call_fails(tool, arguments).await;
        assert_eq!(refused["error"], "INVALID_PARAMS", "{refused:#}");
        assert_eq!(refused["fields"], json!([field]), "{refused:#}");
    }

    let of = |id: &str| json!({ "asset_id": id });
    let whole = desk.client.call("get_asset_metadata", of(&first)).await;
    assert_eq!(whole["regenerations"], json!([third, second]));
    assert_eq!(whole["workflow"], Value::Null);
    let whole = desk.client.call("get_asset_metadata", of(&second)).await;
    assert_eq!(whole["regenerated_from"], first);
}

#[tokio::test]
async fn a_pinned_asset_outlives_a_cleanup() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    // A lifetime that is over before anything can be asked.
    let serve = home
        .mmf(["serve"])
        .server(&comfy.url())
        .env("COMFY_MCP_ASSET_TTL_HOURS", "0.0003");
    let mut client = McpClient::greet(serve).await;
    let small = json!({ "PROMPT": "a fox", "WIDTH": 64, "HEIGHT": 64, "STEPS": 1 });
    let (_, prompt_id) = client.queue(small).await;
    let done = client.wait(&prompt_id).await;
    let id = done["outputs"][0]["asset_id"].as_str().unwrap();

    let pinned = client.call("pin_asset", json!({ "asset_id": id })).await;
    assert_eq!(
        (&pinned["pinned"], &pinned["expires_at"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        client.call("cleanup_expired_assets", json!({})).await["removed"],
        0
    );
    let unpinned = client
        .call("pin_asset", json!({ "asset_id": id, "pinned": false }))
        .await;
    let expires: jiff::Timestamp = unpinned["expires_at"].as_str().unwrap().parse().unwrap();
    while jiff::Timestamp::now() <= expires {
        tokio::task::yield_now().await;
    }
    let cleaned = client.call("cleanup_expired_assets", json!({})).await;
    assert_eq!(cleaned["removed"], 1);
    assert!(cleaned["bytes_freed"].as_u64().unwrap() > 0);
}
