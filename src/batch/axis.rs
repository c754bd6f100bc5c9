//! What a sweep may say of a parameter, and the values that come of it.
//!
//! ```json
//! { "CFG": [3.0, 4.5], "STEPS": { "from": 10, "to": 30, "count": 3 }, "SEED": { "random": 4 },
//!   "WIDTH,HEIGHT": [[512, 768], [768, 512]] }
//! ```

use serde_json::{Map, Value};

use super::BatchError;
use super::spread::{Spread, Wholeness};

/// More runs than this are a slip, such as a list within a list: even at a second each they would
/// keep a card busy for a quarter of an hour.
pub const MOST_RUNS: usize = 1000;

/// The parameters that change together, and their values.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// One name, or several whose values go in step.
    pub names: Vec<String>,
    /// Each with one value per name.
    pub points: Vec<Vec<Value>>,
}

/// What is known of a parameter by its name, which decides what may be drawn or spread for it.
pub trait Known {
    /// Whether it is a whole number or any; nothing if that is not known.
    fn wholeness(&self, name: &str) -> Option<Wholeness>;
    /// A random number of 53 bits.
    fn draw(&self) -> u64;
}

impl Axis {
    /// What a position on it is called: `WIDTH=512,HEIGHT=768`.
    #[must_use]
    pub fn key(&self, point: usize) -> String {
        let values = self.names.iter().zip(&self.points[point]);
        let parts: Vec<String> = values
            .map(|(name, value)| format!("{name}={}", shown(value)))
            .collect();
        parts.join(",")
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }
}

/// The axes of a sweep. Nothing is drawn or spread out before it is known that the runs are few
/// enough.
pub fn axes(sweep: &Map<String, Value>, known: &dyn Known) -> Result<Vec<Axis>, BatchError> {
    if sweep.is_empty() {
        return Err(BatchError::NothingSwept);
    }
    let mut plans = Vec::with_capacity(sweep.len());
    for (key, said) in sweep {
        plans.push(Plan::of(key, said)?);
    }
    let runs = plans.iter().map(|plan| plan.values.len());
    check_size(runs.fold(1, usize::saturating_mul))?;
    let mut found: Vec<Axis> = Vec::with_capacity(plans.len());
    for plan in plans {
        let names: Vec<String> = plan.names.iter().map(|name| (*name).to_owned()).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) || found.iter().any(|axis| axis.has_name(name)) {
                return Err(BatchError::OnTwoAxes(name.clone()));
            }
        }
        let points = plan.points(known)?;
        let axis = Axis { names, points };
        check_distinct(&axis)?;
        found.push(axis);
    }
    Ok(found)
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

fn check_distinct(axis: &Axis) -> Result<(), BatchError> {
    let keys: Vec<String> = (0..axis.points.len()).map(|at| axis.key(at)).collect();
    match (1..keys.len()).find(|at| keys[..*at].contains(&keys[*at])) {
        None => Ok(()),
        Some(at) => Err(BatchError::Twice {
            name: axis.names.join(","),
            value: joined(&axis.points[at]),
        }),
    }
}

fn joined(values: &[Value]) -> String {
    let shown: Vec<String> = values.iter().map(shown).collect();
    shown.join(",")
}

/// A value as the key of a combination has it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An axis before its values are spelt out.
struct Plan<'s> {
    names: Vec<&'s str>,
    values: Values<'s>,
}

enum Values<'s> {
    Listed(Vec<&'s Value>),
    Spread(Spread),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Listed(values) => values.len(),
            Self::Spread(spread) => spread.len(),
        }
    }
}

impl<'s> Plan<'s> {
    fn of(key: &'s str, said: &'s Value) -> Result<Self, BatchError> {
        let names: Vec<&str> = key.split(',').map(str::trim).collect();
        let values = match said {
            Value::Array(values) => Values::Listed(values.iter().collect()),
            Value::Object(said) if names.len() == 1 => Values::Spread(Spread::of(key, said)?),
            single => Values::Listed(vec![single]),
        };
        if values.len() == 0 {
            return Err(BatchError::NoValues(key.to_owned()));
        }
        Ok(Self { names, values })
    }

