//! What the node types do. Those that handle pictures, texts and files really compute; samplers
//! and decoders make pictures out of a hash; everything else passes tokens on.

mod generic;
mod image;
mod latent;
mod mask;
mod media;
mod sampling;
mod save;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use super::node::{Call, Outcome, Raised, SimNode};

/// Behaviours by class.
type Behaviours = HashMap<String, Arc<dyn SimNode>>;

/// Gives several classes the same function.
fn plain(
    behaviours: &mut Behaviours,
    classes: &[&str],
    function: fn(&mut Call<'_>) -> Result<Outcome, Raised>,
) {
    for class in classes {
        behaviours.insert((*class).to_owned(), Arc::new(function));
    }
}

/// The same for functions that can't fail.
fn sure(behaviours: &mut Behaviours, classes: &[&str], function: fn(&mut Call<'_>) -> Outcome) {
    for class in classes {
        let node = move |call: &mut Call<'_>| Ok(function(call));
        behaviours.insert((*class).to_owned(), Arc::new(node));
    }
}

/// All behaviours that differ from the generic one.
pub(super) fn all() -> Behaviours {
    let mut behaviours = Behaviours::new();
    image::register(&mut behaviours);
    latent::register(&mut behaviours);
    mask::register(&mut behaviours);
    media::register(&mut behaviours);
    sampling::register(&mut behaviours);
    save::register(&mut behaviours);
    text::register(&mut behaviours);
    behaviours
}

/// What a class does that has no behaviour of its own.
pub(super) fn generic() -> Arc<dyn SimNode> {
    Arc::new(generic::Generic)
}

#[cfg(test)]
mod tests {
    use ::image::{Rgba, RgbaImage};
    use serde_json::{Map, Value as Json, json};

    use crate::comfy::nodes::NodeFacts;

    use super::super::folders::Folders;
    use super::super::node::{Inputs, Server};
    use super::super::shape::{ClassShape, InputShape};
    use super::super::value::{Audio, Content, Frame, Latent, Opaque, Value, Video};
    use super::*;

    /// A server with folders and nobody who listens.
    struct Quiet {
        folders: Folders,
        prompt: Json,
        extra_data: Map<String, Json>,
    }

    impl Server for Quiet {
        fn step(&mut self, _: u64, _: u64, _: Option<&dyn Fn() -> Frame>) -> Result<(), Raised> {
            Ok(())
        }
        fn text(&mut self, _: &str) {}
        fn folders(&self) -> &Folders {
            &self.folders
        }
        fn prompt(&self) -> &Json {
            &self.prompt
        }
        fn extra_data(&self) -> &Map<String, Json> {
            &self.extra_data
        }
        fn now(&self) -> jiff::Zoned {
            "2026-03-04T05:06:07[UTC]".parse().unwrap()
        }
    }

    fn some(input: &InputShape) -> Value {
        let frames = || {
            vec![Frame::from_pixels(RgbaImage::from_pixel(
                8,
                8,
                Rgba([9; 4]),
            ))]
        };
        let kind = input.kind.split(',').next().unwrap();
        match kind {
            "IMAGE" => Value::images(frames()),
            "MASK" => Value::masks(frames()),
            "LATENT" => Value::Latent(Arc::new(Latent {
                width: 16,
                height: 8,
                count: 1,
                content: Content::Empty,
                mask: None,
                seconds: 0.1,
                is_clip: false,
            })),
            "AUDIO" => Value::Audio(Arc::new(Audio {
                seconds: 0.1,
                sample_rate: 8000,
                digest: [1; 32],
                silent: false,
            })),
            "VIDEO" => Value::Video(Arc::new(Video {
                frames: Arc::new(frames()),
                fps: 8.0,
                audio: None,
                file: None,
            })),
            _ => match &input.default {
                Some(default) => Value::Json(default.clone()),
                None => Value::Opaque(Arc::new(Opaque {
                    kind: kind.to_owned(),
                    ..Opaque::default()
                })),
            },
        }
    }

    #[test]
    fn every_class_of_the_bundled_facts_gives_as_many_outputs_as_it_declares() {
        let mut server = Quiet {
            folders: Folders::open(None).unwrap(),
            prompt: json!({}),
            extra_data: Map::new(),
        };
        let behaviours = all();
        let facts = NodeFacts::bundled();
        for name in facts.names() {
            let shape = ClassShape::from_object_info(name, &facts.class_object_info(name)[name]);
            // The members of a growing input arrive under names of their own.
            let inputs: Inputs = shape
                .inputs
                .iter()
                .filter(|input| input.kind != "COMFY_AUTOGROW_V3")
                .map(|input| (input.name.clone(), some(input)))
                .collect();
            let mut call = Call {
                id: "1",
                shape: &shape,
                inputs,
                signature: [3; 32],
                server: &mut server,
            };
            let node = behaviours.get(name).cloned().unwrap_or_else(generic);
            match node.run(&mut call) {
                Ok(outcome) => assert_eq!(outcome.outputs.len(), shape.outputs.len(), "{name}"),
                // These want a file, and there is none.
                Err(raised) => {
                    let wants = matches!(&raised, Raised::Exception { kind, .. } if kind == "FileNotFoundError");
                    assert!(wants && name.starts_with("Load"), "{name}: {raised:?}");
                }
            }
        }
    }
}
