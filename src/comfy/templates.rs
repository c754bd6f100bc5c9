//! The templates that a server offers.

use serde::Deserialize;
use serde_json::Value;

/// A template of the server's own index, `/templates/index.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServedTemplate {
    /// Its name, under which its graph is served.
    pub name: String,
    /// What it is called.
    pub title: String,
    /// The models that it is for.
    pub models: Vec<String>,
    /// The day that it was made, as in `2026-10-27`.
    pub date: String,
    /// What it is for.
    pub tags: Vec<String>,
    /// What it makes: `image`, `video`, `audio`, `3d` or `llm`; from its category.
    #[serde(skip)]
    pub kind: String,
}

impl ServedTemplate {
    /// The templates of an index: an array of categories, each with its own. What is none is passed
    /// over, and a template of several categories is taken once.
    #[must_use]
    pub fn all_of(index: &Value) -> Vec<Self> {
        let mut all: Vec<Self> = vec![];
        for category in index.as_array().into_iter().flatten() {
            let kind = category["type"].as_str().unwrap_or_default();
            for template in category["templates"].as_array().into_iter().flatten() {
                let Ok(template) = Self::deserialize(template) else {
                    continue;
                };
                let seen = all.iter().any(|other| other.name == template.name);
                if !template.name.is_empty() && !seen {
                    all.push(Self {
                        kind: kind.to_owned(),
                        ..template
                    });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let index = json!([
            { "type": "image", "templates": [
                { "name": "one", "models": ["A"], "date": "2027-01-01", "size": 5 },
                { "name": 5 }, "x", { "title": "nameless" },
            ] },
            { "type": "video", "templates": [{ "name": "one" }, { "name": "two" }] },
            7,
        ]);
        let all = ServedTemplate::all_of(&index);
        let names: Vec<(&str, &str)> = all
            .iter()
            .map(|one| (one.name.as_str(), one.kind.as_str()))
            .collect();
        assert_eq!(names, [("one", "image"), ("two", "video")]);
        assert!(ServedTemplate::all_of(&json!({})).is_empty());
    }
}
