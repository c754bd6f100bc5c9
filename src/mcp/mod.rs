//! The MCP server: every tool script is a tool. The only place that knows rmcp.

mod catalog;
mod content;
mod http;
mod progress;
mod server;

pub use http::HttpServer;
pub use server::serve_stdio;
