//! The scripts that come with the program, and what their templates are given.

use massmediafactory::comfy::Workflow;
use massmediafactory::script::{Declaration, Generation, Served, Sources, Type, build};
use serde_json::{Map, Value, json};

/// All of them, and nobody else's.
pub(crate) fn shipped() -> Generation {
    Generation::build(Sources::read(&[]), None)
}

/// The media that arguments name.
pub(crate) const MEDIA: [&str; 3] = ["example.png", "example.mp4", "example.flac"];

/// An argument for every parameter that needs one.
pub(crate) fn required(declaration: &Declaration) -> Map<String, Value> {
    let required = declaration.params.iter().filter(|param| param.required);
    let given = required.map(|param| {
        let [picture, clip, sound] = MEDIA;
        let value = match param.ty {
            Type::Image => json!(picture),
            Type::Video => json!(clip),
            Type::Audio => json!(sound),
            Type::Int | Type::Seed => json!(1),
            Type::Float => json!(1.0),
            _ => json!("a red fox"),
        };
        (param.name.clone(), value)
    });
    given.collect()
}

/// The workflow of a template that is given what it needs and nothing else.
pub(crate) fn built(generation: &Generation, served: &Served) -> Workflow {
    let script = &served.script;
    let given = required(&script.declaration);
    build(generation, &script.key.name, given)
        .unwrap_or_else(|error| panic!("{}: {error}", script.key))
}
