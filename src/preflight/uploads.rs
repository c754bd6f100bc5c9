//! Which uploaded files exist, as far as the lists of loaders tell.
//!
//! Loaders list the media that lie in the input folder itself, by ending. Nothing is known of what
//! lies elsewhere, nor of files that they would read and do not list.

use std::collections::HashSet;

use serde_json::Value;

use crate::comfy::nodes::{INPUT_FOLDER, NodeFacts, model_folder};

/// What is known of the files of the server that a workflow is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// Every uploaded file may be there.
    #[default]
    Any,
    /// Every uploaded file and every model file may be there: these are another server's facts.
    Foreign,
    /// Those that were there when somebody noted them; more may have come since.
    Once(Uploads),
    /// Those that are there.
    Now(Uploads),
}

/// The files that loaders list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploads {
    /// In small letters: many a server's disk knows no others.
    names: HashSet<String>,
    /// The endings of files in the folder itself, as `ComfyUI`'s own loaders list them: they list
    /// all of such an ending. Others may list another folder.
    endings: HashSet<String>,
}

impl Files {
    /// Those that a server lists right now.
    #[must_use]
    pub fn now(facts: &NodeFacts) -> Self {
        Uploads::listed(facts).map_or(Self::Any, Self::Now)
    }

    /// Those that a server listed at some time.
    #[must_use]
    pub fn once(facts: &NodeFacts) -> Self {
        Uploads::listed(facts).map_or(Self::Any, Self::Once)
    }

    /// The list, if there is one.
    pub(super) fn uploads(&self) -> Option<&Uploads> {
        match self {
            Self::Once(uploads) | Self::Now(uploads) => Some(uploads),
            Self::Any | Self::Foreign => None,
        }
    }
}

impl Uploads {
    /// What loaders list of the input folder; none if they list nothing.
    fn listed(facts: &NodeFacts) -> Option<Self> {
        let (mut names, mut endings) = (HashSet::new(), HashSet::new());
        for class in facts.classes() {
            let loads = class.inputs().iter().filter(|input| {
                input.is_upload() || model_folder(class.name(), input.name()) == Some(INPUT_FOLDER)
            });
            let listed = loads.filter_map(|input| input.choices()).flatten();
            let listed = listed.filter_map(Value::as_str);
            let listed = listed.filter(|name| *name != "none").map(str::to_lowercase);
            for name in listed {
                let is_in_it = !class.is_custom() && !name.contains('/');
                if let Some((_, ending)) = name.rsplit_once('.').filter(|_| is_in_it) {
                    endings.insert(ending.to_owned());
                }
                names.insert(name);
            }
        }
        (!names.is_empty()).then_some(Self { names, endings })
    }

    /// Whether a file may be there, by the name that a prompt gives.
    #[must_use]
    pub fn may_exist(&self, name: &str) -> bool {
        // The server cuts these off together with the one character before them, whichever it is
        // (`annotated_filepath` of 0.3.75).
        if name.ends_with("[output]") || name.ends_with("[temp]") {
            return true;
        }
        let own = name.strip_suffix("[input]").map(|name| {
            let mut chars = name.chars();
            chars.next_back();
            chars.as_str()
        });
        let name = own.unwrap_or(name);
        let name = name.strip_prefix("./").unwrap_or(name).to_lowercase();
        let is_elsewhere = name.contains(['/', '\\']);
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        let is_listed = ending.is_some_and(|ending| self.endings.contains(ending));
        is_elsewhere || !is_listed || self.names.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Uploads {
        let names = ["a.png", "3d/cube.glb"];
        Uploads {
            names: names.map(str::to_owned).into(),
            endings: ["png".to_owned()].into(),
        }
    }

    #[test]
    fn only_what_loaders_would_list_is_known_to_be_missing() {
        for name in [
            "a.png",
            "A.PNG",
            "./a.png",
            "a.png [input]",
            "a.png_[input]",
            "sub/b.png",
            "b.png [output]",
            "b.png_[temp]",
            "b.glb",
            "b.psd",
            "b.mkv",
            "3d",
            ".",
        ] {
            assert!(listed().may_exist(name), "{name}");
        }
        for name in ["b.png", "B.PNG", "b.png [input]", "a.png[input].png"] {
            assert!(!listed().may_exist(name), "{name}");
        }
    }

    #[test]
    fn without_any_file_nothing_is_known_of_files() {
        assert_eq!(Files::now(&NodeFacts::bundled()), Files::Any);
    }
}
