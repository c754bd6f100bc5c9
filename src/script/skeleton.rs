//! Scripts to start from: one of each kind, small, commented, and running as they are.

use super::{Key, Kind, Layer, Source};

/// A new script of a kind, to be changed by its author.
#[must_use]
pub fn skeleton(kind: Kind, name: &str) -> Source {
    let text = match kind {
        Kind::Template => include_str!("skeleton/template.rhai"),
        Kind::Tool => include_str!("skeleton/tool.rhai"),
        Kind::Pipeline => include_str!("skeleton/pipeline.rhai"),
        Kind::Prompt => include_str!("skeleton/prompt.rhai"),
        Kind::Resource => include_str!("skeleton/resource.rhai"),
        Kind::Fixer => include_str!("skeleton/fixer.rhai"),
        Kind::Hook => match name {
            "after_complete" => include_str!("skeleton/after_complete.rhai"),
            "on_error" => include_str!("skeleton/on_error.rhai"),
            _ => include_str!("skeleton/before_submit.rhai"),
        },
        Kind::Lib => include_str!("skeleton/lib.rhai"),
    };
    let text = text
        .replace("{{NAME}}", name)
        .replace("{{TITLE}}", &title(name));
    Source {
        key: Key {
            kind,
            name: name.to_owned(),
        },
        layer: Layer::File,
        path: format!("{name}.rhai").into(),
        text,
    }
}

/// A name as the words that it is made of.
fn title(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.trim().chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => name.to_owned(),
    }
}
