//! What an editor would fill in.

use serde_json::{Map, Value};

use super::suggest::default_of;
use crate::comfy::nodes::{Dynamic, DynamicOption, Input, NodeClass};
use crate::comfy::validate::equal;

/// Adds the defaults of all required inputs that are not given; false if one has none.
pub fn fill(class: &NodeClass, given: &mut Map<String, Value>) -> bool {
    fill_below(class.name(), "", class.inputs(), given)
}

/// The same for the inputs that a dynamic combo's choice brings.
pub fn fill_below(
    class_type: &str,
    prefix: &str,
    inputs: &[Input],
    given: &mut Map<String, Value>,
) -> bool {
    inputs
        .iter()
        .filter(|input| input.is_required())
        .all(|input| {
            let name = format!("{prefix}{}", input.name());
            match input.dynamic() {
                None => has_or_gets(&name, || default_of(input, class_type), given),
                Some(Dynamic::Combo(options)) => {
                    let chosen = has_or_gets(&name, || first_key(input, options), given);
                    let option = options
                        .iter()
                        .find(|option| equal(&option.key, &given[&name]));
                    let below = format!("{name}.");
                    chosen
                        && option.is_some_and(|option| {
                            fill_below(class_type, &below, &option.inputs, given)
                        })
                }
                Some(Dynamic::Autogrow {
                    template,
                    names,
                    min,
                }) => {
                    let needed = names.iter().take(*min).filter(|_| template.is_required());
                    let mut all = needed.map(|part| format!("{name}.{part}"));
                    all.all(|name| given.contains_key(&name))
                }
                Some(Dynamic::Slot(_)) => given.contains_key(&name),
            }
        })
}

/// The choice that an editor begins with.
#[must_use]
pub fn first_key(input: &Input, options: &[DynamicOption]) -> Value {
    let first = || Some(options.first()?.key.clone());
    input.default().cloned().or_else(first).unwrap_or_default()
}

fn has_or_gets(name: &str, default: impl Fn() -> Value, given: &mut Map<String, Value>) -> bool {
    if given.contains_key(name) {
        return true;
    }
    let default = default();
    if default.is_null() {
        return false;
    }
    given.insert(name.to_owned(), default);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::nodes::NodeFacts;
    use serde_json::json;

    fn filled(class: &str, given: Value) -> Option<Value> {
        let facts = NodeFacts::bundled();
        let Value::Object(mut given) = given else {
            panic!("{given}");
        };
        fill(facts.class(class).unwrap(), &mut given).then_some(given.into())
    }

    #[test]
    fn what_a_choice_brings_is_filled_in_with_it() {
        assert_eq!(
            filled("SaveVideo", json!({ "video": ["1", 0] })),
            Some(json!({
                "video": ["1", 0], "filename_prefix": "video/ComfyUI", "format": "auto",
                "format.codec": "auto",
            }))
        );
    }

    #[test]
    fn what_has_to_be_linked_has_no_default() {
        assert_eq!(filled("SaveImage", json!({ "filename_prefix": "x" })), None);
        assert_eq!(filled("BatchImagesNode", json!({})), None);
    }
}
