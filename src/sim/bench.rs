//! The workbench at which a node runs: steps with progress and previews, faults, and the way to
//! the folders.

use std::io::Cursor;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use serde_json::{Map, Value as Json, json};

use super::executor::Run;
use super::folders::Folders;
use super::hub::PreviewFormat;
use super::node::{Raised, Server, SimNode};
use super::shape::ClassShape;
use super::value::Frame;

/// Previews are JPEG of this quality, as the real ones are.
const PREVIEW_QUALITY: u8 = 95;

pub(super) struct Bench<'r, 'a> {
    run: &'r mut Run<'a>,
    id: String,
    prompt: Json,
}

impl<'r, 'a> Bench<'r, 'a> {
    pub(super) fn new(run: &'r mut Run<'a>, id: &str) -> Self {
        let prompt = Json::Object(run.item.prompt.clone());
        Self {
            run,
            id: id.to_owned(),
            prompt,
        }
    }

    pub(super) fn shape(&self, class: &str) -> Arc<ClassShape> {
        self.run.world.catalog.shape(class)
    }

    pub(super) fn node(&self, class: &str) -> Arc<dyn SimNode> {
        self.run.world.catalog.behaviour(class)
    }

    pub(super) fn check_interrupt(&self) -> Result<(), Raised> {
        if self.run.world.interrupt.take() {
            Err(Raised::Interrupted)
        } else {
            Ok(())
        }
    }

    pub(super) fn fault(&self, class: &str) -> Option<Raised> {
        self.run.world.faults.raised(&self.id, class)
    }

    pub(super) fn report_block(&self, message: &str) {
        self.run.report_block(&self.id, message);
    }

    fn wants_previews(&self) -> bool {
        match self
            .run
            .item
            .extra_data
            .get("preview_method")
            .filter(|_| self.run.world.release.has_preview_method())
            .and_then(Json::as_str)
        {
            Some("none") => false,
            Some("auto" | "latent2rgb" | "taesd") => true,
            _ => self.run.world.options.previews,
        }
    }
}

impl Server for Bench<'_, '_> {
    fn step(
        &mut self,
        value: u64,
        max: u64,
        preview: Option<&dyn Fn() -> Frame>,
    ) -> Result<(), Raised> {
        let world = self.run.world;
        world
            .interrupt
            .wait(world.options.step_delay + world.faults.slow());
        self.check_interrupt()?;
        self.run
            .progress
            .update(&self.id, &self.run.graph, value, max);
        self.run.send_progress_state();
        let client = self.run.client();
        let picture = preview
            .filter(|_| self.wants_previews())
            .map(|paint| jpeg(&paint()));
        let with_metadata = world.hub.wants_metadata(client);
        if let Some(picture) = picture.as_deref().filter(|_| with_metadata) {
            let graph = &self.run.graph;
            let metadata = json!({
                "node_id": self.id,
                "prompt_id": self.run.item.id,
                "display_node_id": graph.display(&self.id),
                "parent_node_id": graph.parent(&self.id),
                "real_node_id": graph.real(&self.id),
                "image_type": "image/jpeg",
            });
            world
                .hub
                .send_preview_with_metadata(&metadata, picture, client);
        }
        let progress = json!({
            "value": value,
            "max": max,
            "prompt_id": self.run.item.id,
            "node": self.id,
        });
        world.hub.send("progress", &progress, client);
        if let Some(picture) = picture.as_deref().filter(|_| !with_metadata) {
            world.hub.send_preview(PreviewFormat::Jpeg, picture, client);
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // Nodes that report text pass no socket id, so everybody hears it.
        self.run.world.hub.send_text(&self.id, text, None);
    }

    fn folders(&self) -> &Folders {
        &self.run.world.folders
    }

    fn prompt(&self) -> &Json {
        &self.prompt
    }

    fn extra_data(&self) -> &Map<String, Json> {
        self.run.item.seen_by_nodes()
    }

    fn now(&self) -> jiff::Zoned {
        self.run
            .world
            .clock
            .now()
            .to_zoned(jiff::tz::TimeZone::system())
    }
}

fn jpeg(frame: &Frame) -> Vec<u8> {
    let pixels = image::DynamicImage::ImageRgba8((*frame.pixels()).clone()).into_rgb8();
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, PREVIEW_QUALITY);
    if let Err(error) = pixels.write_with_encoder(encoder) {
        tracing::warn!(%error, "a preview could not be encoded");
    }
    bytes.into_inner()
}
