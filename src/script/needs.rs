//! What a template needs beside `ComfyUI` itself: packs of custom nodes.
//!
//! ```rhai
//! meta(#{ needs: [#{ pack: "ComfyUI-F5-TTS", url: "https://github.com/niknah/ComfyUI-F5-TTS",
//!     nodes: ["F5TTSAudioInputs"] }] });
//! ```
//!
//! Whoever uses one of these nodes on a server without it is told which pack has it, whether or not
//! the workflow is that template's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Generation, Kind};
use crate::preflight::Report;

/// A pack of custom nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePack {
    /// Its name in `ComfyUI-Manager`.
    pub pack: String,
    /// The address of its repository.
    pub url: String,
    /// The classes of it that are used.
    pub nodes: Vec<String>,
}

impl NodePack {
    /// What to do to have it.
    #[must_use]
    pub fn advice(&self) -> String {
        format!(
            "install the node pack {}: by its name in ComfyUI-Manager, or with `git clone {}` in \
             custom_nodes; then restart ComfyUI",
            self.pack, self.url
        )
    }
}

impl Declaration {
    /// The packs of custom nodes that it says it needs.
    #[must_use]
    pub fn needs(&self) -> Vec<NodePack> {
        let needs = self.meta.get("needs");
        needs.map_or_else(Vec::new, |needs| read(needs).unwrap_or_default())
    }
}

/// The packs in what a declaration says of them, or what is wrong with it.
pub(super) fn read(needs: &Value) -> Result<Vec<NodePack>, String> {
    Vec::<NodePack>::deserialize(needs).map_err(|error| {
        format!("\"needs\" is a list of #{{ pack, url, nodes: [class, ...] }}: {error}")
    })
}

impl Generation {
    /// The packs of custom nodes that templates need.
    #[must_use]
    pub fn packs(&self) -> Vec<NodePack> {
        let templates = self.of_kind(Kind::Template);
        templates
            .flat_map(|served| served.script.declaration.needs())
            .collect()
    }
}

/// Says of each class that is not there which pack has it.
pub fn name_packs(packs: &[NodePack], report: &mut Report) {
    for finding in &mut report.findings {
        let class = &finding.class_type;
        let mut has_it = packs.iter().filter(|pack| pack.nodes.contains(class));
        if finding.input.as_deref() == Some("class_type")
            && let Some(pack) = has_it.next()
        {
            finding.message = format!("{}; {}", finding.message, pack.advice());
        }
    }
}
