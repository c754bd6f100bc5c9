//! How far a script may go before it is stopped.
//!
//! Rhai's own limits differ between debug and release builds and several are off by default, so
//! all are set here, the same in every build.

/// The bounds of one run. What each means in Rhai's terms stands at `Engine::set_max_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations; 5 million take about 6 ms.
    pub operations: u64,
    /// Nested function calls. 64 levels of the deepest expressions need less than the stack of
    /// [`Limits::STACK`] in a debug build.
    pub call_levels: usize,
    /// Nesting of expressions, in functions and outside.
    pub expression_depth: usize,
    /// Bytes of one string.
    pub string_size: usize,
    /// Items of one array.
    pub array_size: usize,
    /// Entries of one map.
    pub map_size: usize,
    /// Variables at one time.
    pub variables: usize,
    /// Scripts that a script runs within itself.
    pub nesting: usize,
}

impl Limits {
    /// The stack of a thread that runs scripts. With 2 MB a debug build dies at call level 32.
    pub const STACK: usize = 16 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations: 200_000_000,
            call_levels: 64,
            expression_depth: 64,
            string_size: 32 * 1024 * 1024,
            array_size: 1_000_000,
            map_size: 100_000,
            variables: 1_000,
            nesting: 8,
        }
    }
}
