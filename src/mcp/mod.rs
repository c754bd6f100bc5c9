//! The MCP server: every tool script is a tool. The only place that knows rmcp.

mod cancel;
mod catalog;
mod changes;
mod choice;
mod client;
mod content;
mod http;
mod long;
mod preview;
mod progress;
mod refusal;
mod requests;
mod resources;
mod run;
mod server;
mod session;
mod stdio;
mod tasks;
mod waiting;

pub use choice::{Choice, ChoiceError};
pub use http::HttpServer;
pub use server::serve_stdio;
