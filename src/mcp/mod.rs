//! The MCP server: every tool script is a tool. The only place that knows rmcp.

mod catalog;
mod choice;
mod content;
mod http;
mod progress;
mod server;
mod stdio;

pub use choice::{Choice, ChoiceError};
pub use http::HttpServer;
pub use server::serve_stdio;
