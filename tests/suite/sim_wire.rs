//! The bytes on the wire, which must be those of aiohttp and Python.

use futures_util::StreamExt;
use tokio_tungstenite::connect_async;

use crate::support::sim::{CLIENT, fast, get_bytes};

#[tokio::test]
async fn answers_and_messages_are_json_as_python_writes_it() {
    let sim = fast().await;
    let (_, _, body) = get_bytes(&sim, "/prompt").await;
    assert_eq!(body, br#"{"exec_info": {"queue_remaining": 0}}"#);
    let url = format!("ws://{}/ws?clientId={CLIENT}", sim.addr());
    let (mut socket, _) = connect_async(url).await.unwrap();
    let greeting = socket.next().await.unwrap().unwrap();
    let status = r#"{"status": {"exec_info": {"queue_remaining": 0}}, "sid": "SID"}"#;
    assert_eq!(
        greeting.to_text().unwrap(),
        format!(r#"{{"type": "status", "data": {status}}}"#).replace("SID", CLIENT)
    );
}
