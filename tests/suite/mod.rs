mod client_faults;
mod real_client;
mod real_rig;
