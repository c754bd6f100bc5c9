//! What the names of model files tell, for pure scripts.

use rhai::exported_module;
use rhai::plugin::{Dynamic, export_module};

use super::{SharedModule, indexed};
use crate::comfy::model_name;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use super::{Dynamic, model_name};

    /// How the numbers in a model's file are stored, as far as its name says: `"fp8_e4m3fn"`, or `()`.
    /// Example: `precision_of("flux1-dev-fp8_e4m3fn.safetensors") ?? "not told"`
    pub fn precision_of(name: &str) -> Dynamic {
        model_name::precision_of(name).map_or(Dynamic::UNIT, Dynamic::from)
    }
}
