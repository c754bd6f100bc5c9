//! What a declaration says to a sweep.

use serde_json::Value;

use super::{Declaration, Param, Type};
use crate::batch::Wholeness;

impl Declaration {
    /// Which numbers the parameter of that name takes; nothing if that is not known.
    #[must_use]
    pub fn wholeness(&self, name: &str) -> Option<Wholeness> {
        Some(match self.param(name)?.ty {
            Type::Int => Wholeness::Whole,
            Type::Seed => Wholeness::Seed,
            Type::Any => return None,
            _ => Wholeness::Any,
        })
    }
}

impl Param {
    /// A parameter of which nothing but the name is known, as a placeholder in a workflow.
    #[must_use]
    pub fn open(name: String) -> Self {
        Self {
            name,
            ty: Type::Any,
            about: String::new(),
            required: false,
            nullable: false,
            rest: false,
            default: Value::Null,
            min: None,
            max: None,
            step: None,
            choices: vec![],
            folder: None,
            complete: None,
        }
    }
}
