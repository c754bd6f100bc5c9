//! From declared inputs to the real ones: what a dynamic combo's choice brings, the members of
//! an autogrow row.

use std::borrow::Cow;

use serde_json::Value;

use crate::comfy::nodes::{Dynamic, Input, NodeClass};

use super::python::{self, Exception};
use super::rules::Rules;

/// A real input of one node.
#[derive(Clone, Debug)]
pub struct Declared<'a> {
    /// The key under the node's `inputs`, with dots between the levels.
    pub name: Cow<'a, str>,
    /// What is declared about it.
    pub input: &'a Input,
    /// Whether the server refuses the node without it. (A member of an autogrow row may be
    /// optional where its template is not.)
    pub required: bool,
}

/// The real inputs of one node.
#[derive(Clone, Debug, Default)]
pub struct Expanded<'a> {
    /// In declared order.
    pub inputs: Vec<Declared<'a>>,
    /// Whether some input came from a dynamic one; the server shortens names then.
    pub is_dynamic: bool,
}

/// The inputs that a node of this class has when its `inputs` are these.
pub fn expand<'a>(
    class: &'a NodeClass,
    given: &Value,
    rules: &Rules,
) -> Result<Expanded<'a>, Exception> {
    let mut expanded = Expanded::default();
    expanded.inputs.reserve(class.inputs().len());
    for input in class.inputs() {
        let name = Cow::Borrowed(input.name());
        if rules.expands_dynamic_inputs() {
            expanded.add(
                given,
                Declared {
                    name,
                    input,
                    required: input.is_required(),
                },
            )?;
        } else {
            expanded.inputs.push(Declared {
                name,
                input,
                required: input.is_required(),
            });
        }
    }
    Ok(expanded)
}

impl<'a> Expanded<'a> {
    fn add(&mut self, given: &Value, declared: Declared<'a>) -> Result<(), Exception> {
        match declared.input.dynamic() {
            None => self.inputs.push(declared),
            Some(Dynamic::Combo(options)) => {
                if let Some(choice) = python::get(given, &declared.name)? {
                    let chosen = options
                        .iter()
                        .find(|option| python::equal(&option.key, choice));
                    if let Some(option) = chosen {
                        self.add_below(given, &declared.name, &option.inputs)?;
                        self.inputs.push(declared);
                    }
                }
            }
            Some(Dynamic::Slot(inputs)) => {
                if python::get(given, &declared.name)?.is_some() {
                    self.add_below(given, &declared.name, inputs)?;
                    self.inputs.push(declared);
                }
            }
            Some(Dynamic::Autogrow {
                template,
                names,
                min,
            }) => {
                self.is_dynamic = true;
                for (i, name) in names.iter().enumerate() {
                    let name = Cow::Owned(format!("{}.{name}", declared.name));
                    let required = i < *min && template.is_required();
                    let member = Declared {
                        name,
                        input: template,
                        required,
                    };
                    if template.dynamic().is_some() && python::get(given, &member.name)?.is_some() {
                        self.add(given, member.clone())?;
                    }
                    self.inputs.push(member);
                }
            }
        }
        Ok(())
    }

    fn add_below(
        &mut self,
        given: &Value,
        prefix: &str,
        inputs: &'a [Input],
    ) -> Result<(), Exception> {
        self.is_dynamic = true;
        for input in inputs {
            let name = Cow::Owned(format!("{prefix}.{}", input.name()));
            self.add(
                given,
                Declared {
                    name,
                    input,
                    required: input.is_required(),
                },
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::nodes::NodeFacts;
    use serde_json::json;

    fn names(class: &str, given: &Value, rules: &Rules) -> Vec<String> {
        let facts = NodeFacts::bundled();
        let expanded = expand(facts.class(class).unwrap(), given, rules).unwrap();
        expanded
            .inputs
            .iter()
            .map(|declared| declared.name.to_string())
            .collect()
    }

    #[test]
    fn a_dynamic_combo_brings_the_inputs_of_its_choice() {
        let rules = Rules::default();
        let given = json!({ "resize_type": "scale by multiplier" });
        let found = names("ResizeImageMaskNode", &given, &rules);
        assert!(
            found.contains(&"resize_type.multiplier".to_owned()),
            "{found:?}"
        );
        let found = names("ResizeImageMaskNode", &json!({}), &rules);
        assert!(
            !found.iter().any(|name| name.starts_with("resize_type")),
            "{found:?}"
        );
    }

    #[test]
    fn an_autogrow_row_has_all_its_members_and_requires_the_first() {
        let facts = NodeFacts::bundled();
        let class = facts.class("BatchImagesNode").unwrap();
        let expanded = expand(class, &json!({}), &Rules::default()).unwrap();
        let required: Vec<bool> = expanded.inputs.iter().map(|input| input.required).collect();
        assert_eq!(required.len(), 50);
        assert_eq!(required[..2], [true, false]);
        assert_eq!(expanded.inputs[49].name, "images.image49");
    }

    #[test]
    fn old_servers_know_no_dynamic_inputs() {
        assert_eq!(
            names("BatchImagesNode", &json!({}), &Rules::of("0.3.75")),
            ["images"]
        );
    }
}
