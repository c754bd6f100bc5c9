//! All node classes of one server.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, LazyLock, OnceLock};

use flate2::read::GzDecoder;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::class::NodeClass;
use super::replacement::{REPLACEMENTS, Replacement};
use super::search::{Found, Index};
use crate::comfy::BigIntegers;
use crate::comfy::json::LenientJson;
use crate::failure::{Code, Failure};

/// The facts of `ComfyUI` 0.33.0 with its own nodes only and without model files; descriptions
/// and tooltips are left out.
const BUNDLED: &[u8] = include_bytes!("object_info-0.33.0.json.gz");

/// The server version whose facts are bundled.
pub const BUNDLED_VERSION: &str = "0.33.0";

/// No class has a longer name, and comparing takes time by the product of both lengths.
const LONGEST_NAME: usize = 200;

/// The node classes of one server, in the server's order.
///
/// Lists of choices, options and texts that are equal are kept once, so that the facts of a
/// server with thousands of classes fit in a few megabytes. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    classes: Vec<Arc<NodeClass>>,
    by_name: HashMap<Arc<str>, usize>,
    /// Bounds and the like that are beyond what [`Value`] holds exactly.
    big: BigIntegers,
    /// What the server itself says of old classes; none if it was not asked.
    replacements: Option<Arc<[Replacement]>>,
    /// Made when somebody searches.
    index: OnceLock<Arc<Index>>,
}

/// Why node facts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Not the JSON that `/object_info` answers.
    #[error("the server's answer is no node information: {0}")]
    Format(#[from] serde_json::Error),
}

impl From<FactsError> for Failure {
    fn from(error: FactsError) -> Self {
        Self::new(Code::CONNECTION_ERROR, error.to_string())
            .hint("check that the address is that of a ComfyUI server and not of a page before it")
    }
}

impl NodeFacts {
    /// Reads the answer of `/object_info`, or of `/object_info/{class}`, one class at a time.
    pub fn read(body: impl Read) -> Result<Self, FactsError> {
        let body = io::BufReader::new(LenientJson::new(body));
        Ok(serde_json::from_reader(body)?)
    }

    /// What `ComfyUI` 0.33.0 answers without custom nodes and without models.
    #[must_use]
    pub fn bundled() -> Arc<Self> {
        #[expect(
            clippy::expect_used,
            reason = "the bundled file is part of the program"
        )]
        static FACTS: LazyLock<Arc<NodeFacts>> = LazyLock::new(|| {
            let mut json = Vec::new();
            GzDecoder::new(BUNDLED)
                .read_to_end(&mut json)
                .expect("the bundled facts are whole");
            Arc::new(serde_json::from_slice(&json).expect("the bundled facts are node information"))
        });
        FACTS.clone()
    }

    /// The class of that exact name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&NodeClass> {
        self.by_name.get(name).map(|&at| &*self.classes[at])
    }

    /// All classes in the server's order.
    pub fn classes(&self) -> impl Iterator<Item = &NodeClass> {
        self.classes.iter().map(|class| &**class)
    }

    /// Their names in the same order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.classes().map(NodeClass::name)
    }

    /// How many classes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// With what the server says of old classes.
    #[must_use]
    pub fn with_replacements(mut self, replacements: Vec<Replacement>) -> Self {
        self.replacements = Some(replacements.into());
        self
    }

    /// What stands for a class that is gone.
    #[must_use]
    pub fn replacement(&self, old: &str) -> Option<&Replacement> {
        let known = self.replacements.as_deref().unwrap_or(&REPLACEMENTS);
        known.iter().find(|replacement| replacement.old == old)
    }

    /// The class whose name is most like `name`, if one is alike enough to be what was meant.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        if name.len() > LONGEST_NAME {
            return None;
        }
        let wanted = name.to_lowercase();
        let tolerated = (wanted.chars().count() / 3).max(1);
        self.classes()
            .flat_map(|class| [(class, class.name()), (class, class.display_name())])
            .map(|(class, called)| {
                let distance = strsim::damerau_levenshtein(&called.to_lowercase(), &wanted);
                (distance, class.name())
            })
            .filter(|(distance, _)| *distance <= tolerated)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name)
    }

    /// The classes that a query of one or more words means, the likeliest first and at most
    /// `limit` of them.
    #[must_use]
    pub fn search(&self, query: &str, limit: usize) -> Found<&NodeClass> {
        let index = self
            .index
            .get_or_init(|| Arc::new(Index::of(self.classes())));
        let end = query.char_indices().nth(LONGEST_NAME);
        let found = index.search(end.map_or(query, |(end, _)| &query[..end]), limit);
        Found {
            hits: found.hits.iter().map(|&at| &*self.classes[at]).collect(),
            total: found.total,
            corrected: found.corrected,
            all_words: found.all_words,
        }
    }

    /// What the server answers at `/object_info`.
    #[must_use]
    pub fn to_object_info(&self) -> Value {
        self.classes()
            .map(|class| (class.name().to_owned(), class.to_json()))
            .collect()
    }

    /// What the server answers at `/object_info/{class}`: `{}` for an unknown one.
    #[must_use]
    pub fn class_object_info(&self, name: &str) -> Value {
        match self.class(name) {
            Some(class) => json!({ name: class.to_json() }),
            None => json!({}),
        }
    }

    /// The whole numbers beyond 64 bits among what is known of the classes.
    #[must_use]
    pub fn big_integers(&self) -> &BigIntegers {
        &self.big
    }

    pub(super) fn note_big_integers(&mut self, text: &str) {
        self.big.add(text);
    }

    /// Adds a class, or puts it in place of the one that has its name.
    pub(super) fn insert(&mut self, class: NodeClass) {
        let class = Arc::new(class);
        self.index = OnceLock::new();
        if let Some(&at) = self.by_name.get(&class.name) {
            self.classes[at] = class;
        } else {
            self.by_name.insert(class.name.clone(), self.classes.len());
            self.classes.push(class);
        }
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.classes.shrink_to_fit();
        self.by_name.shrink_to_fit();
    }
}

