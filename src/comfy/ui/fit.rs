//! Whether saved values go with the widgets to which they fall.
//!
//! Values are saved without names. Where a class has other widgets than when a graph was saved, the
//! editor gives each value to the widget that is at its place today, whatever it was for. That
//! shows in values that their widgets can't have had, and in the names that newer files have beside
//! the values. That a few values are left over shows nothing: the editor itself saves some for
//! widgets of its own, and classes lose and gain widgets at their end.

use std::fmt;

use serde_json::{Map, Value};

use super::error::NodeName;
use super::js;
use super::widgets::{Widget, widget_type};
use crate::comfy::nodes::Input;
use crate::failure::shown;

/// What says how a seed changes from run to run.
const CONTROLS: [&str; 5] = [
    "fixed",
    "increment",
    "decrement",
    "randomize",
    "increment-wrap",
];

/// The name of that among saved names.
const CONTROL: &str = "control_after_generate";

/// The most misfits and names that a message has.
const TOLD: usize = 3;
const NAMES: usize = 16;

/// How the saved values of a node go with its widgets.
#[derive(Clone, Debug, Default)]
pub(super) struct Fit {
    /// How many were saved.
    pub(super) values: usize,
    /// Those that found no widget.
    pub(super) surplus: Vec<Value>,
    /// What does not go together.
    pub(super) misfits: Vec<Misfit>,
    /// The widgets that there were when the graph was saved, where the file says so.
    pub(super) saved_for: Vec<String>,
    /// Links to widgets that are gone, and the names of those.
    pub(super) gone: Vec<(String, String)>,
}

/// A value at a widget that can't have had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The widget.
    pub input: String,
    /// The value, shortened.
    pub found: String,
    /// What the widget takes, or whose value it is, in words that go on behind the value.
    pub reason: String,
    /// Whether it says enough alone: limits change without any value moving.
    sure: bool,
}

/// A node whose values were saved for other widgets than it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shifted {
    /// The node.
    pub node: NodeName,
    /// Where it shows.
    pub misfits: Vec<Misfit>,
    /// How many values were saved.
    pub values: usize,
    /// The widgets for which they were saved; none where the file does not say.
    pub saved_for: Vec<String>,
    /// The widgets that the class has.
    pub widgets: Vec<String>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" would get {}{}",
            self.input, self.found, self.reason
        )
    }
}

impl fmt::Display for Shifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.node)?;
        for (at, misfit) in self.misfits.iter().take(TOLD).enumerate() {
            write!(f, "{}{misfit}", if at > 0 { "; " } else { "" })?;
        }
        let more = self.misfits.len().saturating_sub(TOLD);
        if more > 0 {
            write!(f, "; and {more} more")?;
        }
        let plural = if self.values == 1 { "" } else { "s" };
        write!(f, " ({} value{plural}", self.values)?;
        if !self.saved_for.is_empty() {
            write!(f, " for {}", listed(&self.saved_for))?;
        }
        write!(f, "; there are {})", listed(&self.widgets))
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).map(String::as_str);
    let mut shown: Vec<&str> = shown.collect();
    if names.len() > NAMES {
        shown.push("...");
    }
    if shown.is_empty() {
        "no widgets".to_owned()
    } else {
        shown.join(", ")
    }
}

impl Fit {
    /// Whether the values were saved for other widgets.
    pub(super) fn is_shifted(&self) -> bool {
        let surely = self.misfits.iter().any(|misfit| misfit.sure);
        surely || !(self.misfits.is_empty() || self.surplus.is_empty())
    }

    /// Holds the widgets against those that the file names, with the value of each.
    pub(super) fn compare(&mut self, saved: &Map<String, Value>, widgets: &[Widget]) {
        let named = saved.iter().filter(|(name, _)| *name != CONTROL);
        let named: Vec<(&String, &Value)> = named.collect();
        self.saved_for = named.iter().map(|(name, _)| (*name).clone()).collect();
        let mut taken = 0;
        let mut with_values = Vec::new();
        for widget in widgets.iter().filter(|widget| widget.saved > 0) {
            if taken < self.values {
                with_values.push(widget);
            }
            taken += widget.saved;
        }
        let same = |at: &usize| is_same(&with_values[*at].name, named[*at].0);
        let least = with_values.len().min(named.len());
        let Some(first) = (0..least).find(|at| !same(at)) else {
            return;
        };
        for (at, widget) in with_values.into_iter().enumerate().skip(first) {
            let Some(value) = widget.value.as_ref().filter(|value| !value.is_null()) else {
                continue;
            };
            if saved
                .get(&widget.name)
                .is_some_and(|own| js::value(own) == *value)
            {
                continue;
            }
            let known = self
                .misfits
                .iter()
                .any(|misfit| misfit.input == widget.name);
            let whose = named
                .iter()
                .skip(first)
                .find(|(_, other)| js::value(other) == *value);
            if let (false, Some((whose, _))) = (known, whose.or(named.get(at))) {
                self.misfits.push(Misfit {
                    input: widget.name.clone(),
                    found: shown(value),
                    reason: format!(", which was saved for \"{whose}\""),
                    sure: true,
                });
            }
        }
    }
}

