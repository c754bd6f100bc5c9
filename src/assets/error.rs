//! What can go wrong with assets.

use std::path::PathBuf;

use crate::failure::{Code, Failure};
use crate::store::StoreError;

/// Why an asset could not be kept, found or shown.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// No asset has this id, or its time is over.
    #[error("asset \"{asset_id}\" {}", if *expired { "has expired" } else { "is unknown" })]
    NotFound {
        /// The id asked for.
        asset_id: String,
        /// Whether it's still there but past its time.
        expired: bool,
    },
    /// The record is there, its bytes are not.
    #[error("the bytes of asset \"{asset_id}\" are gone: no file {}", path.display())]
    BytesGone {
        /// The asset.
        asset_id: String,
        /// Where they should be.
        path: PathBuf,
    },
    /// The workflow that made an asset isn't known.
    #[error("the workflow of asset \"{0}\" is not known")]
    NoWorkflow(String),
    /// There is no picture to show of this.
    #[error("no preview can be made of {mime_type}: {reason}")]
    NoPreview {
        /// What the asset is.
        mime_type: String,
        /// What stands in the way.
        reason: String,
    },
    /// The bytes could not be read from where they come from.
    #[error("could not read the bytes of \"{filename}\": {source}")]
    Source {
        /// The asset's name.
        filename: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AssetError> for Failure {
    fn from(error: AssetError) -> Self {
        let message = error.to_string();
        match error {
            AssetError::NotFound { asset_id, expired } => {
                let hint = if expired {
                    "make it again with regenerate, or let assets live longer with COMFY_MCP_ASSET_TTL_HOURS or by pinning them"
                } else {
                    "list_assets shows the assets there are"
                };
                Self::new(Code::ASSET_NOT_FOUND_OR_EXPIRED, message)
                    .hint(hint)
                    .detail("asset_id", asset_id)
            }
            AssetError::BytesGone { asset_id, .. } => Self::new(Code::SOURCE_NOT_FOUND, message)
                .hint("make it again with regenerate")
                .detail("asset_id", asset_id),
            AssetError::NoWorkflow(asset_id) => Self::new(Code::NO_WORKFLOW_DATA, message)
                .hint("assets that were imported or made without a workflow can't be made again")
                .detail("asset_id", asset_id),
            AssetError::NoPreview { mime_type, .. } => Self::new(Code::UNSUPPORTED_TYPE, message)
                .hint("open the asset's file instead")
                .detail("mime_type", mime_type),
            AssetError::Source { filename, .. } => Self::new(Code::SOURCE_NOT_FOUND, message)
                .hint("check that the file is there and readable")
                .detail("filename", filename),
            AssetError::Store(error) => error.into(),
        }
    }
}
