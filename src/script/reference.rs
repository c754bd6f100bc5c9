//! All that scripts can call, as it was registered: one declaration of each function, from which the
//! documentation and the editors' definitions are made.
//!
//! The doc comment above a function says what it does. Of its lines, one that begins with `Throws` says
//! how it fails, and one that begins with `Example:` how it is called.

use std::collections::BTreeMap;

use rhai::{Engine, FnNamespace, FuncMetadata};

use super::{bindings, declare};

/// Functions of one name: they do the same with other arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The namespace, empty for what is called without one.
    pub namespace: String,
    /// The name as a script writes it: of a function, a property, an operator or `[]`.
    pub name: String,
    /// Where it may be called.
    pub place: Place,
    /// The forms that it has, that with the fewest arguments first.
    pub forms: Vec<Form>,
    /// How it is called.
    pub example: String,
}

/// Where something may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At the top of a script, where it declares itself.
    Declaration,
    /// In every script.
    Everywhere,
    /// In scripts that are not pure: all but templates and fixers.
    Effects,
    /// In tests.
    Tests,
}

impl Place {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declaration => "at the top of a script",
            Self::Everywhere => "in every script",
            Self::Effects => "in all but templates and fixers",
            Self::Tests => "in tests",
        }
    }
}

/// One form of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What kind of call it is.
    pub call: Call,
    /// The parameters with their types, in the words of scripts.
    pub params: Vec<(String, String)>,
    /// What it gives.
    pub gives: String,
    /// What it does.
    pub about: String,
    /// How it fails; empty for what never does.
    pub throws: String,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `name(a, b)`
    Function,
    /// `a.name(b)`
    Method,
    /// `a.name`
    Property,
    /// `a[b]`
    Index,
    /// `a + b`
    Operator,
}

impl Binding {
    /// The name with its namespace.
    #[must_use]
    pub fn path(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}::{}", self.namespace, self.name)
        }
    }

    /// One of its forms as a signature: `comfy::wait(prompt_id: string, seconds: float) -> map`.
    #[must_use]
    pub fn signature(&self, form: &Form) -> String {
        let typed = |params: &[(String, String)]| {
            let params: Vec<String> = params
                .iter()
                .map(|(name, ty)| format!("{name}: {ty}"))
                .collect();
            params.join(", ")
        };
        let first = || form.params.first().map_or("", |(name, _)| name.as_str());
        let rest = || typed(form.params.get(1..).unwrap_or_default());
        let called = match form.call {
            Call::Function => format!("{}({})", self.path(), typed(&form.params)),
            Call::Method => format!("{}.{}({})", first(), self.name, rest()),
            Call::Property => format!("{}.{}", first(), self.name),
            Call::Index => format!("{}[{}]", first(), rest()),
            Call::Operator => {
                let sides: Vec<&str> = form.params.iter().map(|(_, ty)| ty.as_str()).collect();
                sides.join(&format!(" {} ", self.name))
            }
        };
        match form.gives.as_str() {
            "()" => called,
            gives => format!("{called} -> {gives}"),
        }
    }
}

/// All of them, by namespace and name.
#[must_use]
pub fn reference() -> Vec<Binding> {
    let mut found = BTreeMap::new();
    // Of what several have, the first say where.
    let mut pure = Engine::new_raw();
    bindings::register_ours(&mut pure, true);
    let mut effects = Engine::new_raw();
    bindings::register_ours(&mut effects, false);
    let mut declaring = Engine::new_raw();
    declaring.register_global_module(declare::module());
    let mut tests = Engine::new_raw();
    tests.register_global_module(bindings::testing::module());
    for (engine, place) in [
        (&pure, Place::Everywhere),
        (&effects, Place::Effects),
        (&declaring, Place::Declaration),
        (&tests, Place::Tests),
    ] {
        collect(engine, place, &mut found);
    }
    let mut bindings: Vec<Binding> = found.into_values().collect();
    for binding in &mut bindings {
        let order = |form: &Form| (form.params.len(), form.params.clone());
        binding.forms.sort_by_key(order);
    }
    bindings
}

