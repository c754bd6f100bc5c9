//! What prompts are made of:
//!
//! ```rhai
//! [
//!     user("Which of these is sharper?"),
//!     user(reply().image(bytes, "image/webp")),
//!     assistant("The second one."),
//! ]
//! ```

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, export_module};

use super::{SharedModule, indexed};
use crate::script::answers;
use crate::script::conversation::{Message, Role};

pub(super) fn module() -> SharedModule {
    let mut module = exported_module!(functions);
    module.set_custom_type::<Message>("Message");
    indexed(module)
}

#[export_module]
mod functions {
    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// What the user says: a string, or what a reply shows.
    /// Throws a text for what is neither text nor a reply that shows something.
    /// Example: `[user("Which is sharper?"), assistant("The second.")]`
    #[rhai_fn(return_raw)]
    pub fn user(content: Dynamic) -> Fallible<Message> {
        super::said_by(Role::User, &content)
    }

    /// What the model says: a string, or what a reply shows.
    /// Throws the same as `user`.
    /// Example: `assistant("The second one.")`
    #[rhai_fn(return_raw)]
    pub fn assistant(content: Dynamic) -> Fallible<Message> {
        super::said_by(Role::Assistant, &content)
    }
}

fn said_by(role: Role, content: &Dynamic) -> Result<Message, Box<EvalAltResult>> {
    let content = answers::content(content);
    let content = content.ok_or("a message is a string or a reply with text, pictures, ...")?;
    Ok(Message { role, content })
}
