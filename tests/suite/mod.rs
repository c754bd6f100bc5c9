

mod assets;
mod assets_publish;
mod client_faults;
mod client_sim;
mod golden_execute;
mod golden_validate;
mod real_client;
mod real_rig;
mod sim_run;
mod store;
