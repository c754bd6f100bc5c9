//! Numbers of a range: evenly spread over it, or drawn from it.

use serde_json::{Map, Number, Value};

use super::BatchError;
use super::axis::Known;
use crate::ids::RANDOM_SEED_LIMIT;

/// What an object in the place of a list of values may say.
const SAYS: [&str; 5] = ["from", "to", "count", "step", "random"];

/// Significant digits of spread and drawn fractions: more than a picture shows.
const DIGITS: usize = 6;

/// Sums of fractions miss the last step by less than this part of a step.
const SLACK: f64 = 1e-6;

/// So often a draw may give what was drawn before, for each value that is wanted.
const DRAWS: usize = 64;

/// Which numbers a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wholeness {
    /// Any.
    Any,
    /// Whole ones.
    Whole,
    /// Whole ones of which none is better than another.
    Seed,
}

/// A range and what is taken of it.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    range: Option<Range>,
    taken: Taken,
}

#[derive(Clone, Debug)]
struct Range {
    from: Number,
    to: Number,
}

#[derive(Clone, Debug)]
enum Taken {
    Count(usize),
    Step(Number),
    Drawn(usize),
}

impl Spread {
    pub(super) fn of(name: &str, said: &Map<String, Value>) -> Result<Self, BatchError> {
        if let Some(key) = said.keys().find(|key| !SAYS.contains(&key.as_str())) {
            return Err(BatchError::UnknownSaying {
                name: name.to_owned(),
                key: key.clone(),
                nearest: nearest(key),
            });
        }
        let range = match (number(name, said, "from")?, number(name, said, "to")?) {
            (Some(from), Some(to)) => Some(Range { from, to }),
            (None, None) if said.contains_key("random") => None,
            _ => return Err(bad(name, " needs both a from and a to")),
        };
        let taken = match (
            count(name, said, "count")?,
            number(name, said, "step")?,
            count(name, said, "random")?,
        ) {
            (Some(count), None, None) => Taken::Count(count),
            (None, Some(step), None) => Taken::Step(step),
            (None, None, Some(count)) => Taken::Drawn(count),
            (_, _, Some(_)) => {
                return Err(bad(name, " is drawn, which leaves no count or step to say"));
            }
            _ => return Err(bad(name, " needs a count or a step, and not both")),
        };
        let spread = Self { range, taken };
        spread.check(name)?;
        Ok(spread)
    }

    fn check(&self, name: &str) -> Result<(), BatchError> {
        let Some(Range { from, to }) = &self.range else {
            return Ok(());
        };
        let is_one = matches!(self.taken, Taken::Count(1) | Taken::Drawn(1));
        let upwards = float(from) < float(to) || (is_one && float(from) <= float(to));
        match &self.taken {
            Taken::Step(step) if float(step) <= 0.0 => Err(bad(
                name,
                &format!(": step is {step}, it is a number above 0"),
            )),
            _ if !upwards => {
                let way = format!(" goes from {from} to {to}, which is not upwards");
                Err(bad(name, &way))
            }
            _ => Ok(()),
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        match (&self.taken, &self.range) {
            (Taken::Count(count) | Taken::Drawn(count), _) => *count,
            (Taken::Step(step), Some(range)) => range.steps(float(step)).saturating_add(1),
            (Taken::Step(_), None) => 0,
        }
    }

    /// The values for the parameter of that name, [`Spread::len`] of them.
    pub(super) fn values(&self, name: &str, known: &dyn Known) -> Result<Vec<Value>, BatchError> {
        let wholeness = known.wholeness(name);
        let count = self.len();
        let Some(range) = &self.range else {
            return seeds(name, wholeness, count, known);
        };
        let must_be_whole = matches!(wholeness, Some(Wholeness::Whole | Wholeness::Seed));
        let ends = range.whole_ends();
        if must_be_whole && ends.is_none() {
            return Err(bad(name, " takes whole numbers"));
        }
        // Where nothing is known of a parameter, whole ends stand for whole numbers if there are
        // enough of them.
        let whole = match (wholeness, ends) {
            (Some(Wholeness::Any), _) | (_, None) => None,
            (None, Some((from, to))) => Some((from, to)).filter(|_| count <= room(from, to)),
            (_, ends) => ends,
        };
        if let Some((from, to)) = whole
            && count > room(from, to)
        {
            let (room, Range { from, to }) = (room(from, to), range);
            let only = format!(" has only {room} values between {from} and {to}, not {count}");
            return Err(bad(name, &only));
        }
        match (&self.taken, whole) {
            (Taken::Drawn(_), Some(ends)) => drawn(name, count, || within(ends, known.draw())),
            (Taken::Drawn(_), None) => drawn(name, count, || {
                fraction(range.part(share(known.draw())), false)
            }),
            (Taken::Step(step), _) => Ok(range.stepped(step, count)),
            (Taken::Count(_), whole) => Ok(range.spread(count, whole.is_some())),
        }
    }
}

impl Range {
    fn whole_ends(&self) -> Option<(i128, i128)> {
        Some((whole(&self.from)?, whole(&self.to)?))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0, and what is too large is refused"
    )]
    fn steps(&self, step: f64) -> usize {
        ((float(&self.to) - float(&self.from)) / step + SLACK) as usize
    }

