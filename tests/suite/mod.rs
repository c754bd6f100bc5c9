mod assets;
mod assets_publish;
mod golden_execute;
mod golden_validate;
mod real_rig;
mod sim_media;
mod sim_protocol;
mod sim_run;