/// The forms of all functions of an engine, the language's own included, by the name as a script
/// writes it.
pub(super) fn signatures(engine: &Engine) -> BTreeMap<String, Vec<String>> {
    let registered = engine.collect_fn_metadata(
        None,
        |info| Some((info.namespace.to_string(), info.metadata.clone())),
        true,
    );
    let mut signatures = BTreeMap::<String, Vec<(usize, String)>>::new();
    for (namespace, function) in registered {
        let is_method = function.namespace == FnNamespace::Global && namespace.is_empty();
        let (call, name) = call_of(&function, is_method);
        if !matches!(call, Call::Function | Call::Method) {
            continue;
        }
        let form = Form {
            call,
            params: params_of(&function),
            gives: "()".to_owned(),
            about: String::new(),
            throws: String::new(),
        };
        let binding = Binding {
            namespace,
            name,
            place: Place::Everywhere,
            forms: vec![],
            example: String::new(),
        };
        let signature = (form.params.len(), binding.signature(&form));
        let forms = signatures.entry(binding.path()).or_default();
        if !forms.contains(&signature) {
            forms.push(signature);
        }
    }
    let shortest_first = |(name, mut forms): (String, Vec<(usize, String)>)| {
        forms.sort();
        (name, forms.into_iter().map(|(_, form)| form).collect())
    };
    signatures.into_iter().map(shortest_first).collect()
}

type Found = BTreeMap<(String, String, &'static str), Binding>;

fn collect(engine: &Engine, place: Place, found: &mut Found) {
    let registered = engine.collect_fn_metadata(
        None,
        |info| Some((info.namespace.to_string(), info.metadata.clone())),
        false,
    );
    for (namespace, function) in registered {
        let is_method = function.namespace == FnNamespace::Global && namespace.is_empty();
        let (call, name) = call_of(&function, is_method);
        let Text {
            about,
            throws,
            example,
        } = Text::of(&function);
        // Types keep methods of the same name apart.
        let of = function
            .params_info
            .first()
            .map_or("", |first| type_of(first));
        let of = if call == Call::Function { "" } else { of };
        let key = (namespace.clone(), name.clone(), of);
        let binding = found.entry(key).or_insert_with(|| Binding {
            namespace,
            name,
            place,
            forms: vec![],
            example: String::new(),
        });
        if binding.place != place {
            continue;
        }
        // Functions are found in any order; the plainest example is the first to read.
        let plainness = |example: &str| (example.is_empty(), example.len(), example.to_owned());
        if plainness(&example) < plainness(&binding.example) {
            binding.example = example;
        }
        let form = Form {
            call,
            params: params_of(&function),
            gives: result_of(&function.return_type),
            about,
            throws,
        };
        if !binding.forms.contains(&form) {
            binding.forms.push(form);
        }
    }
}

fn call_of(function: &FuncMetadata, is_method: bool) -> (Call, String) {
    let name = function.name.as_str();
    if let Some(property) = name.strip_prefix("get$") {
        return (Call::Property, property.to_owned());
    }
    if name.starts_with("index$get$") {
        return (Call::Index, "[]".to_owned());
    }
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return (Call::Operator, name.to_owned());
    }
    let is_method = is_method
        && function
            .params_info
            .first()
            .is_some_and(|first| first.contains("&mut"));
    let call = if is_method {
        Call::Method
    } else {
        Call::Function
    };
    (call, name.to_owned())
}

fn params_of(function: &FuncMetadata) -> Vec<(String, String)> {
    let params = function.params_info.iter();
    let params = params.map(|param| {
        let name = param.split(':').next().unwrap_or_default();
        let name = name.trim().trim_start_matches('_').to_owned();
        (name, type_of(param).to_owned())
    });
    params.collect()
}

/// The type of `name: Type`, in the words of scripts.
fn type_of(param: &str) -> &'static str {
    let ty = param.split_once(':').map_or("", |(_, ty)| ty);
    word(ty)
}

/// What a function gives, without how it fails.
fn result_of(ty: &str) -> String {
    let ty = ty.trim();
    let inner = ty
        .strip_suffix('>')
        .and_then(|ty| ty.split_once('<'))
        .filter(|(outer, _)| outer.trim().ends_with("Fallible") || outer.contains("Result"));
    match inner {
        Some((_, inner)) => word(inner).to_owned(),
        None => word(ty).to_owned(),
    }
}

