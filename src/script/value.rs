//! The one way between JSON and Rhai.
//!
//! Rhai's own serde path turns whole numbers above 2^63-1 into floats, which would change the
//! seeds that `ComfyUI` draws, so the conversion is written out here. Whole numbers above 2^63-1
//! live in scripts as `u64`; everything else has its natural counterpart.

use rhai::{Array, Dynamic, FLOAT, INT, ImmutableString};
use serde_json::{Map, Number, Value, json};

use super::explain::type_word;
use super::handles::{Link, NodeHandle, WorkflowHandle};

/// How deep values may stand within each other: JSON of more than 128 levels is refused by many who
/// read it, and a value that is taken apart needs stack for every level.
const DEEPEST: usize = 120;

/// A value that has no counterpart in JSON, with the path that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is {}, which has no form outside of the script",
    if .path.is_empty() { "the value" } else { .path.trim_start_matches('.') },
    type_word(.ty)
)]
pub struct NotJson {
    /// The way to the value: `.nodes[2].size`.
    pub path: String,
    /// The Rhai type.
    pub ty: String,
}

/// JSON as a script sees it.
pub fn to_dynamic(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => value.into(),
        Value::Number(number) => number_to_dynamic(&number),
        Value::String(text) => text.into(),
        Value::Array(items) => items.into_iter().map(to_dynamic).collect::<Array>().into(),
        Value::Object(members) => map_to_dynamic(members).into(),
    }
}

/// A JSON object as a script sees it.
#[must_use]
pub fn map_to_dynamic(members: Map<String, Value>) -> rhai::Map {
    members
        .into_iter()
        .map(|(name, value)| (name.into(), to_dynamic(value)))
        .collect()
}

fn number_to_dynamic(number: &Number) -> Dynamic {
    if let Some(int) = number.as_i64() {
        Dynamic::from_int(int)
    } else if let Some(large) = number.as_u64() {
        Dynamic::from(large)
    } else {
        Dynamic::from_float(number.as_f64().unwrap_or(FLOAT::NAN))
    }
}

/// What a script made, as JSON. Nodes and links become `[id, slot]`, workflows their nodes.
pub fn from_dynamic(value: &Dynamic) -> Result<Value, NotJson> {
    convert(value, &mut String::new(), 0)
}

/// A script's map as a JSON object.
pub fn from_map(map: &rhai::Map) -> Result<Map<String, Value>, NotJson> {
    convert_map(map, &mut String::new(), 0)
}

fn convert(value: &Dynamic, path: &mut String, depth: usize) -> Result<Value, NotJson> {
    if depth > DEEPEST {
        return Err(NotJson {
            path: path.clone(),
            ty: format!("within more than {DEEPEST} others"),
        });
    }
    // A value that a closure has captured stands behind a lock.
    if value.is_shared() {
        return convert(&value.flatten_clone(), path, depth);
    }
    if value.is_unit() {
        Ok(Value::Null)
    } else if let Ok(value) = value.as_bool() {
        Ok(value.into())
    } else if let Ok(value) = value.as_int() {
        Ok(value.into())
    } else if let Ok(value) = value.as_float() {
        // JSON has neither NaN nor infinities; ComfyUI's own front end sends null for them.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    } else if let Ok(value) = value.as_immutable_string_ref() {
        Ok(value.as_str().into())
    } else if let Ok(value) = value.as_char() {
        Ok(value.to_string().into())
    } else if let Ok(items) = value.as_array_ref() {
        convert_items(&items, path, depth)
    } else if let Ok(map) = value.as_map_ref() {
        convert_map(&map, path, depth).map(Value::Object)
    } else {
        convert_own(value).ok_or_else(|| NotJson {
            path: path.clone(),
            ty: value
                .type_name()
                .rsplit("::")
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

fn convert_items(items: &[Dynamic], path: &mut String, depth: usize) -> Result<Value, NotJson> {
    let length = path.len();
    let mut converted = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        path.extend(["[", &i.to_string(), "]"]);
        converted.push(convert(item, path, depth + 1)?);
        path.truncate(length);
    }
    Ok(converted.into())
}

fn convert_map(
    map: &rhai::Map,
    path: &mut String,
    depth: usize,
) -> Result<Map<String, Value>, NotJson> {
    let length = path.len();
    let mut converted = Map::with_capacity(map.len());
    for (name, value) in map {
        path.push('.');
        path.push_str(name);
        converted.insert(name.to_string(), convert(value, path, depth + 1)?);
        path.truncate(length);
    }
    Ok(converted)
}

/// The types that only scripts of ours have.
fn convert_own(value: &Dynamic) -> Option<Value> {
    if let Some(large) = value.read_lock::<u64>() {
        Some((*large).into())
    } else if let Some(link) = value.read_lock::<Link>() {
        Some(link.to_json())
    } else if let Some(node) = value.read_lock::<NodeHandle>() {
        Some(json!([node.id(), 0]))
    } else {
        let workflow = value.read_lock::<WorkflowHandle>()?;
        Some(workflow.snapshot().into_json())
    }
}

/// A text as scripts hold it.
#[must_use]
pub fn text(value: &str) -> ImmutableString {
    value.into()
}

/// A count as scripts hold it.
#[must_use]
pub fn int(value: usize) -> INT {
    INT::try_from(value).unwrap_or(INT::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rhai::FnPtr;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has finite numbers", |x| x.is_finite())
                .prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,6}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_comes_back_from_a_script_as_it_went_in(value in any_json()) {
            prop_assert_eq!(from_dynamic(&to_dynamic(value.clone())).unwrap(), value);
        }
    }

    #[test]
    fn what_cannot_leave_is_named_with_its_path() {
        let mut map = rhai::Map::new();
        let callback = Dynamic::from(FnPtr::new("f").unwrap());
        map.insert("steps".into(), vec![Dynamic::ONE, callback].into());
        let error = from_dynamic(&map.into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "steps[1] is a function, which has no form outside of the script"
        );
    }
}
