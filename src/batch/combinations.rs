//! Every combination of the values of a sweep.

use serde_json::{Map, Value};

use super::Axis;

/// One combination of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// What distinguishes it: `CFG=3.0,STEPS=20`.
    pub key: String,
    /// The fixed parameters with the swept ones over them.
    pub parameters: Map<String, Value>,
}

/// All combinations; the last axis changes fastest.
#[must_use]
pub fn combinations(axes: &[Axis], fixed: &Map<String, Value>) -> Vec<Combination> {
    let runs = axes.iter().map(|axis| axis.points.len()).product();
    (0..runs).map(|run| one(axes, runs, run, fixed)).collect()
}

fn one(axes: &[Axis], runs: usize, run: usize, fixed: &Map<String, Value>) -> Combination {
    let mut parameters = fixed.clone();
    let mut parts = Vec::with_capacity(axes.len());
    let mut span = runs;
    for axis in axes {
        span /= axis.points.len();
        let point = run / span % axis.points.len();
        parts.push(axis.key(point));
        for (name, value) in axis.names.iter().zip(&axis.points[point]) {
            parameters.insert(name.clone(), value.clone());
        }
    }
    Combination {
        key: parts.join(","),
        parameters,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::axis::tests::Counting;
    use super::super::{BatchError, axes};
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else {
            panic!("not an object")
        };
        object
    }

    fn all(sweep: Value, fixed: Value) -> Result<Vec<Combination>, BatchError> {
        let axes = axes(&object(sweep), &Counting::default())?;
        Ok(combinations(&axes, &object(fixed)))
    }

    #[test]
    fn every_value_meets_every_other_over_the_fixed_ones() {
        let sweep = json!({ "CFG": [3.0, 4.5], "STEPS": [20, 30] });
        let all = all(sweep, json!({ "PROMPT": "a fox", "CFG": 9.0 })).unwrap();
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
    fn what_changes_in_step_is_one_axis_among_the_others() {
        let sweep = json!({ "SEED": { "random": 2 }, "WIDTH,HEIGHT": [[5, 7], [7, 5]] });
        let keys: Vec<String> = all(sweep, json!({}))
            .unwrap()
            .into_iter()
            .map(|one| one.key)
            .collect();
        assert_eq!(
            keys,
            [
                "SEED=1,WIDTH=5,HEIGHT=7",
                "SEED=1,WIDTH=7,HEIGHT=5",
                "SEED=2,WIDTH=5,HEIGHT=7",
                "SEED=2,WIDTH=7,HEIGHT=5"
            ]
        );
    }

    #[test]
    fn a_sweep_that_nobody_can_mean_is_refused_before_it_is_spelt_out() {
        let many: Vec<i64> = (0..100_000).collect();
        let sweep = json!({ "A": many, "B": many, "C": many, "D": many });
        assert!(matches!(
            all(sweep, json!({})),
            Err(BatchError::TooMany {
                asked: usize::MAX,
                ..
            })
        ));
        assert_eq!(
            all(json!({ "A": [] }), json!({})),
            Err(BatchError::NoValues("A".into()))
        );
    }

    #[test]
    fn a_value_that_stands_there_twice_is_refused() {
        let error = all(json!({ "CFG": [3.0, 4.5, 3.0] }), json!({})).unwrap_err();
        assert_eq!(error.to_string(), "\"CFG\" has the value 3.0 twice");
    }

    proptest! {
        #[test]
        fn no_combination_comes_twice(sizes in prop::collection::vec(1_usize..5, 1..4)) {
            let sweep: Map<String, Value> = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| (format!("P{i}"), (0..*size).collect::<Vec<_>>().into()))
                .collect();
            let all = all(sweep.into(), json!({})).unwrap();
            let keys: std::collections::BTreeSet<_> = all.iter().map(|one| &one.key).collect();
            prop_assert_eq!(keys.len(), sizes.iter().product::<usize>());
            prop_assert_eq!(keys.len(), all.len());
        }
    }
}
