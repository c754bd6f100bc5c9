//! What a pure script may not do although Rhai's own library offers it: look at the clock, sleep.

use rhai::exported_module;
use rhai::plugin::{EvalAltResult, export_module};

use super::{SharedModule, indexed};

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use rhai::{FLOAT, INT};

    type Fallible = Result<(), Box<EvalAltResult>>;

    /// Refused: the same parameters have to give the same workflow at any time.
    #[rhai_fn(return_raw)]
    pub fn timestamp() -> Fallible {
        Err("a pure script has no clock: pass the time as a parameter".into())
    }

    /// Refused: a pure script has nothing to wait for.
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_int(_seconds: INT) -> Fallible {
        Err("a pure script does not sleep".into())
    }

    /// Refused: a pure script has nothing to wait for.
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_float(_seconds: FLOAT) -> Fallible {
        Err("a pure script does not sleep".into())
    }
}