/// Writes `/object_info`, one class at a time.
impl Serialize for NodeFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for class in self.classes() {
            map.serialize_entry(class.name(), &self.big.restore(&class.to_json()))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::nodes::{Dynamic, Input, Section};

    #[test]
    fn the_bundled_facts_know_the_core_nodes() {
        let facts = NodeFacts::bundled();
        assert_eq!(facts.len(), 886);
        let sampler = facts.class("KSampler").unwrap();
        let names: Vec<&str> = sampler.inputs().iter().map(Input::name).collect();
        assert_eq!(names[..3], ["model", "seed", "steps"]);
        assert_eq!(sampler.input("seed").unwrap().max(), Some(&json!(u64::MAX)));
        assert_eq!(sampler.outputs()[0].io_type().name(), "LATENT");
        assert!(!sampler.is_output_node());
        assert!(facts.class("SaveImage").unwrap().is_output_node());
    }

    #[test]
    fn what_goes_in_as_object_info_comes_out_again() {
        let given: Value = serde_json::from_reader(GzDecoder::new(BUNDLED)).unwrap();
        let answered = NodeFacts::bundled().to_object_info();
        for (name, class) in given.as_object().unwrap() {
            for (key, fact) in class.as_object().unwrap() {
                if key == "output_is_list" {
                    let lists = fact
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|list| *list == json!(true));
                    assert_eq!(
                        answered[name][key],
                        lists.collect::<Value>(),
                        "{name}.{key}"
                    );
                    continue;
                }
                if key != "input" {
                    assert_eq!(&answered[name][key], fact, "{name}.{key}");
                    continue;
                }
                for (section, specs) in fact.as_object().unwrap() {
                    for (input, spec) in specs.as_object().unwrap() {
                        let mut spec = spec.clone();
                        if section != "hidden" && spec.as_array().unwrap().len() == 1 {
                            spec.as_array_mut().unwrap().push(json!({}));
                        }
                        assert_eq!(
                            answered[name]["input"][section][input], spec,
                            "{name}.{input}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn equal_lists_are_kept_once() {
        let facts = NodeFacts::bundled();
        let choices = |class: &str| {
            let input = facts.class(class).unwrap().input("sampler_name").unwrap();
            input.choices().unwrap().as_ptr()
        };
        assert_eq!(choices("KSampler"), choices("KSamplerAdvanced"));
    }

    #[test]
    fn dynamic_inputs_know_what_they_bring() {
        let facts = NodeFacts::bundled();
        let images = facts
            .class("BatchImagesNode")
            .unwrap()
            .input("images")
            .unwrap();
        let Some(Dynamic::Autogrow {
            template,
            names,
            min,
        }) = images.dynamic()
        else {
            panic!("{images:?}");
        };
        assert_eq!(
            (template.io_type().name(), names.len(), *min),
            ("IMAGE", 50, 1)
        );
        assert_eq!(&*names[0], "image0");
        assert_eq!(template.section(), Section::Required);
    }

    #[test]
    fn a_mistyped_class_is_recognised() {
        let facts = NodeFacts::bundled();
        assert_eq!(facts.nearest("ksampler"), Some("KSampler"));
        assert_eq!(
            facts.nearest("CheckpointLoaderSimpel"),
            Some("CheckpointLoaderSimple")
        );
        assert_eq!(facts.nearest("Save Image"), Some("SaveImage"));
        assert_eq!(facts.nearest("SomethingElseEntirely42"), None);
    }

    #[test]
    fn an_unknown_class_has_no_object_info() {
        assert_eq!(NodeFacts::bundled().class_object_info("Nope"), json!({}));
    }

    #[test]
    fn a_page_instead_of_node_information_is_refused() {
        let error = NodeFacts::read(&b"<html>login</html>"[..]).unwrap_err();
        assert_eq!(Failure::from(error).code, Code::CONNECTION_ERROR);
    }
}
