pub(crate) mod rig;
