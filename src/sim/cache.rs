//! Results kept between prompts. A node's result is found again by its signature: a hash over its
//! class, its constants and the signatures of everything it is linked to, but not over node ids,
//! so that the same work under other ids counts as done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::graph::{Graph, link};
use super::value::Value;

/// How long results are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Until memory runs short, as `ComfyUI` 0.23 and later do by default.
    #[default]
    Pressure,
    /// Only those that the last prompt could use, as earlier versions and `--cache-classic` do.
    Classic,
    /// Not at all beyond the prompt, as `--cache-none` does.
    None,
}

/// More than this many bytes of results count as running short of memory.
const PRESSURE_BYTES: usize = 256 << 20;

/// What executing a node left.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Per output slot the members that flow on.
    pub(super) outputs: Arc<Vec<Vec<Value>>>,
    /// `{"meta": {...}, "output": {...}}`, if there is something to show.
    pub(super) ui: Option<Arc<Json>>,
}

/// A hash that stands for a node's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    pub(super) hash: [u8; 32],
    /// False if nothing may be found again by it, because it contains something unknowable such as
    /// a link to nowhere.
    pub(super) keeps: bool,
}

/// What signatures need to know about classes.
pub(super) trait Traits {
    /// The node's id is part of its work.
    fn is_bound_to_id(&self, class: &str) -> bool;
    /// See [`super::node::SimNode::changed`].
    fn changed(&self, class: &str, inputs: &Map<String, Json>) -> Option<String>;
}

/// All results by signature.
#[derive(Debug, Default)]
pub(super) struct Cache {
    caching: Caching,
    entries: HashMap<[u8; 32], Kept>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    used: u64,
    bytes: usize,
}

impl Cache {
    pub(super) fn new(caching: Caching) -> Self {
        Self {
            caching,
            ..Self::default()
        }
    }

    /// Lets go of what a prompt with these signatures can't use, as far as the caching says so.
    pub(super) fn begin(&mut self, signatures: &HashMap<String, Signature>) {
        let keep: HashSet<[u8; 32]> = match self.caching {
            Caching::Pressure => return,
            Caching::None => HashSet::new(),
            Caching::Classic => signatures
                .values()
                .filter(|one| one.keeps)
                .map(|one| one.hash)
                .collect(),
        };
        self.entries.retain(|hash, _| keep.contains(hash));
        self.bytes = self.entries.values().map(|kept| kept.bytes).sum();
    }

    pub(super) fn get(&mut self, signature: &Signature) -> Option<Entry> {
        if !signature.keeps {
            return None;
        }
        self.clock += 1;
        let kept = self.entries.get_mut(&signature.hash)?;
        kept.used = self.clock;
        Some(kept.entry.clone())
    }

    pub(super) fn put(&mut self, signature: &Signature, entry: Entry) {
        if !signature.keeps {
            return;
        }
        let bytes = 512
            + entry
                .outputs
                .iter()
                .flatten()
                .map(Value::weight)
                .sum::<usize>();
        self.clock += 1;
        self.bytes += bytes;
        let kept = Kept {
            entry,
            used: self.clock,
            bytes,
        };
        if let Some(old) = self.entries.insert(signature.hash, kept) {
            self.bytes -= old.bytes;
        }
        while self.bytes > PRESSURE_BYTES && self.entries.len() > 1 {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, kept)| kept.used)
                .map(|(hash, _)| *hash);
            let Some(removed) = oldest.and_then(|hash| self.entries.remove(&hash)) else {
                break;
            };
            self.bytes -= removed.bytes;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.caching);
    }
}