/// Whether two names are those of one widget: with some changes of a class, a choice came to bring
/// inputs along that stood beside it before (`codec`, `format.codec`).
fn is_same(one: &str, other: &str) -> bool {
    let is_within = |inner: &str, name: &str| {
        let outer = inner.strip_suffix(name);
        outer.is_some_and(|outer| outer.is_empty() || outer.ends_with('.'))
    };
    is_within(one, other) || is_within(other, one)
}

impl Misfit {
    /// What is wrong with a value at a widget.
    pub(super) fn of(input: &Input, name: &str, value: &Value) -> Option<Self> {
        let kind = widget_type(input)?;
        let is_control = matches!(value, Value::String(word) if CONTROLS.contains(&word.as_str()));
        let is_at_home = match (kind, value) {
            (_, Value::Null) | ("BOOLEAN", Value::Bool(_)) | ("STRING", Value::String(_)) => true,
            ("BOOLEAN", Value::Number(number)) => is_bit(number.as_f64()),
            (_, Value::String(text)) => is_placeholder(text),
            _ => false,
        };
        if is_at_home {
            return None;
        }
        let (reason, sure) = match (kind, value) {
            ("INT" | "FLOAT", _) => not_a_number(input, kind, value)?,
            ("BOOLEAN", _) => (" but takes true or false".to_owned(), true),
            ("STRING", _) => (" but takes a text".to_owned(), true),
            ("COMBO", value) => {
                let choices = input.choices().unwrap_or_default();
                let is_one = |choice: &Value| js::text(choice) == js::text(value);
                let is_text = value.is_string() && !is_control;
                if is_text || choices.is_empty() && !is_control || choices.iter().any(is_one) {
                    return None;
                }
                (", which is none of its choices".to_owned(), true)
            }
            _ => return None,
        };
        Some(Self {
            input: name.to_owned(),
            found: shown(value),
            reason,
            sure,
        })
    }

    /// A choice that the class does not have, so that nobody knows what the values behind it are
    /// for.
    pub(super) fn no_option(name: &str, value: &Value) -> Self {
        Self {
            input: name.to_owned(),
            found: shown(value),
            reason:
                ", which it does not offer, and which would say what the values behind it are for"
                    .to_owned(),
            sure: true,
        }
    }

    /// What is wrong with the value that says how another changes from run to run.
    pub(super) fn of_control(name: &str, value: &Value) -> Option<Self> {
        let fits = match value {
            Value::String(word) => CONTROLS.contains(&word.as_str()),
            // As it was once written.
            Value::Bool(_) | Value::Null => true,
            _ => false,
        };
        (!fits).then(|| Self {
            input: format!("{CONTROL} of {name}"),
            found: shown(value),
            reason: " but takes fixed, increment, decrement or randomize".to_owned(),
            sure: true,
        })
    }
}

fn not_a_number(input: &Input, kind: &str, value: &Value) -> Option<(String, bool)> {
    let number = match value {
        // They go through as they are.
        Value::String(text) => text.trim().parse::<f64>().ok(),
        value => value.as_f64(),
    };
    let Some(number) = number else {
        return Some((" but takes a number".to_owned(), true));
    };
    if kind == "INT" && number.fract() != 0.0 {
        return Some((" but takes a whole number".to_owned(), true));
    }
    let (min, max) = bounds(input, kind)?;
    (!(min..=max).contains(&number)).then(|| (format!(" but takes {min} to {max}"), false))
}

fn is_bit(number: Option<f64>) -> bool {
    number == Some(0.0) || number == Some(1.0)
}

/// What stands for a parameter in what was exported without it.
fn is_placeholder(text: &str) -> bool {
    text.starts_with("{{") && text.ends_with("}}")
}

/// The smallest and the largest number that a widget takes.
pub(super) fn bounds(input: &Input, kind: &str) -> Option<(f64, f64)> {
    if !matches!(kind, "INT" | "FLOAT") {
        return None;
    }
    let limit = |value: Option<&Value>| value.and_then(Value::as_f64);
    Some((
        limit(input.min()).unwrap_or(f64::NEG_INFINITY),
        limit(input.max()).unwrap_or(f64::INFINITY),
    ))
}
