//! What the server says of itself and its machine.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::super::release::Release;
use super::super::world::World;
use super::{models, reply};

/// Bytes that the system keeps for itself on an idle graphics card.
const VRAM_IN_USE: u64 = 600 << 20;

/// Bytes that a model's work takes.
const WORK: u64 = 2 << 30;

pub(super) async fn stats(State(world): State<Arc<World>>) -> Response {
    let options = &world.options;
    let held = held(&world);
    let vram_free = options.vram_total.saturating_sub(VRAM_IN_USE + held);
    let previews = if options.previews { "auto" } else { "none" };
    let release = world.release;
    let mut stats = json!({
        "system": {
            "os": if release.has_manager() { "linux" } else { "posix" },
            "ram_total": options.ram_total,
            "ram_free": options.ram_total / 4 * 3,
            "comfyui_version": options.version,
            "required_frontend_version": "1.49.6",
            "installed_templates_version": null,
            "required_templates_version": "0.11.0",
            "comfy_package_versions": [],
            "python_version": "3.13.5 (main, Jun 25 2025, 18:55:22) [GCC 14.2.0]",
            "pytorch_version": "2.12.0+cu130",
            "embedded_python": false,
            "deploy_environment": "local-git",
            "argv": ["main.py", "--preview-method", previews],
        },
        "devices": [{
            "name": "cuda:0 Simulated GPU : cudaMallocAsync",
            "type": "cuda",
            "index": 0,
            "vram_total": options.vram_total,
            "vram_free": vram_free,
            "torch_vram_total": held,
            "torch_vram_free": 0,
        }],
    });
    if let Some(system) = stats["system"].as_object_mut() {
        if !release.lists_packages() {
            system.shift_remove("comfy_package_versions");
        }
        if !release.demands_uuids() {
            system.shift_remove("deploy_environment");
        }
    }
    reply::json(&stats)
}

/// What the model of the running prompt and its work take of the card, as far as there is room.
fn held(world: &World) -> u64 {
    let (running, _) = world.queue.items();
    let prompts = running.iter().map(|item| models::largest(&item.prompt));
    let needed = prompts.max().unwrap_or(0);
    let room = world.options.vram_total.saturating_sub(VRAM_IN_USE);
    if needed == 0 {
        0
    } else {
        (needed + WORK).min(room)
    }
}

/// The server's flags.
pub(in super::super) fn features(release: Release) -> Json {
    let mut features = json!({ "supports_preview_metadata": true, "max_upload_size": 100 << 20 });
    if release.has_manager() {
        features["extension"] = json!({ "manager": { "supports_v4": true } });
    }
    if release.has_node_replacements() {
        features["node_replacements"] = json!(true);
    }
    if release.has_assets_switch() {
        features["assets"] = json!(false);
    }
    features
}

pub(super) async fn get_features(State(world): State<Arc<World>>) -> Response {
    reply::json(&features(world.release))
}

pub(super) async fn extensions() -> Response {
    reply::json(&json!([]))
}
