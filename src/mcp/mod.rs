//! The MCP server: every tool script is a tool. The only place that knows rmcp.

mod catalog;
mod content;
mod progress;
mod server;

pub use server::serve_stdio;
