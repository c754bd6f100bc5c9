//! Numbers: whole ones of any size and floating ones, also those that JSON can't express.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A number as Python has it. Whole numbers are exact in the range of `i128`; beyond, only their
/// digits are kept, which is enough to compare and to print them.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::comfy::validate) enum Num {
    /// A whole number.
    Int(i128),
    /// A whole number outside of `i128`: whether it is negative, and its digits.
    Huge(bool, String),
    /// A floating point number, also one that JSON can't express.
    Float(f64),
}

impl Num {
    /// The number of a JSON number or boolean.
    pub(in crate::comfy::validate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Int((*flag).into())),
            Value::Number(number) => Some(Self::of_number(number)),
            _ => None,
        }
    }

    /// The whole number that is written in decimal digits.
    pub(in crate::comfy::validate) fn whole(written: &str) -> Self {
        written.parse().map_or_else(
            |_| {
                let digits = written.trim_start_matches(['-', '+', '0']);
                Self::Huge(written.starts_with('-'), digits.to_owned())
            },
            Self::Int,
        )
    }

    pub(in crate::comfy::validate) fn of_number(number: &Number) -> Self {
        match number.as_i128() {
            Some(whole) => Self::Int(whole),
            None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    /// In JSON: non-finite numbers are null, whole numbers beyond 64 bits the nearest float.
    pub(in crate::comfy::validate) fn to_json(&self) -> Value {
        match self {
            Self::Int(whole) => match (u64::try_from(*whole), i64::try_from(*whole)) {
                (Ok(whole), _) => whole.into(),
                (_, Ok(whole)) => whole.into(),
                _ => self.as_f64().into(),
            },
            Self::Huge(..) => self.as_f64().into(),
            Self::Float(float) => (*float).into(),
        }
    }

    /// The nearest floating point number.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Python rounds to the nearest as well"
    )]
    pub(in crate::comfy::validate) fn as_f64(&self) -> f64 {
        match self {
            Self::Int(whole) => *whole as f64,
            Self::Huge(..) => self.to_string().parse().unwrap_or(f64::INFINITY),
            Self::Float(float) => *float,
        }
    }

    /// Python compares whole and floating numbers by their exact values.
    pub(in crate::comfy::validate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Float(b)) => compare_exactly(*a, *b),
            (Self::Float(a), Self::Int(b)) => compare_exactly(*b, *a).map(Ordering::reverse),
            (Self::Huge(false, a), Self::Huge(false, b)) => Some((a.len(), a).cmp(&(b.len(), b))),
            (Self::Huge(true, a), Self::Huge(true, b)) => Some((b.len(), b).cmp(&(a.len(), a))),
            (Self::Huge(..), _) | (_, Self::Huge(..)) => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is whole and in range"
)]
fn compare_exactly(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let limit = 2_f64.powi(127);
    if float >= limit {
        return Some(Ordering::Less);
    }
    if float < -limit {
        return Some(Ordering::Greater);
    }
    let floor = float.floor();
    Some(whole.cmp(&(floor as i128)).then(if floor < float {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}

impl std::fmt::Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(whole) => whole.fmt(f),
            Self::Huge(negative, digits) => {
                write!(f, "{}{digits}", if *negative { "-" } else { "" })
            }
            Self::Float(float) => f.write_str(&repr_float(*float)),
        }
    }
}

/// `repr()` of a float: the shortest digits that give it back, with an exponent below 1e-4 and
/// from 1e16 on.
fn repr_float(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float == 0.0 || (-4..16).contains(&exponent) {
        return format!("{float:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
