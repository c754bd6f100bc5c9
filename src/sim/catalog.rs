//! The node types: what the facts declare about a class, and what it does here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;

use crate::comfy::nodes::{INPUT_FOLDER, NodeFacts};

use super::node::SimNode;
use super::nodes;
use super::options::SimOptions;
use super::python_json;
use super::shape::ClassShape;
use super::sync::lock;

pub(super) struct Catalog {
    facts: NodeFacts,
    shapes: Mutex<HashMap<String, Arc<ClassShape>>>,
    offer: Mutex<Option<Arc<Offer>>>,
    behaviours: HashMap<String, Arc<dyn SimNode>>,
    generic: Arc<dyn SimNode>,
}

/// The classes with the files that there are to choose from.
pub(super) struct Offer {
    files: Vec<String>,
    pub(super) facts: NodeFacts,
    /// Megabytes, so that they are written once for all who ask.
    written: OnceLock<Bytes>,
}

impl Offer {
    /// The body of `GET /object_info`.
    pub(super) fn written(&self) -> serde_json::Result<Bytes> {
        if let Some(written) = self.written.get() {
            return Ok(written.clone());
        }
        let written = Bytes::from(python_json::to_vec(&self.facts)?);
        Ok(self.written.get_or_init(|| written).clone())
    }
}

impl Catalog {
    pub(super) fn new(options: &SimOptions) -> Self {
        let facts = options.facts.clone().unwrap_or_else(NodeFacts::bundled);
        let mut behaviours = nodes::all();
        behaviours.extend(options.nodes.iter().cloned());
        Self {
            facts: (*facts).clone().with_model_files(&options.models),
            shapes: Mutex::default(),
            offer: Mutex::default(),
            behaviours,
            generic: nodes::generic(),
        }
    }

    pub(super) fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// The facts with the files that have been uploaded so far; the same until there are others.
    pub(super) fn offer(&self, files: Vec<String>) -> Arc<Offer> {
        let mut offer = lock(&self.offer);
        if let Some(offer) = offer.as_ref().filter(|offer| offer.files == files) {
            return offer.clone();
        }
        let folders = BTreeMap::from([(INPUT_FOLDER.to_owned(), files.clone())]);
        let new = Arc::new(Offer {
            files,
            facts: self.facts.clone().with_model_files(&folders),
            written: OnceLock::new(),
        });
        *offer = Some(new.clone());
        new
    }

    /// What a class declares; nothing at all for an unknown one.
    pub(super) fn shape(&self, class: &str) -> Arc<ClassShape> {
        let mut shapes = lock(&self.shapes);
        if let Some(shape) = shapes.get(class) {
            return shape.clone();
        }
        let info = self.facts.class_object_info(class);
        let shape = Arc::new(ClassShape::from_object_info(class, &info[class]));
        if self.facts.class(class).is_some() {
            shapes.insert(class.to_owned(), shape.clone());
        }
        shape
    }

    /// What a class does, if it has a behaviour of its own.
    pub(super) fn node(&self, class: &str) -> Option<&Arc<dyn SimNode>> {
        self.behaviours.get(class)
    }

    /// What a class does.
    pub(super) fn behaviour(&self, class: &str) -> Arc<dyn SimNode> {
        self.node(class).unwrap_or(&self.generic).clone()
    }
}
