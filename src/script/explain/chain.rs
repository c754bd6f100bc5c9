//! Where an error is: the innermost place, and the calls that led there.

use rhai::{EvalAltResult, Position};

/// The error at the bottom of a chain of calls, with the calls that led to it.
pub(in crate::script) struct Innermost<'a> {
    pub(in crate::script) error: &'a EvalAltResult,
    /// The place, in the script that the innermost call names.
    pub(in crate::script) position: Position,
    /// The script in which it is, as `templates/NAME.rhai`; empty for the one that was called.
    pub(in crate::script) source: String,
    /// The calls, the innermost first; none where the function that was called first failed itself.
    pub(in crate::script) calls: Vec<Call>,
}

/// A function within which another one was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::script) struct Call {
    /// Its name; empty for the one that was called first.
    pub(in crate::script) function: String,
    /// Its script, as `templates/NAME.rhai`; empty for the one that was called.
    pub(in crate::script) source: String,
    /// How far it was.
    pub(in crate::script) position: Position,
}

/// `position()` of a Rhai error is that of the outermost call; this walks down to the cause.
pub(in crate::script) fn innermost(error: &EvalAltResult) -> Innermost<'_> {
    let mut calls = vec![];
    let mut present = Call {
        function: String::new(),
        source: String::new(),
        position: Position::NONE,
    };
    let mut error = error;
    loop {
        let position = error.position();
        match error {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, _) => {
                present.position = position;
                let called = Call {
                    function: function_of(name),
                    source: if source.is_empty() {
                        present.source.clone()
                    } else {
                        source.clone()
                    },
                    position: Position::NONE,
                };
                calls.insert(0, std::mem::replace(&mut present, called));
                error = inner;
            }
            EvalAltResult::ErrorInModule(_, inner, _) => error = inner,
            _ => {
                present.position = position;
                break;
            }
        }
    }
    let (position, source) = (present.position, present.source.clone());
    if !calls.is_empty() {
        calls.insert(0, present);
    }
    Innermost {
        error,
        position,
        source,
        calls,
    }
}

/// What has no name.
pub(super) const CLOSURE: &str = "a closure";

fn function_of(name: &str) -> String {
    if name.starts_with("anon$") {
        CLOSURE.to_owned()
    } else {
        name.to_owned()
    }
}
