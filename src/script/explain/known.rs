//! What a script could have meant: the functions that it can call, as signatures.

use std::collections::BTreeMap;

use rhai::Engine;

use crate::script::arguments::nearest;
use crate::script::resolver::Libraries;
use crate::script::{Kind, Script, check, declare, reference};

/// So many forms of a function are shown.
const MOST_FORMS: usize = 3;

/// The functions that a script can call, by the names under which it does.
pub(in crate::script) struct Known {
    forms: BTreeMap<String, Vec<String>>,
    pub(super) kind: Kind,
}

impl Known {
    /// Those that a script reaches from its functions.
    pub(in crate::script) fn of(engine: &Engine, script: &Script, libraries: &Libraries) -> Self {
        let mut known = Self {
            forms: reference::signatures(engine),
            kind: script.key.kind,
        };
        known.add("", script);
        for import in check::imports(script) {
            if let Some(library) = libraries.get(&import.library) {
                known.add(&format!("{}::", import.alias), &library.script);
            }
        }
        known
    }

    /// The same for a library that a script of this kind calls: it is the caller who is pure or not.
    pub(super) fn for_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Those that a declaration is made of.
    pub(in crate::script) fn declaring(kind: Kind) -> Self {
        let mut engine = Engine::new_raw();
        engine.register_global_module(declare::module());
        Self {
            forms: reference::signatures(&engine),
            kind,
        }
    }

    fn add(&mut self, space: &str, script: &Script) {
        for function in script.ast.iter_functions() {
            if !function.name.starts_with("anon$") {
                let name = format!("{space}{}", function.name);
                let form = format!("{name}({})", function.params.join(", "));
                self.forms.entry(name).or_default().push(form);
            }
        }
        for forms in self.forms.values_mut() {
            forms.sort_by_key(|form| (form.matches(',').count(), form.clone()));
        }
    }

    /// The forms that a function has; none for one that there is not.
    pub(super) fn forms(&self, name: &str) -> &[String] {
        self.forms.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a function takes, in words.
    pub(in crate::script) fn takes(&self, name: &str) -> Option<String> {
        match self.forms(name) {
            [] => None,
            forms => {
                let shown = forms.iter().take(MOST_FORMS).map(String::as_str);
                Some(format!("write {}", shown.collect::<Vec<_>>().join(" or ")))
            }
        }
    }

    /// The function that is most like a name.
    pub(super) fn meant(&self, name: &str) -> Option<String> {
        let own = name.rsplit("::").next().unwrap_or(name);
        let names = || self.forms.keys().map(String::as_str);
        let elsewhere = || {
            let mut all = names();
            all.find(|it| it.rsplit("::").next() == Some(own) && *it != name)
        };
        let within = name
            .rsplit_once("::")
            .map(|(space, _)| format!("{space}::"));
        let like = match &within {
            Some(space) => nearest(name, names().filter(|it| it.starts_with(&**space))),
            None => nearest(name, names().filter(|it| !it.contains("::"))),
        };
        like.or_else(|| elsewhere().map(str::to_owned))
    }
}
