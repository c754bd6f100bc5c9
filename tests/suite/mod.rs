mod golden_validate;
mod real_rig;
