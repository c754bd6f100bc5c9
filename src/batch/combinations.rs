//! Every combination of the values of a sweep.

use serde_json::{Map, Value};

use super::BatchError;

/// More runs than this are a slip, such as a list within a list: even at a second each they would
/// keep a card busy for a quarter of an hour.
pub const MOST_RUNS: usize = 1000;

/// One combination of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// What distinguishes it: `CFG=3.0,STEPS=20`.
    pub key: String,
    /// The fixed parameters with the swept ones over them.
    pub parameters: Map<String, Value>,
}

/// All combinations; the last parameter changes fastest. A parameter that is not a list has one
/// value.
pub fn combinations(
    sweep: &Map<String, Value>,
    fixed: &Map<String, Value>,
) -> Result<Vec<Combination>, BatchError> {
    let mut swept = Vec::with_capacity(sweep.len());
    let mut runs = 1_usize;
    for (name, values) in sweep {
        let values = match values {
            Value::Array(values) => values.iter().collect(),
            single => vec![single],
        };
        if values.is_empty() {
            return Err(BatchError::NoValues(name.clone()));
        }
        runs = runs.saturating_mul(values.len());
        swept.push((name, values));
    }
    check_size(runs)?;
    for (name, values) in &swept {
        let shown: Vec<String> = values.iter().map(|value| shown(value)).collect();
        let twice = (1..shown.len()).find(|at| shown[..*at].contains(&shown[*at]));
        if let Some(at) = twice {
            return Err(BatchError::Twice {
                name: (*name).clone(),
                value: shown[at].clone(),
            });
        }
    }
    Ok((0..runs).map(|run| one(&swept, runs, run, fixed)).collect())
}

/// Refuses more runs than [`MOST_RUNS`].
pub fn check_size(runs: usize) -> Result<(), BatchError> {
    if runs <= MOST_RUNS {
        return Ok(());
    }
    Err(BatchError::TooMany {
        asked: runs,
        most: MOST_RUNS,
    })
}

fn one(
    swept: &[(&String, Vec<&Value>)],
    runs: usize,
    run: usize,
    fixed: &Map<String, Value>,
) -> Combination {
    let mut parameters = fixed.clone();
    let mut parts = Vec::with_capacity(swept.len());
    let mut span = runs;
    for (name, values) in swept {
        span /= values.len();
        let value = values[run / span % values.len()];
        parts.push(format!("{name}={}", shown(value)));
        parameters.insert((*name).clone(), value.clone());
    }
    Combination {
        key: parts.join(","),
        parameters,
    }
}

/// A value as the key of a combination has it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else {
            panic!("not an object")
        };
        object
    }

    #[test]
    fn every_value_meets_every_other_over_the_fixed_ones() {
        let sweep = object(json!({ "CFG": [3.0, 4.5], "STEPS": [20, 30] }));
        let fixed = object(json!({ "PROMPT": "a fox", "CFG": 9.0 }));
        let all = combinations(&sweep, &fixed).unwrap();
        let keys: Vec<&str> = all.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "CFG=3.0,STEPS=20",
                "CFG=3.0,STEPS=30",
                "CFG=4.5,STEPS=20",
                "CFG=4.5,STEPS=30"
            ]
        );
        assert_eq!(
            Value::from(all[2].parameters.clone()),
            json!({ "PROMPT": "a fox", "CFG": 4.5, "STEPS": 20 })
        );
    }

    #[test]
    fn a_sweep_that_nobody_can_mean_is_refused_before_it_is_spelt_out() {
        let many: Vec<i64> = (0..100_000).collect();
        let sweep = object(json!({ "A": many, "B": many, "C": many, "D": many }));
        assert!(matches!(
            combinations(&sweep, &Map::new()),
            Err(BatchError::TooMany {
                asked: usize::MAX,
                ..
            })
        ));
        assert_eq!(
            combinations(&object(json!({ "A": [] })), &Map::new()),
            Err(BatchError::NoValues("A".into()))
        );
    }

    #[test]
    fn a_value_that_stands_there_twice_is_refused() {
        let sweep = object(json!({ "CFG": [3.0, 4.5, 3.0] }));
        let error = combinations(&sweep, &Map::new()).unwrap_err();
        assert_eq!(error.to_string(), "\"CFG\" has the value 3.0 twice");
    }

    proptest! {
        #[test]
        fn no_combination_comes_twice(sizes in prop::collection::vec(1_usize..5, 0..4)) {
            let sweep: Map<String, Value> = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| (format!("P{i}"), (0..*size).collect::<Vec<_>>().into()))
                .collect();
            let all = combinations(&sweep, &Map::new()).unwrap();
            let keys: std::collections::BTreeSet<_> = all.iter().map(|one| &one.key).collect();
            prop_assert_eq!(keys.len(), sizes.iter().product::<usize>());
            prop_assert_eq!(keys.len(), all.len());
        }
    }
}
