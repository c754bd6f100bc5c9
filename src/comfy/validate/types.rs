//! Whether an output may be linked to an input.

use crate::comfy::nodes::{COMBO, IoType};

use super::rules::Rules;

const ANY: &str = "*";
const MATCH_TYPE: &str = "COMFY_MATCHTYPE_V3";

/// Whether the server lets an output of one type into an input of the other.
#[must_use]
pub fn fits(output: &IoType, input: &IoType, rules: &Rules) -> bool {
    if output == input {
        return true;
    }
    match (output, input) {
        (IoType::Named(output), IoType::Named(input)) => names_fit(output, input),
        (IoType::Choices(_), IoType::Named(input)) => {
            matches!(&**input, ANY | MATCH_TYPE) || (&**input == COMBO && rules.lists_fit_combos())
        }
        (IoType::Named(output), IoType::Choices(_)) => matches!(&**output, ANY | MATCH_TYPE),
        (IoType::Choices(_), IoType::Choices(_)) => false,
    }
}

/// Servers before 0.8.0 knew `*` only through a trick of their Python classes, which every node
/// that says `*` used; so it fits everything in all versions.
fn names_fit(output: &str, input: &str) -> bool {
    if output == MATCH_TYPE || input == MATCH_TYPE {
        return true;
    }
    let members = |name| str::split(name, ',').map(str::trim);
    members(output).any(|out| out == ANY || members(input).any(|inp| inp == ANY || inp == out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("IMAGE", "IMAGE", true)]
    #[case("IMAGE", "LATENT", false)]
    #[case("*", "LATENT", true)]
    #[case("IMAGE", "*", true)]
    #[case("INT", "FLOAT, INT", true)]
    #[case("IMAGE,MASK", "MASK,LATENT", true)]
    #[case("IMAGE", "COMFY_MATCHTYPE_V3", true)]
    #[case("image", "IMAGE", false)]
    fn named_types_fit_when_they_have_a_member_in_common(
        #[case] output: &str,
        #[case] input: &str,
        #[case] result: bool,
    ) {
        let [output, input] = [output, input].map(|name| IoType::Named(name.into()));
        assert_eq!(fits(&output, &input, &Rules::default()), result);
    }

    #[test]
    fn lists_fit_equal_lists_and_the_newer_combo() {
        let list = |items: serde_json::Value| match items {
            serde_json::Value::Array(items) => IoType::Choices(items.into()),
            other => panic!("{other}"),
        };
        let rules = Rules::default();
        let combo = IoType::Named(COMBO.into());
        assert!(fits(&list(json!(["a"])), &list(json!(["a"])), &rules));
        assert!(!fits(&list(json!(["a"])), &list(json!(["b"])), &rules));
        assert!(fits(&list(json!(["a"])), &combo, &rules));
        assert!(!fits(&combo, &list(json!(["a"])), &rules));
        assert!(!fits(&list(json!(["a"])), &combo, &Rules::of("0.3.75")));
    }
}
