

mod assets;
mod assets_publish;
mod client_faults;
mod client_sim;
mod golden_validate;
mod real_client;
mod real_rig;
mod store;
