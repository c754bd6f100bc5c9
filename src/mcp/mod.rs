//! The MCP server: every tool script is a tool. The only place that knows rmcp.

mod catalog;
mod progress;
mod server;

pub use server::serve_stdio;