    fn points(&self, known: &dyn Known) -> Result<Vec<Vec<Value>>, BatchError> {
        let values = match &self.values {
            Values::Spread(spread) => {
                let values = spread.values(self.names[0], known)?;
                return Ok(values.into_iter().map(|value| vec![value]).collect());
            }
            Values::Listed(values) => values,
        };
        let together = self.names.len();
        values
            .iter()
            .map(|value| match value {
                value if together == 1 => Ok(vec![(*value).clone()]),
                Value::Array(values) if values.len() == together => Ok(values.clone()),
                other => Err(BatchError::NotInStep {
                    key: self.names.join(","),
                    names: together,
                    value: other.to_string(),
                }),
            })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    /// STEPS and SEED are whole, CFG is not, of others nothing is known; draws count up.
    #[derive(Default)]
    pub(in crate::batch) struct Counting(Cell<u64>);

    impl Known for Counting {
        fn wholeness(&self, name: &str) -> Option<Wholeness> {
            match name {
                "STEPS" => Some(Wholeness::Whole),
                "SEED" => Some(Wholeness::Seed),
                "CFG" => Some(Wholeness::Any),
                _ => None,
            }
        }

        fn draw(&self) -> u64 {
            self.0.set(self.0.get() + 1);
            self.0.get()
        }
    }

    fn points(sweep: Value) -> Result<Vec<Value>, BatchError> {
        let Value::Object(sweep) = sweep else {
            panic!("not an object")
        };
        let axes = axes(&sweep, &Counting::default())?;
        Ok(axes.iter().map(|axis| json!(axis.points)).collect())
    }

    fn one(key: &str, said: &Value) -> Result<Value, BatchError> {
        let all = points(json!({ key: said }))?.remove(0);
        let values = all.as_array().unwrap().iter();
        Ok(values.map(|point| point[0].clone()).collect())
    }

    #[test]
    fn names_with_commas_change_in_step() {
        let sweep = json!({ "WIDTH, HEIGHT": [[512, 768], [768, 512]], "CFG": 3 });
        assert_eq!(
            points(sweep).unwrap(),
            [json!([[512, 768], [768, 512]]), json!([[3]])]
        );
        let error = points(json!({ "WIDTH,HEIGHT": [[512, 768], 512] })).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"WIDTH,HEIGHT\" are 2 parameters that change together, 512 is not a list of 2 values"
        );
        let error = points(json!({ "WIDTH,HEIGHT": [[1, 2]], "HEIGHT": [3] })).unwrap_err();
        assert_eq!(error.to_string(), "\"HEIGHT\" is swept twice");
    }

    #[test]
    fn numbers_are_spread_evenly_and_whole_ones_stay_whole() {
        for (key, said, values) in [
            (
                "CFG",
                json!({ "from": 2, "to": 6, "count": 5 }),
                json!([2, 3, 4, 5, 6]),
            ),
            (
                "CFG",
                json!({ "from": 2, "to": 3, "count": 3 }),
                json!([2, 2.5, 3]),
            ),
            (
                "x",
                json!({ "from": 0.1, "to": 0.5, "count": 5 }),
                json!([0.1, 0.2, 0.3, 0.4, 0.5]),
            ),
            (
                "STEPS",
                json!({ "from": 10, "to": 25, "count": 3 }),
                json!([10, 18, 25]),
            ),
            (
                "STEPS",
                json!({ "from": 10, "to": 25, "step": 5 }),
                json!([10, 15, 20, 25]),
            ),
            (
                "x",
                json!({ "from": 0.2, "to": 0.9, "step": 0.3 }),
                json!([0.2, 0.5, 0.8]),
            ),
            ("x", json!({ "from": 3, "to": 9, "count": 1 }), json!([3])),
        ] {
            assert_eq!(one(key, &said).unwrap(), values, "{key}: {said}");
        }
    }

    #[test]
    fn seeds_and_numbers_are_drawn() {
        assert_eq!(
            one("SEED", &json!({ "random": 3 })).unwrap(),
            json!([1, 2, 3])
        );
        assert_eq!(
            one("noise_seed", &json!({ "random": 1 })).unwrap(),
            json!([1])
        );
        let drawn = json!({ "random": 3, "from": 10, "to": 12 });
        assert_eq!(one("STEPS", &drawn).unwrap(), json!([11, 12, 10]));
        let drawn = one("CFG", &json!({ "random": 50, "from": 1, "to": 2 })).unwrap();
        let drawn = drawn
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_f64().unwrap());
        assert!(drawn.clone().all(|it| (1.0..=2.0).contains(&it)));
        assert_eq!(drawn.count(), 50);
    }

    #[test]
    fn what_can_not_be_meant_is_told_before_anything_is_drawn() {
        for (key, said, message) in [
            (
                "CFG",
                json!({ "form": 2, "to": 6, "count": 5 }),
                "\"CFG\" can't say \"form\", did you mean \"from\"?",
            ),
            (
                "CFG",
                json!({ "from": 6, "to": 2, "count": 5 }),
                "\"CFG\" goes from 6 to 2, which is not upwards",
            ),
            (
                "CFG",
                json!({ "from": 2, "to": 6, "count": 0 }),
                "\"CFG\": count is 0, it is a whole number above 0",
            ),
            (
                "CFG",
                json!({ "from": 2, "to": 6, "step": -1 }),
                "\"CFG\": step is -1, it is a number above 0",
            ),
            (
                "CFG",
                json!({ "from": 2, "to": 6 }),
                "\"CFG\" needs a count or a step, and not both",
            ),
            (
                "CFG",
                json!({ "from": 2, "count": 3 }),
                "\"CFG\" needs both a from and a to",
            ),
            (
                "CFG",
                json!({ "from": "a", "to": 3, "count": 3 }),
                "\"CFG\": from is \"a\", it is a number",
            ),
            (
                "CFG",
                json!({ "random": 3 }),
                "\"CFG\" needs a from and a to between which to draw",
            ),
            (
                "STEPS",
                json!({ "random": 4, "from": 10, "to": 12 }),
                "\"STEPS\" has only 3 values between 10 and 12, not 4",
            ),
            (
                "STEPS",
                json!({ "from": 10, "to": 12, "count": 4 }),
                "\"STEPS\" has only 3 values between 10 and 12, not 4",
            ),
            (
                "CFG",
                json!({ "from": 0, "to": 1e9, "step": 0.001 }),
                "these are 1000000000001 runs, at most 1000 are queued at once",
            ),
        ] {
            let error = one(key, &said).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
