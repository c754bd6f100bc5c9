pub(crate) mod assets;
pub(crate) mod processes;
