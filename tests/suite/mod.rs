mod real_rig;
