//! `mmf graph`: a workflow to look at.

use std::path::Path;

use super::args::{DrawTarget, Global, GraphArgs};
use super::handed::{Asked, workflow};
use super::{Ended, Stopped, report};
use crate::comfy::drawing::{loose_links, to_mermaid, to_svg};
use crate::failure::{Code, Failure};

pub(super) async fn graph(global: &Global, args: &GraphArgs) -> Result<Ended, Stopped> {
    let mut asked = Asked::new(global, args.nodes.as_deref());
    let given = workflow(global, &args.workflow, &mut asked).await?;
    let facts = asked.facts().await?;
    let drawn = match args.to.unwrap_or_else(|| told_by(args.output.as_deref())) {
        DrawTarget::Mermaid => to_mermaid(&given.workflow, &facts.nodes),
        DrawTarget::Svg => to_svg(&given.workflow, &facts.nodes),
    };
    for loose in loose_links(&given.workflow, &facts.nodes) {
        report::note(format_args!("note: {loose}"));
    }
    let Some(file) = &args.output else {
        report::line(drawn.trim_end());
        return Ok(Ended::Well);
    };
    std::fs::write(file, drawn).map_err(|error| {
        let message = format!("{} can't be written: {error}", file.display());
        Failure::new(Code::INTERNAL_ERROR, message)
    })?;
    report::note(format_args!(
        "{} is drawn in {}",
        given.name,
        file.display()
    ));
    Ok(Ended::Well)
}

/// A file named `x.svg` is to be a picture.
fn told_by(output: Option<&Path>) -> DrawTarget {
    let extension = output.and_then(Path::extension);
    if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        DrawTarget::Svg
    } else {
        DrawTarget::Mermaid
    }
}
