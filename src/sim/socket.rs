//! `GET /ws`: one connected client.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::hub::Delivery;
use super::routes::system::features;
use super::world::World;

pub(super) async fn connect(
    State(world): State<Arc<World>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let sid = query.get("clientId").filter(|sid| !sid.is_empty()).cloned();
    let sid = sid.unwrap_or_else(|| world.options.ids.random().replace('-', ""));
    upgrade.on_upgrade(move |socket| serve(world, sid, socket))
}

async fn serve(world: Arc<World>, sid: String, mut socket: WebSocket) {
    let (tx, mut deliveries) = mpsc::unbounded_channel();
    world.hub.connect(&sid, tx);
    let status = json!({ "status": world.queue.info(), "sid": sid });
    world.hub.send("status", &status, Some(&sid));
    if let Some(node) = world.current_node(&sid) {
        world
            .hub
            .send("executing", &json!({ "node": node }), Some(&sid));
    }
    let mut sent = 0;
    let mut is_first = true;
    loop {
        tokio::select! {
            delivery = deliveries.recv() => {
                let message = match delivery {
                    Some(Delivery::Text(text)) => Message::Text(text),
                    Some(Delivery::Binary(bytes)) => Message::Binary(bytes),
                    Some(Delivery::Cut) => break,
                    // Displaced by a later socket of the same id: still open, but nothing comes.
                    None => match socket.recv().await {
                        Some(Ok(_)) => continue,
                        _ => break,
                    },
                };
                if socket.send(message).await.is_err() {
                    break;
                }
                sent += 1;
                if world.faults.drops_after(sent) {
                    break;
                }
            }
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    // What is no JSON counts for nothing, not even as the first message.
                    if let Ok(message) = serde_json::from_str::<Json>(&text) {
                        if is_first
                            && message["type"] == "feature_flags"
                            && world.release.has_features()
                        {
                            world.hub.set_flags(&sid, &message["data"]);
                            world.hub.send("feature_flags", &features(world.release), Some(&sid));
                        }
                        is_first = false;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    world.hub.disconnect(&sid);
}