    /// The number that lies at this part of the way.
    fn part(&self, part: f64) -> f64 {
        let (from, to) = (float(&self.from), float(&self.to));
        from + (to - from) * part
    }

    #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
    fn spread(&self, count: usize, is_whole: bool) -> Vec<Value> {
        let last = count.saturating_sub(1).max(1);
        let values = (0..count).map(|at| self.part(at as f64 / last as f64));
        let plain = self.whole_ends().is_some();
        values
            .map(|value| fraction(if is_whole { value.round() } else { value }, plain))
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
    fn stepped(&self, step: &Number, count: usize) -> Vec<Value> {
        let plain = self.whole_ends().is_some() && whole(step).is_some();
        let from = float(&self.from);
        (0..count)
            .map(|at| fraction(from + float(step) * at as f64, plain))
            .collect()
    }
}

fn seeds(
    name: &str,
    wholeness: Option<Wholeness>,
    count: usize,
    known: &dyn Known,
) -> Result<Vec<Value>, BatchError> {
    let is_seed = match wholeness {
        Some(wholeness) => wholeness == Wholeness::Seed,
        None => name.to_lowercase().contains("seed"),
    };
    if !is_seed {
        return Err(bad(name, " needs a from and a to between which to draw"));
    }
    drawn(name, count, || known.draw().into())
}

/// So many values, none of them twice.
fn drawn(
    name: &str,
    count: usize,
    mut draw: impl FnMut() -> Value,
) -> Result<Vec<Value>, BatchError> {
    let mut values: Vec<Value> = Vec::with_capacity(count);
    for _ in 0..count.saturating_mul(DRAWS) {
        if values.len() == count {
            break;
        }
        let value = draw();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    if values.len() < count {
        return Err(bad(name, &format!(" has too few values to draw {count}")));
    }
    Ok(values)
}

/// How many whole numbers there are.
fn room(from: i128, to: i128) -> usize {
    usize::try_from(to - from + 1).unwrap_or(usize::MAX)
}

fn within((from, to): (i128, i128), draw: u64) -> Value {
    let value = from + i128::from(draw) % (to - from + 1);
    match u64::try_from(value) {
        Ok(value) => value.into(),
        Err(_) => i64::try_from(value).unwrap_or(i64::MIN).into(),
    }
}

/// A draw as a part of one. Counted draws lie close together, so they are scattered first: the
/// last steps of `splitmix64` (Steele, Lea and Flood 2014).
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
fn share(draw: u64) -> f64 {
    let mut bits = draw.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / RANDOM_SEED_LIMIT as f64
}

/// A number of few digits; without its fraction if it has none and `plain` says so.
fn fraction(value: f64, plain: bool) -> Value {
    if plain && value.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the ends are whole numbers"
        )]
        return (value as i64).into();
    }
    let short = format!("{value:.*e}", DIGITS - 1);
    short.parse().unwrap_or(value).into()
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

fn whole(number: &Number) -> Option<i128> {
    let small = number.as_i64().map(i128::from);
    small.or_else(|| number.as_u64().map(i128::from))
}

fn number(name: &str, said: &Map<String, Value>, key: &str) -> Result<Option<Number>, BatchError> {
    match said.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.clone())),
        Some(other) => Err(bad(name, &format!(": {key} is {other}, it is a number"))),
    }
}

fn count(name: &str, said: &Map<String, Value>, key: &str) -> Result<Option<usize>, BatchError> {
    let Some(value) = said.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let whole = value
        .as_f64()
        .filter(|count| *count >= 1.0 && count.fract() == 0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and above 0, and what is too large is refused"
    )]
    let whole = whole.map(|count| count as usize);
    let wrong = || {
        bad(
            name,
            &format!(": {key} is {value}, it is a whole number above 0"),
        )
    };
    whole.ok_or_else(wrong).map(Some)
}

fn bad(name: &str, what: &str) -> BatchError {
    BatchError::Spread {
        name: name.to_owned(),
        what: what.to_owned(),
    }
}

/// Names are this much alike before one is offered for the other.
const LIKENESS: f64 = 0.75;

fn nearest(key: &str) -> Option<&'static str> {
    let folded = key.to_lowercase();
    let likeness = |says: &str| strsim::jaro_winkler(&folded, says);
    SAYS.into_iter()
        .filter(|says| likeness(says) >= LIKENESS)
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
}
