//! Which built-in fixer mends which finding: the file of that name in `scripts/fixers/`.

use super::finding::Finding;

/// By kind; each needs a suggestion.
const BY_KIND: [(&str, &str); 29] = [
    ("bad_linked_input", "broken_links"),
    ("broken_link", "broken_links"),
    ("custom_validation_failed", "output_folder"),
    ("return_type_mismatch", "broken_links"),
    ("value_not_in_list", "choices"),
    ("invalid_prompt", "classes"),
    ("missing_node_type", "classes"),
    ("negative_slot", "links"),
    ("required_input_missing", "missing"),
    ("misspelt_input", "misspelt_inputs"),
    ("no_inputs_object", "no_inputs"),
    ("prompt_no_outputs", "no_output"),
    ("frame_count", "numbers"),
    ("off_step", "numbers"),
    ("size_multiple", "numbers"),
    ("value_bigger_than_max", "numbers"),
    ("value_smaller_than_min", "numbers"),
    ("output_as_input", "output_folder"),
    ("replaced_class", "replaced_nodes"),
    ("missing_selector", "selectors"),
    ("unknown_selector", "selectors"),
    ("cfg_too_high", "settings"),
    ("cfg_too_low", "settings"),
    ("denoise_below_one", "settings"),
    ("mixed_families", "settings"),
    ("coerced_value", "types"),
    ("invalid_input_type", "types"),
    ("link_form", "links"),
    ("unknown_input", "unknown_inputs"),
];

/// The fixer that mends it, if one does.
pub(super) fn fixer_of(finding: &Finding) -> Option<&'static str> {
    let suggestion = &finding.suggestion;
    match finding.kind {
        // What is only in the way is taken out.
        "dangling_link" => return Some("broken_links"),
        "unknown_input" => return Some("unknown_inputs"),
        "undeclared_link" if finding.is_error() => return Some("broken_links"),
        "broken_link" if finding.allowed["optional"] == true => return Some("broken_links"),
        _ if suggestion.is_null() => return None,
        "value_not_in_list" if !finding.allowed["folder"].is_null() => return Some("model_paths"),
        "missing_node_type" | "invalid_prompt" if suggestion.is_object() => {
            return Some("replaced_nodes");
        }
        "link_form" if finding.received[0].is_number() && finding.received[1].is_u64() => {
            return Some("ids");
        }
        _ => {}
    }
    let known = BY_KIND.iter().find(|(kind, _)| *kind == finding.kind);
    known.map(|(_, fixer)| *fixer)
}
