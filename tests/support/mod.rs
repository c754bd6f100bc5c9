pub(crate) mod assets;
pub(crate) mod golden;
pub(crate) mod mcp;
pub(crate) mod mmf;
pub(crate) mod processes;
pub(crate) mod rig;
pub(crate) mod scripted;
pub(crate) mod sim;
