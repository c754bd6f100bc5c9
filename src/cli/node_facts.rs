//! The node facts of a command that can do without a server.

use std::path::Path;
use std::sync::Arc;

use super::args::Global;
use super::{report, start};
use crate::clock::Clock;
use crate::comfy::Comfy;
use crate::comfy::nodes::{BUNDLED_VERSION, NodeFacts, Snapshot};
use crate::config::{Config, Overrides};
use crate::failure::Failure;
use crate::ids::Ids;

/// Facts from the address or snapshot that was asked for; else from the configured server; else,
/// if that is away, those that are part of this program. Tells on stderr which they are, unless
/// they were asked for.
pub(super) async fn read(global: &Global, nodes: Option<&str>) -> Result<Arc<NodeFacts>, Failure> {
    if let Some(file) = nodes.filter(|nodes| !nodes.contains("://")) {
        return Ok(Arc::new(Snapshot::read(Path::new(file))?.facts));
    }
    if global.sim && nodes.is_none() {
        let app = start::app(global, false).await?;
        return Ok(app.host().comfy.node_facts().await?);
    }
    let config = Config::load(&Overrides {
        url: nodes.map(str::to_owned).or(global.url.clone()),
        ..global.overrides()
    })?;
    for withheld in &config.withheld {
        tracing::warn!("{withheld}");
    }
    let comfy = Comfy::new(config.server.clone(), Ids::default(), Clock::default());
    match comfy.node_facts().await {
        Ok(facts) => {
            if nodes.is_none() {
                report::note(format_args!("node facts of {}", config.server));
            }
            Ok(facts)
        }
        Err(error) if error.is_outage() && nodes.is_none() && global.url.is_none() => {
            report::note(format_args!(
                "{error}; going by ComfyUI {BUNDLED_VERSION} without node packs and without long \
                 default texts (--nodes takes a server or a snapshot)"
            ));
            Ok(NodeFacts::bundled())
        }
        Err(error) => Err(error.into()),
    }
}
