//! Which class is meant by a name that the server does not have.

use serde_json::{Map, Value};

use super::suggest::{digits, plain};
use crate::comfy::nodes::{NodeClass, NodeFacts};

/// The class, if the name is a slip and nothing speaks against it: an editor's hint may be wrong,
/// but what is put in place of a class has to be able to do its work.
pub(super) fn meant<'f>(
    facts: &'f NodeFacts,
    name: &str,
    node: &Value,
    slots_used: u64,
) -> Option<&'f str> {
    let class = facts.class(facts.nearest(name)?)?;
    let is_spelled_so = [class.name(), class.display_name()]
        .iter()
        .any(|called| plain(called) == plain(name));
    let no_inputs = Map::new();
    let inputs = node.get("inputs").and_then(Value::as_object);
    let has_slots = class.outputs().len() as u64 >= slots_used;
    let fits = has_slots && takes(class, inputs.unwrap_or(&no_inputs));
    let is_meant = fits && (is_spelled_so || is_slip(class.name(), name));
    is_meant.then(|| class.name())
}

/// One or two letters, and never the number by which versions are told apart.
fn is_slip(class: &str, name: &str) -> bool {
    let most = if name.len() < 8 { 1 } else { 2 };
    let distance = strsim::damerau_levenshtein(&class.to_lowercase(), &name.to_lowercase());
    distance <= most && digits(class) == digits(name)
}

/// Whether a class has most of the inputs; one may be misspelt or left over.
fn takes(class: &NodeClass, inputs: &Map<String, Value>) -> bool {
    let is_known = |name: &&String| {
        class
            .input(name.split('.').next().unwrap_or(name))
            .is_some()
    };
    let known = inputs.keys().filter(is_known).count();
    let strange = inputs.len() - known;
    inputs.is_empty() || known > 0 && (strange <= 1 || known >= strange * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("KSampller", json!({ "seed": 1, "cfg": 5 }), 1, Some("KSampler"))]
    #[case("vae decode", json!({ "samples": ["1", 0] }), 1, Some("VAEDecode"))]
    #[case("VAEDecod", json!({ "samples": ["1", 0], "vae": ["2", 0], "junk": 1 }), 1, Some("VAEDecode"))]
    // Takes other inputs, or gives fewer outputs: it is not meant.
    #[case("KSampller", json!({ "text": "", "clip": ["1", 1] }), 1, None)]
    #[case("KSampller", json!({ "seed": 1 }), 2, None)]
    // Another version is another node.
    #[case("CLIPTextEncodeSD4", json!({}), 1, None)]
    #[case("SomethingElse", json!({}), 0, None)]
    fn a_slip_is_put_right_where_the_class_can_do_the_work(
        #[case] name: &str,
        #[case] inputs: Value,
        #[case] slots: u64,
        #[case] class: Option<&str>,
    ) {
        let facts = NodeFacts::bundled();
        let node = json!({ "class_type": name, "inputs": inputs });
        assert_eq!(meant(&facts, name, &node, slots), class);
    }
}
