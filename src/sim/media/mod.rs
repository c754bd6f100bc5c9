//! Files as the save nodes write them.

pub(super) mod png;
