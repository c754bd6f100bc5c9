//! `mmf serve`.

use std::sync::Arc;

use super::args::Global;
use super::{Ended, Stopped, start};
use crate::mcp;

pub(super) async fn serve(global: &Global) -> Result<Ended, Stopped> {
    let app = start::app(global, true).await?;
    mcp::serve_stdio(Arc::new(app)).await?;
    Ok(Ended::Well)
}
