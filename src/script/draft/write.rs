//! The text of a template.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::DraftOptions;
use super::declare::declaration;
use super::idiom::{Argument, Call, Unit};
use super::lift::{Lifted, Lifting};
use super::literal::{Values, key, string};
use super::order::{Ordered, Stage};
use super::purpose::{Medium, Purpose};
use super::read::{Given, Graph, Output, Part};

/// The longest line of a statement; a longer one is laid out over several.
const LINE: usize = 110;

/// The same where a title stands at the end.
const TITLED_LINE: usize = 130;

/// As many variables as a script may have, less what it needs beside the nodes.
const MOST_VARIABLES: usize = 800;

/// How far a statement of a function is moved in.
pub(super) const INDENT: &str = "    ";

pub(super) fn text(
    graph: &Graph<'_>,
    ordered: &Ordered,
    lifting: &Lifting,
    names: &[Option<String>],
    purpose: &Purpose,
    options: &DraftOptions<'_>,
) -> String {
    let variables = names.iter().flatten().count();
    let mut writer = Writer {
        graph,
        ordered,
        lifting,
        names,
        in_map: variables > MOST_VARIABLES,
        counted: 0,
        used: RefCell::default(),
        text: String::new(),
    };
    writer.build();
    let build = std::mem::take(&mut writer.text);
    writer.imports();
    writer.head(purpose, options);
    writer.text.push_str(&build);
    writer.text
}

struct Writer<'w, 'a> {
    graph: &'w Graph<'a>,
    ordered: &'w Ordered,
    lifting: &'w Lifting,
    names: &'w [Option<String>],
    /// Whether the nodes stand in one map, because they are too many for variables.
    in_map: bool,
    /// How many values were so deep that they got a statement of their own.
    counted: usize,
    /// The parameters that have an effect: a function of a library may settle some.
    used: RefCell<HashSet<String>>,
    text: String,
}

