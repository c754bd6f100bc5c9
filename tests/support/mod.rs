pub(crate) mod assets;
pub(crate) mod rig;
pub(crate) mod sim;
