//! Files as the save nodes write them: small, but valid.

pub(super) mod apng;
pub(super) mod audio;
pub(super) mod clip;
pub(super) mod glb;
mod matroska;
mod mp4;
pub(super) mod png;
pub(super) mod webp;
