pub(crate) mod assets;
