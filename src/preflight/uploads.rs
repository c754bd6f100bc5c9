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
    /// Those that are there, or are to be taken for all that are.
    Now(Uploads),
}

/// The files that loaders list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploads {
    names: HashSet<String>,
    /// The endings of files in the folder itself, as `ComfyUI`'s own loaders list them: they list
    /// all of such an ending. Others may list another folder.
    endings: HashSet<String>,
    /// Whether the list is to be taken by the letter.
    is_exact: bool,
}

impl Files {
    /// Those that a server lists right now. Many a server's disk knows small letters only, and not
    /// all that can be read is listed.
    #[must_use]
    pub fn now(facts: &NodeFacts) -> Self {
        Uploads::listed(facts, false).map_or(Self::Any, Self::Now)
    }

    /// Those of a server that is judged for by the letter: what it does not list is not there.
    #[must_use]
    pub fn said(facts: &NodeFacts) -> Self {
        Uploads::listed(facts, true).map_or(Self::Any, Self::Now)
    }

    /// Those that a server listed at some time.
    #[must_use]
    pub fn once(facts: &NodeFacts) -> Self {
        Uploads::listed(facts, false).map_or(Self::Any, Self::Once)
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
    fn listed(facts: &NodeFacts, is_exact: bool) -> Option<Self> {
        let (mut names, mut endings) = (HashSet::new(), HashSet::new());
        for class in facts.classes() {
            let loads = class.inputs().iter().filter(|input| {
                input.is_upload() || model_folder(class.name(), input.name()) == Some(INPUT_FOLDER)
            });
            let listed = loads.filter_map(|input| input.choices()).flatten();
            let listed = listed.filter_map(Value::as_str);
            let listed = listed.filter(|name| *name != "none");
            for name in listed.map(|name| written(name, is_exact)) {
                let is_in_it = !class.is_custom() && !name.contains('/');
                if let Some((_, ending)) = name.rsplit_once('.').filter(|_| is_in_it) {
                    endings.insert(ending.to_lowercase());
                }
                names.insert(name);
            }
        }
        (!names.is_empty()).then_some(Self {
            names,
            endings,
            is_exact,
        })
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
        let name = written(name.strip_prefix("./").unwrap_or(name), self.is_exact);
        name.contains(['/', '\\']) || self.names.contains(&name) || !self.would_list(&name)
    }

    /// Whether a file of that name is listed if it is there.
    fn would_list(&self, name: &str) -> bool {
        match name.rsplit_once('.') {
            Some((_, ending)) => self.endings.contains(&ending.to_lowercase()),
            // Without an ending it may be a folder, which is there for the server as well.
            None => self.is_exact && !self.is_folder(name),
        }
    }

    fn is_folder(&self, name: &str) -> bool {
        // The server makes this one itself when it lists what `Load3D` takes (0.3.75 and 0.33.0).
        if name == "3d" {
            return true;
        }
        let mut folders = self.names.iter().filter_map(|one| one.split_once('/'));
        folders.any(|(folder, _)| folder == name)
    }
}

/// A name as it is compared.
fn written(name: &str, is_exact: bool) -> String {
    if is_exact {
        name.to_owned()
    } else {
        name.to_lowercase()
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
            is_exact: false,
        }
    }

    #[test]
    fn a_list_by_the_letter_says_what_is_not_there() {
        let listed = Uploads {
            is_exact: true,
            ..listed()
        };
        for name in [
            "a.png",
            "a.png [input]",
            "sub/b.png",
            "b.png [temp]",
            "b.mkv",
        ] {
            assert!(listed.may_exist(name), "{name}");
        }
        for name in ["A.PNG", "b.png", "nothing", "x [nonsense]"] {
            assert!(!listed.may_exist(name), "{name}");
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
