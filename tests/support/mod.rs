pub(crate) mod assets;
pub(crate) mod golden;
pub(crate) mod rig;
pub(crate) mod sim;
