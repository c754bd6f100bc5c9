

mod assets;
mod assets_publish;
mod assets_tidy;
mod cli;
mod cli_run;
mod client_faults;
mod client_sim;
mod examples;
mod golden_execute;
mod golden_validate;
mod jobs_collect;
mod mcp_discover;
mod mcp_flow;
mod mcp_outage;
mod mcp_protocol;
mod mcp_scripts;
mod mcp_survive;
mod real_client;
mod real_end;
mod real_mcp;
mod real_rig;
mod script_errors;
mod sim_media;
mod sim_protocol;
mod sim_run;
mod store;
