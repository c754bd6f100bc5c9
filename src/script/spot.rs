//! Where a script calls what this program does: kept while the call goes on, so that what goes wrong in
//! it has a place. Rhai gives none to the errors of functions in namespaces, and takes that of any
//! error away when a script throws it again.

use std::cell::RefCell;

use rhai::{NativeCallContext, Position};
use serde_json::{Value, json};

thread_local! {
    /// The calls that go on in this thread, the outermost first.
    static OPEN: RefCell<Vec<Spot>> = const { RefCell::new(vec![]) };
}

/// A place in a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// The script, as `templates/NAME.rhai`; empty for one without a place of its own.
    pub(super) script: String,
    /// The place.
    pub(super) position: Position,
}

impl Spot {
    /// Where a function is called.
    pub(super) fn of(call: &NativeCallContext) -> Self {
        Self {
            script: call.call_source().unwrap_or_default().to_owned(),
            position: call.call_position(),
        }
    }

    /// The call that goes on in this thread, the innermost of several.
    pub(super) fn present() -> Option<Self> {
        OPEN.with_borrow(|open| open.last().cloned())
    }

    /// `{script, line, column}`, as errors carry it; nothing for a place that is not known.
    pub(super) fn to_json(&self) -> Option<Value> {
        let (line, column) = (self.position.line()?, self.position.position()?);
        Some(json!({ "script": self.script, "line": line, "column": column }))
    }

    /// The reverse.
    pub(super) fn of_json(told: &Value) -> Option<Self> {
        let number = |name: &str| u16::try_from(told[name].as_u64()?).ok();
        Some(Self {
            script: told["script"].as_str()?.to_owned(),
            position: Position::new(number("line")?, number("column")?),
        })
    }
}

/// A call that goes on for as long as this is held.
pub(super) struct Standing;

impl Standing {
    pub(super) fn at(spot: Spot) -> Self {
        OPEN.with_borrow_mut(|open| open.push(spot));
        Self
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(Vec::pop);
    }
}
