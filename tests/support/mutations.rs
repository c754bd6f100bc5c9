//! Workflows made wrong in every way that the server's validator tells apart, by chance and yet the
//! same each time.

use massmediafactory::comfy::nodes::{Input, NodeFacts};
use serde_json::{Map, Value, json};

/// Numbers by chance that are the same for the same seed (`SplitMix64`).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    pub(crate) fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// What stands for JSON that `serde_json` can't hold: a number of any size, two keys alike.
const RAW: &str = "RAW:";

/// Everything that can be done to a workflow.
pub(crate) const KINDS: [&str; 31] = [
    "drop_input",
    "drop_all_inputs",
    "odd_value",
    "odd_number_text",
    "below_min",
    "above_max",
    "at_a_bound",
    "big_number",
    "bad_choice",
    "other_choice",
    "null",
    "wrapped",
    "list_of_another_length",
    "odd_list",
    "dangling_link",
    "swapped_link",
    "self_link",
    "cycle",
    "slot_out_of_range",
    "slot_odd",
    "id_as_number",
    "link_to_value",
    "unknown_input",
    "undeclared_link",
    "unknown_class",
    "missing_class",
    "odd_class",
    "odd_inputs",
    "odd_node",
    "no_outputs",
    "duplicated_id",
];

/// A workflow that is wrong, as the text of a request.
pub(crate) struct Mutant {
    pub(crate) kinds: Vec<&'static str>,
    /// The prompt alone.
    pub(crate) text: String,
}

/// Does one to three things to a workflow.
pub(crate) fn mutant(facts: &NodeFacts, base: &Value, first: usize, chance: &mut Chance) -> Mutant {
    let mut nodes = base.as_object().unwrap().clone();
    let mut kinds = vec![KINDS[first % KINDS.len()]];
    for _ in 0..[0, 0, 0, 1, 1, 2][chance.below(6)] {
        kinds.push(chance.of(&KINDS).unwrap());
    }
    for kind in &kinds {
        mutate(facts, &mut nodes, kind, chance);
    }
    Mutant {
        kinds,
        text: written(&Value::Object(nodes)),
    }
}

fn mutate(facts: &NodeFacts, nodes: &mut Map<String, Value>, kind: &str, chance: &mut Chance) {
    let ids: Vec<String> = nodes.keys().cloned().collect();
    let Some(id) = chance.of(&ids).cloned() else {
        return;
    };
    let Some(node) = nodes.get_mut(&id).and_then(Value::as_object_mut) else {
        return;
    };
    let class = node.get("class_type").and_then(Value::as_str);
    let class = class.and_then(|class| facts.class(class));
    match kind {
        "unknown_class" => {
            node.insert("class_type".into(), json!("NoSuchNode"));
        }
        "missing_class" => {
            node.shift_remove("class_type");
        }
        "odd_class" => {
            node.insert("class_type".into(), odd(chance));
        }
        "odd_inputs" => {
            let odd = [json!([]), json!(["a"]), json!("x"), json!(5), Value::Null];
            match chance.below(6) {
                5 => node.shift_remove("inputs"),
                at => node.insert("inputs".into(), odd[at].clone()),
            };
        }
        "odd_node" => {
            nodes.insert(id, odd(chance));
        }
        "no_outputs" => nodes.retain(|_, node| {
            let class = node["class_type"]
                .as_str()
                .and_then(|class| facts.class(class));
            class.is_none_or(|class| !class.is_output_node())
        }),
        "duplicated_id" => {
            let text = format!("{RAW}{}", Value::Object(node.clone()));
            nodes.insert(format!("{RAW}{id}"), text.into());
        }
        "drop_all_inputs" => {
            node.insert("inputs".into(), json!({}));
        }
        _ => {
            let Some(inputs) = node.get_mut("inputs").and_then(Value::as_object_mut) else {
                return;
            };
            let declared: Vec<&Input> = class
                .map(|class| class.inputs().iter().collect())
                .unwrap_or_default();
            input(inputs, &declared, &id, &ids, kind, chance);
        }
    }
}