impl Writer<'_, '_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn imports(&mut self) {
        let calls = self.ordered.units.iter();
        let calls = calls.filter_map(|(unit, _)| unit.call.as_ref());
        let mut libraries: Vec<&str> = calls.map(|call| call.pattern.library.as_str()).collect();
        libraries.sort_unstable();
        libraries.dedup();
        for library in &libraries {
            let line = format!("import {} as {};", string(library), alias(library));
            self.line(&line);
        }
        if !libraries.is_empty() {
            self.line("");
        }
    }

    fn head(&mut self, purpose: &Purpose, options: &DraftOptions<'_>) {
        let title = options
            .title
            .map_or_else(|| heading(options.name), str::to_owned);
        self.line(&format!("title({});", string(&title)));
        self.line(&format!(
            "about({});",
            string(&self.about(purpose, options))
        ));
        let mut meta = Vec::new();
        if let Some(model) = &purpose.model {
            meta.push(format!("model: {}", string(model)));
        }
        meta.push(format!("type: {}", string(&purpose.kind())));
        let tags = purpose.tags().map(string);
        meta.push(format!("tags: [{}]", tags.join(", ")));
        if purpose.is_paid {
            meta.push("paid: true".to_owned());
        }
        self.line(&format!("meta(#{{ {} }});", meta.join(", ")));
        self.line("");
        let lifting = self.lifting;
        let params = lifting.params.iter().filter(|param| self.is_used(param));
        let lines: Vec<String> = params.map(declaration).collect();
        for line in &lines {
            self.line(line);
        }
        if !lines.is_empty() {
            self.line("");
        }
    }

    fn is_used(&self, param: &Lifted) -> bool {
        let is_large = self.lifting.large.values().any(|name| *name == param.name);
        is_large || self.used.borrow().contains(&param.name)
    }

    fn about(&self, purpose: &Purpose, options: &DraftOptions<'_>) -> String {
        let used = self.used.borrow();
        let says = used.iter().any(|name| name.contains("PROMPT"));
        let from = match purpose.from {
            Some(Medium::Picture) if says => " from a picture and a prompt",
            Some(Medium::Picture) => " from a picture",
            Some(Medium::Clip) if says => " from a clip and a prompt",
            Some(Medium::Clip) => " from a clip",
            Some(_) if says => " from a sound and a prompt",
            Some(_) => " from a sound",
            None if says => " from a prompt",
            None => "",
        };
        let mut about = format!("Makes {}{from}", purpose.makes.article());
        if let Some(model) = &purpose.model {
            let _ = write!(about, ", with {model}");
        }
        about.push('.');
        if let Some(origin) = options.from {
            let _ = write!(about, " Imported from {origin}.");
        }
        about
    }

    fn build(&mut self) {
        self.line("fn build(p) {");
        self.line("    let g = workflow();");
        if self.in_map {
            self.line("    let n = #{};");
        }
        let mut before: Option<Stage> = None;
        for at in 0..self.ordered.units.len() {
            let (unit, stage) = &self.ordered.units[at];
            if before.is_some_and(|before| before != *stage) {
                self.line("");
            }
            before = Some(*stage);
            let statement = self.statement(at, unit);
            self.text.push_str(&statement);
        }
        self.numbering();
        self.broken();
        self.line("    g");
        self.line("}");
    }

    fn statement(&mut self, at: usize, unit: &Unit) -> String {
        let mut values = Values {
            large: &self.lifting.large,
            before: Vec::new(),
            counted: self.counted,
        };
        let mut statement = String::new();
        let name = self.names[at].as_deref();
        let begin = match name {
            Some(name) if self.in_map => format!("n.{name} = "),
            Some(name) => format!("let {name} = "),
            None => String::new(),
        };
        let body = if let Some(call) = &unit.call {
            self.call(call, &begin, &mut values)
        } else {
            let at = unit.parts.first().copied().unwrap_or_default();
            let part = &self.graph.parts[at];
            let title = part.title.map(comment);
            if let Some(title) = title.filter(|title| !title.is_empty()) {
                let _ = writeln!(statement, "{INDENT}// {title}");
            }
            self.node(at, part, &begin, &mut values)
        };
        for line in &values.before {
            let _ = writeln!(statement, "{INDENT}{line}");
        }
        self.counted = values.counted;
        let _ = writeln!(statement, "{INDENT}{begin}{body};");
        statement
    }

    fn node(&self, at: usize, part: &Part<'_>, begin: &str, values: &mut Values<'_>) -> String {
        let mut inputs: Vec<(String, String, bool)> = Vec::with_capacity(part.inputs.len());
        for (name, given) in &part.inputs {
            let written = match given {
                Given::Link(output) => self.output(*output),
                Given::Broken(_) => continue,
                Given::Value(value) => self.value(at, name, value, values),
            };
            inputs.push((key(name), written, matches!(given, Given::Link(_))));
        }
        let class = string(part.class);
        let titled = part
            .title
            .map(|title| format!(".titled({})", string(title)));
        let titled = titled.unwrap_or_default();
        if inputs.is_empty() {
            return format!("g.node({class}){titled}");
        }
        let pairs: Vec<String> = inputs
            .iter()
            .map(|(name, value, _)| format!("{name}: {value}"))
            .collect();
        let short = format!("g.node({class}, #{{ {} }}){titled}", pairs.join(", "));
        // A title behind it is read over.
        let limit = if titled.is_empty() { LINE } else { TITLED_LINE };
        if INDENT.len() + begin.len() + short.chars().count() < limit {
            return short;
        }
        // What comes from elsewhere first, then what is set here.
        let (links, own): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|(.., link)| *link);
        let mut long = format!("g.node({class}, #{{\n");
        for (name, value, _) in links.into_iter().chain(own) {
            let _ = writeln!(long, "{INDENT}{INDENT}{name}: {value},");
        }
        let _ = write!(long, "{INDENT}}}){titled}");
        long
    }

    fn value(&self, at: usize, input: &str, value: &Value, values: &mut Values<'_>) -> String {
        match self.lifting.at(at, input) {
            Some(param) => {
                self.used.borrow_mut().insert(param.name.clone());
                format!("p.{}", param.name)
            }
            None => values.write(value),
        }
    }

    fn call(&self, call: &Call, begin: &str, values: &mut Values<'_>) -> String {
        let mut arguments = vec!["g".to_owned()];
        for argument in &call.arguments {
            arguments.push(match argument {
                Argument::Link(output) => self.output(*output),
                Argument::Value { value, at, whole } => match at.first() {
                    Some((part, input)) if *whole => self.value(*part, input, value, values),
                    _ => values.write(value),
                },
            });
        }
        let pattern = &call.pattern;
        let function = format!("{}::{}", alias(&pattern.library), pattern.function);
        let short = format!("{function}({})", arguments.join(", "));
        if INDENT.len() + begin.len() + short.chars().count() < LINE {
            return short;
        }
        let mut long = format!("{function}(\n");
        for argument in arguments {
            let _ = writeln!(long, "{INDENT}{INDENT}{argument},");
        }
        let _ = write!(long, "{INDENT})");
        long
    }

    /// A link, as the statement that made the node gives it.
    fn output(&self, output: Output) -> String {
        let (unit, place) = self.ordered.places[output.part];
        let name = self.names[unit].as_deref().unwrap_or_default();
        let variable = if self.in_map {
            format!("n.{name}")
        } else {
            name.to_owned()
        };
        let call = self.ordered.units[unit].0.call.as_ref();
        match call.map(|call| call.pattern.key_of(place, output.slot)) {
            None => format!("{variable}[{}]", output.slot),
            Some(Some("") | None) => variable,
            Some(Some(key)) => format!("{variable}.{key}"),
        }
    }

    /// The ids that the nodes had, where a script would give others.
    fn numbering(&mut self) {
        let parts = self.ordered.units.iter().flat_map(|(unit, _)| &unit.parts);
        let ids: Vec<&str> = parts.map(|part| self.graph.parts[*part].id).collect();
        let mut numbers = ids.iter().zip(1_usize..);
        if numbers.all(|(id, number)| **id == number.to_string()) {
            return;
        }
        let ids: Vec<String> = ids.into_iter().map(string).collect();
        let short = format!("{INDENT}g.number([{}]);", ids.join(", "));
        self.line("");
        if short.chars().count() < LINE {
            self.line(&short);
            return;
        }
        self.line("    g.number([");
        let mut line = String::new();
        for id in ids {
            if !line.is_empty() && line.chars().count() + id.chars().count() + 11 > LINE {
                let full = std::mem::take(&mut line);
                self.line(&format!("{INDENT}{INDENT}{}", full.trim_end()));
            }
            let _ = write!(line, "{id}, ");
        }
        self.line(&format!("{INDENT}{INDENT}{}", line.trim_end()));
        self.line("    ]);");
    }

    /// Links to nodes that are not there, written when nothing is renumbered any more.
    fn broken(&mut self) {
        let mut lines = Vec::new();
        for part in &self.graph.parts {
            for (name, given) in &part.inputs {
                let Given::Broken(value) = given else {
                    continue;
                };
                let mut values = Values {
                    large: &self.lifting.large,
                    before: Vec::new(),
                    counted: self.counted,
                };
                let value = values.write(value);
                let (id, name) = (string(part.id), string(name));
                lines.push(format!("{INDENT}g.set({id}, {name}, {value});"));
            }
        }
        if lines.is_empty() {
            return;
        }
        self.line("");
        self.line("    // No node has these ids.");
        for line in lines {
            self.line(&line);
        }
    }
}

/// `pony/save` is imported as `save`.
fn alias(library: &str) -> String {
    let last = library.rsplit('/').next().unwrap_or(library);
    last.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A name as a title: `flux_dev` is `Flux dev`.
fn heading(name: &str) -> String {
    let words = name.replace(['_', '-', '/'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

/// A title as a comment, which ends with its line.
fn comment(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    words.join(" ")
}
