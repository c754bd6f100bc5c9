//! Tools judge a workflow by what the command line judges it by.

use massmediafactory::clock::Clock;
use massmediafactory::comfy::{Comfy, Folder, Server};
use massmediafactory::ids::Ids;
use serde_json::json;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};

#[tokio::test]
async fn a_picture_that_was_not_uploaded_is_missed_until_it_is() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let server = Server::parse(&comfy.url()).unwrap();
    let editor = Comfy::new(server, Ids::default(), Clock::default());
    let put = async |name: &str| {
        let bytes = &b"a picture"[..];
        let put = editor.upload(name, bytes, "", Folder::Input, false);
        put.await.unwrap();
    };
    put("there.png").await;
    let workflow = json!({
        "1": { "class_type": "LoadImage", "inputs": { "image": "late.png" } },
        "2": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
    });
    home.write("late.json", &workflow.to_string());
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let given = json!({ "workflow": workflow });

    let told = client.call("validate_workflow", given.clone()).await;
    assert_eq!(told["valid"], false, "{told}");
    assert_eq!(told["findings"][0]["type"], "custom_validation_failed");
    let ran = home.mmf(["validate", "late.json", "--nodes", &comfy.url(), "--json"]);
    let by_command = ran.run().await.exits(3).json();
    assert_eq!(by_command["findings"], told["findings"]);

    // Somebody uploads it in the editor, of which nobody tells.
    put("late.png").await;
    let told = client.call("validate_workflow", given).await;
    assert_eq!(told["valid"], true, "{told}");
}
