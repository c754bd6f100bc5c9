//! Python's view of JSON values: `int()`, `float()`, `str()`, `bool()`, `repr()`, `==` and `<`.
//!
//! The server coerces and compares with these and prints them into its messages, so their exact
//! rules decide which prompts pass. Followed: `CPython` 3.12.

mod convert;
mod exception;
mod number;
mod text;
mod values;

pub(super) use convert::{float, int};
pub use exception::Exception;
pub(super) use number::Num;
pub(super) use text::{repr, repr_list, text};
pub use values::equal;
pub(super) use values::{Scalar, compares, get, is_true, item, type_name};
