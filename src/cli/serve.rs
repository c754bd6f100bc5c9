//! `mmf serve`.

use std::net::SocketAddr;
use std::sync::Arc;

use super::args::{Global, ServeArgs};
use super::{Ended, Stopped, report, start};
use crate::app::App;
use crate::config::{Config, Mcp};
use crate::failure::Failure;
use crate::mcp::{self, Choice, HttpServer};

pub(super) async fn serve(global: &Global, args: &ServeArgs) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let app = Arc::new(start::app_of(global, &config, true).await?);
    let tools = args.tools.as_ref().unwrap_or(&config.mcp.tools);
    let choice = Choice::of(tools, &app.library().generation())?;
    match args.http {
        Some(address) => over_http(app, choice, &config.mcp, address).await?,
        None => mcp::serve_stdio(app, choice).await?,
    }
    Ok(Ended::Well)
}

async fn over_http(
    app: Arc<App>,
    choice: Choice,
    settings: &Mcp,
    address: SocketAddr,
) -> Result<(), Failure> {
    for ignored in &settings.ignored {
        tracing::warn!("{ignored}");
    }
    let server = HttpServer::bind(address, settings).await?;
    report::note(format!("MCP listens at {}", server.url()));
    let stop = async {
        if !start::asked_to_end().await {
            // Where signals can't be heard, the process is ended from outside.
            std::future::pending::<()>().await;
        }
    };
    server.serve(app, choice, stop).await
}