/// Computes the signatures of `id` and all that it is linked to, without recursion, because a
/// chain of nodes may be longer than the stack is deep.
pub(super) fn sign(
    id: &str,
    graph: &Graph,
    traits: &dyn Traits,
    known: &mut HashMap<String, Signature>,
) -> Signature {
    let mut stack = vec![(id.to_owned(), false)];
    let mut open: HashSet<String> = HashSet::new();
    while let Some((id, ready)) = stack.pop() {
        if known.contains_key(&id) {
            continue;
        }
        if ready {
            open.remove(&id);
            let signature = sign_one(&id, graph, traits, known);
            known.insert(id, signature);
            continue;
        }
        open.insert(id.clone());
        stack.push((id.clone(), true));
        let links = graph
            .inputs(&id)
            .into_iter()
            .flat_map(Map::values)
            .filter_map(link);
        for (from, _) in links {
            // A link back into an open node closes a cycle, which has no signature.
            if !known.contains_key(from) && !open.contains(from) && graph.has(from) {
                stack.push((from.to_owned(), false));
            }
        }
        if let Some(parent) = graph.parent(&id)
            && !known.contains_key(parent)
            && !open.contains(parent)
        {
            stack.push((parent.to_owned(), false));
        }
    }
    known.get(id).copied().unwrap_or(Signature {
        hash: [0; 32],
        keeps: false,
    })
}

fn sign_one(
    id: &str,
    graph: &Graph,
    traits: &dyn Traits,
    known: &HashMap<String, Signature>,
) -> Signature {
    let class = graph.class(id);
    let mut hasher = blake3::Hasher::new();
    let mut keeps = true;
    part(&mut hasher, class.as_bytes());
    if traits.is_bound_to_id(class) {
        part(&mut hasher, id.as_bytes());
    }
    let Some(inputs) = graph.inputs(id) else {
        return Signature {
            hash: *hasher.finalize().as_bytes(),
            keeps: false,
        };
    };
    if let Some(changed) = traits.changed(class, inputs) {
        part(&mut hasher, changed.as_bytes());
    }
    if let Some(parent) = graph.parent(id).and_then(|parent| known.get(parent)) {
        part(&mut hasher, &parent.hash);
        keeps &= parent.keeps;
    }
    let mut names: Vec<(&String, &Json)> = inputs.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    for (name, value) in names {
        part(&mut hasher, name.as_bytes());
        if let Some((from, slot)) = link(value) {
            let from = known.get(from).copied();
            keeps &= from.is_some_and(|from| from.keeps);
            part(&mut hasher, &from.map_or([0; 32], |from| from.hash));
            part(&mut hasher, &slot.to_le_bytes());
        } else {
            let mut value = value.clone();
            value.sort_all_objects();
            part(&mut hasher, value.to_string().as_bytes());
        }
    }
    Signature {
        hash: *hasher.finalize().as_bytes(),
        keeps,
    }
}

/// Adds one part with its length, so that no two lists of parts hash alike.
fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Plain;

    impl Traits for Plain {
        fn is_bound_to_id(&self, _: &str) -> bool {
            false
        }
        fn changed(&self, _: &str, _: &Map<String, Json>) -> Option<String> {
            None
        }
    }

    fn signature(prompt: &Json, id: &str) -> Signature {
        let graph = Graph::new(prompt.as_object().unwrap().clone());
        sign(id, &graph, &Plain, &mut HashMap::new())
    }

    #[test]
    fn a_signature_sees_upstream_values_but_no_ids() {
        let prompt = |seed: u64, up: &str| {
            json!({
                up: { "class_type": "Load", "inputs": { "seed": seed } },
                "2": { "class_type": "Save", "inputs": { "images": [up, 0] } },
            })
        };
        let one = signature(&prompt(1, "1"), "2");
        assert_eq!(one, signature(&prompt(1, "77"), "2"));
        assert_ne!(one, signature(&prompt(2, "1"), "2"));
        assert!(one.keeps);
    }

    #[test]
    fn nothing_is_found_again_behind_a_cycle_or_a_link_to_nowhere() {
        let cycle = json!({
            "7": { "class_type": "A", "inputs": { "x": ["8", 0] } },
            "8": { "class_type": "A", "inputs": { "x": ["7", 0] } },
            "9": { "class_type": "A", "inputs": { "x": ["99", 0] } },
        });
        for id in ["7", "8", "9"] {
            assert!(!signature(&cycle, id).keeps, "{id}");
        }
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_nodes_is_signed() {
        let mut nodes = Map::new();
        nodes.insert("0".to_owned(), json!({ "class_type": "A", "inputs": {} }));
        for n in 1..100_000 {
            let inputs = json!({ "x": [(n - 1).to_string(), 0] });
            nodes.insert(
                n.to_string(),
                json!({ "class_type": "A", "inputs": inputs }),
            );
        }
        assert!(signature(&Json::Object(nodes), "99999").keeps);
    }
}