fn input(
    inputs: &mut Map<String, Value>,
    declared: &[&Input],
    id: &str,
    ids: &[String],
    kind: &str,
    chance: &mut Chance,
) {
    let is_number = |input: &&&Input| input.io_type().is("INT") || input.io_type().is("FLOAT");
    let numbers: Vec<&Input> = declared.iter().filter(is_number).copied().collect();
    let combos: Vec<&Input> = declared
        .iter()
        .filter(|input| input.is_combo())
        .copied()
        .collect();
    let names: Vec<String> = inputs.keys().cloned().collect();
    let links: Vec<String> = names
        .iter()
        .filter(|name| inputs[*name].is_array())
        .cloned()
        .collect();
    let any = chance.of(&names).cloned();
    let number = chance.of(&numbers).copied();
    let combo = chance.of(&combos).copied();
    let link = chance.of(&links).cloned();
    let other = chance.of(ids).cloned().unwrap_or_default();
    let mut put = |name: Option<String>, value: Value| {
        if let Some(name) = name {
            inputs.insert(name, value);
        }
    };
    let name_of = |input: Option<&Input>| input.map(|input| input.name().to_owned());
    match kind {
        "drop_input" => {
            if let Some(name) = any {
                inputs.shift_remove(&name);
            }
        }
        "odd_value" => put(any, odd(chance)),
        "odd_number_text" => put(name_of(number).or(any), number_text(chance)),
        "below_min" => put(
            name_of(number),
            number.map_or(Value::Null, |input| beyond(input.min(), -1, chance)),
        ),
        "above_max" => put(
            name_of(number),
            number.map_or(Value::Null, |input| beyond(input.max(), 1, chance)),
        ),
        "at_a_bound" => {
            let bound = number.and_then(|input| {
                if chance.below(2) == 0 {
                    input.min()
                } else {
                    input.max()
                }
            });
            put(name_of(number), bound.cloned().unwrap_or(json!(1)));
        }
        "big_number" => put(name_of(number).or(any), big(chance)),
        "bad_choice" => {
            let odd = [
                json!("no such choice"),
                json!(""),
                json!(5),
                json!(1.5),
                json!(true),
                json!(["a", "b"]),
                json!({}),
            ];
            put(name_of(combo).or(any), chance.of(&odd).unwrap().clone());
        }
        "other_choice" => {
            let choices = combo.and_then(Input::choices).unwrap_or_default();
            put(
                name_of(combo),
                chance.of(choices).cloned().unwrap_or(json!("x")),
            );
        }
        "null" => put(any, Value::Null),
        "wrapped" => {
            let value = any.as_ref().and_then(|name| inputs.get(name)).cloned();
            let inner = if chance.below(3) == 0 {
                odd(chance)
            } else {
                value.unwrap_or_default()
            };
            if let Some(name) = any {
                inputs.insert(name, json!({ "__value__": inner }));
            }
        }
        "unknown_input" => put(Some("no_such_input".into()), odd(chance)),
        "undeclared_link" => {
            let id = if chance.below(2) == 0 {
                "99999"
            } else {
                &*other
            };
            put(Some("no_such_input".into()), json!([id, 0]));
        }
        "list_of_another_length" | "odd_list" => put(any, link_value(kind, id, &other, chance)),
        "link_to_value" => put(link, odd(chance)),
        _ => put(link.or(any), link_value(kind, id, &other, chance)),
    }
}

fn odd(chance: &mut Chance) -> Value {
    let odd = [
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(7),
        json!(3.7),
        json!(-0.0),
        json!(1e300),
        json!(""),
        json!("12"),
        json!("false"),
        json!("it's \"so\" \\ é\u{200b}"),
        json!({}),
        json!({ "a": [1, null] }),
        json!([]),
        json!({ "__value__": { "__value__": 3 } }),
    ];
    chance.of(&odd).unwrap().clone()
}

fn number_text(chance: &mut Chance) -> Value {
    const TEXTS: [&str; 29] = [
        "12",
        " 12 ",
        "\t12\n",
        "1_000",
        "1__0",
        "_1",
        "1_",
        "+5",
        "-5",
        "-0",
        "007",
        "12.0",
        "1e3",
        "1E3",
        ".5",
        "5.",
        "",
        " ",
        "0x10",
        "٣",
        "７",
        "inf",
        "-Infinity",
        "nan",
        "1,5",
        "½",
        "1 2",
        "99999999999999999999999999",
        "--1",
    ];
    json!(chance.of(&TEXTS).unwrap())
}

fn big(chance: &mut Chance) -> Value {
    const NUMBERS: [&str; 9] = [
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "-18446744073709551616",
        "10000000000000000000000000",
        "340282366920938463463374607431768211456",
        "1e308",
    ];
    json!(format!("{RAW}{}", chance.of(&NUMBERS).unwrap()))
}

fn beyond(bound: Option<&Value>, by: i64, chance: &mut Chance) -> Value {
    let Some(bound) = bound else {
        return big(chance);
    };
    if let Some(whole) = bound.as_i64().and_then(|bound| bound.checked_add(by)) {
        return json!(whole);
    }
    match bound.as_f64() {
        Some(bound) if bound.abs() < 1e15 => {
            let by = if by < 0 { -0.25 } else { 0.25 };
            json!(bound + by)
        }
        _ => json!(format!(
            "{RAW}{}18446744073709551616",
            if by < 0 { "-" } else { "" }
        )),
    }
}

/// As JSON, with what stands for something else in its place.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => match text.strip_prefix(RAW) {
            Some(raw) => raw.to_owned(),
            None => value.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(written).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                let key = key.strip_prefix(RAW).unwrap_or(key);
                format!("{}:{}", json!(key), written(value))
            };
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(","))
        }
        other => other.to_string(),
    }
}

/// What stands in place of a link, or is one that is wrong.
fn link_value(kind: &str, id: &str, other: &str, chance: &mut Chance) -> Value {
    // A node whose key is there twice is linked to by that key.
    let [id, other] = [id, other].map(|id| id.strip_prefix(RAW).unwrap_or(id));
    let lists = [
        json!([]),
        json!([other]),
        json!([other, 0, 0]),
        json!([1, 2, 3, 4]),
    ];
    let slots = [
        json!(true),
        json!(false),
        json!("0"),
        json!(null),
        json!(0.0),
        json!(1.5),
        json!([]),
        json!({}),
        json!(format!("{RAW}100000000000000000000000")),
    ];
    let ids = [
        other.parse::<i64>().map_or(json!(1.5), Value::from),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
    ];
    match kind {
        "list_of_another_length" => chance.of(&lists).unwrap().clone(),
        "odd_list" => json!([odd(chance), odd(chance)]),
        "dangling_link" => json!(["99999", 0]),
        "swapped_link" => json!([other, chance.below(3)]),
        "self_link" => json!([id, 0]),
        "cycle" => json!([other, 0]),
        "slot_out_of_range" => {
            let slot = [3, 17, 1000, -1, -2, -9][chance.below(6)];
            json!([other, slot])
        }
        "slot_odd" => json!([other, chance.of(&slots).unwrap()]),
        "id_as_number" => json!([chance.of(&ids).unwrap(), 0]),
        other => unreachable!("{other}"),
    }
}
