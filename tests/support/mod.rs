

pub(crate) mod assets;
pub(crate) mod rig;