/// A type of ours as scripts call it.
fn word(ty: &str) -> &'static str {
    let ty = ty.trim().trim_start_matches("&mut").trim_start_matches('&');
    match ty.trim().rsplit("::").next().unwrap_or_default() {
        "" | "()" => "()",
        "str" | "ImmutableString" | "String" | "string" => "string",
        "INT" | "i64" => "int",
        "FLOAT" | "f64" => "float",
        "u64" => "seed",
        "bool" => "bool",
        "Map" => "map",
        "Array" => "array",
        "Blob" => "blob",
        "FnPtr" => "function",
        "WorkflowHandle" | "Workflow" => "workflow",
        "NodeHandle" | "Node" => "node",
        "Link" => "link",
        "ReplyHandle" | "Reply" => "reply",
        "Message" => "message",
        "Recipe" | "Facts" => "facts",
        _ => "any",
    }
}

/// What the comment above a function says.
#[derive(Default)]
struct Text {
    about: String,
    throws: String,
    example: String,
}

impl Text {
    fn of(function: &FuncMetadata) -> Self {
        let mut text = Self::default();
        let mut in_throws = false;
        let lines = function.comments.iter().flat_map(|comment| comment.lines());
        for line in lines {
            let line = line.trim().trim_start_matches("///").trim();
            if let Some(example) = line.strip_prefix("Example:") {
                unquoted(example.trim()).clone_into(&mut text.example);
                in_throws = false;
            } else if let Some(throws) = line.strip_prefix("Throws ") {
                throws.clone_into(&mut text.throws);
                in_throws = true;
            } else {
                let told = if in_throws {
                    &mut text.throws
                } else {
                    &mut text.about
                };
                if !told.is_empty() {
                    told.push(' ');
                }
                told.push_str(line);
            }
        }
        text
    }
}

/// What stands between backticks, be it one on each side or two.
fn unquoted(example: &str) -> &str {
    let within = |mark: &str| example.strip_prefix(mark)?.strip_suffix(mark);
    within("``").or_else(|| within("`")).unwrap_or(example)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Key, Kind, Layer, Library, Source, check};

    #[test]
    fn everything_has_words_and_an_example_and_says_how_it_fails() {
        for binding in reference() {
            let path = binding.path();
            assert!(!binding.example.is_empty(), "{path} has no example");
            for form in &binding.forms {
                let signature = binding.signature(form);
                assert!(!form.about.is_empty(), "{signature} has no words");
                assert_ne!(form.gives, "any type", "{signature}");
            }
        }
        assert!(reference().len() > 90, "{}", reference().len());
    }

    /// What examples speak of, so that they can be read by themselves.
    const AROUND: &str =
        "g, other, node, asset_id, other_id, prompt_id, plan, results, bytes, i, p";

    #[test]
    fn every_example_is_a_script_without_a_mistake() {
        let generation = Library::load(vec![]).generation();
        for binding in reference() {
            let example = &binding.example;
            let text = match binding.place {
                Place::Declaration => format!("{example}\nfn run(p) {{ }}"),
                Place::Tests => {
                    format!("fn run(p) {{ }}\nfn test_it() {{ let g = workflow(); {example} }}")
                }
                _ => format!("fn run(p) {{ }}\nfn example({AROUND}) {{ {example} }}"),
            };
            let source = Source {
                key: Key {
                    kind: Kind::Pipeline,
                    name: "example".into(),
                },
                layer: Layer::File,
                path: "example.rhai".into(),
                text,
            };
            let problems = check(&generation, &source, None).problems;
            let is_worth = |code: &str| !["unused-parameter"].contains(&code);
            let problems: Vec<_> = problems
                .iter()
                .filter(|problem| is_worth(problem.code.as_str()))
                .collect();
            assert!(problems.is_empty(), "{}: {problems:#?}", binding.path());
        }
    }

    #[test]
    fn signatures_are_in_the_words_of_scripts() {
        let told: Vec<String> = reference()
            .iter()
            .flat_map(|binding| binding.forms.iter().map(|form| binding.signature(form)))
            .collect();
        for signature in [
            "comfy::wait(prompt_id: string, seconds: float) -> any",
            "workflow.node(class_type: string, inputs: map) -> node",
            "node[slot: int] -> link",
            "workflow.size -> int",
            "seed + int -> any",
            "parallel(functions: array) -> array",
            "reply.text(text: string) -> reply",
            "title(text: string)",
        ] {
            assert!(
                told.iter().any(|it| it == signature),
                "{signature}: {told:#?}"
            );
        }
    }
}
