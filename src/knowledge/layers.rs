//! The bundled facts with the user's and the project's before them, as the files stand at one moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CATEGORIES, Knowledge, KnowledgeError};

/// The name of a file of facts, in the data folder or the project's `.mmf`.
pub const FILE_NAME: &str = "sota.toml";

/// Facts, and the files that they were read from, the farthest first.
#[derive(Clone, Debug)]
pub struct Layers {
    knowledge: Arc<Knowledge>,
    files: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    path: PathBuf,
    text: String,
    /// What it says, or the last that it said when it was well-formed.
    says: Option<Arc<Knowledge>>,
    fault: Option<KnowledgeError>,
}

impl Default for Layers {
    /// The bundled facts alone.
    fn default() -> Self {
        Self {
            knowledge: Knowledge::bundled(),
            files: vec![],
        }
    }
}

impl Layers {
    /// The facts of these texts over the bundled ones. A file that is broken goes on saying what it
    /// said in `previous`.
    #[must_use]
    pub fn of(texts: &[(PathBuf, String)], previous: Option<&Self>) -> Self {
        let same = |previous: &&Self| {
            let before = previous.files.iter().map(|file| (&file.path, &file.text));
            before.eq(texts.iter().map(|(path, text)| (path, text)))
        };
        if let Some(same) = previous.filter(same) {
            return same.clone();
        }
        let read = |(path, text): &(PathBuf, String)| {
            let path = path.clone();
            let text = text.clone();
            match parse(&path, &text) {
                Ok(says) => Layer {
                    path,
                    text,
                    says: Some(Arc::new(says)),
                    fault: None,
                },
                Err(fault) => Layer {
                    says: previous.and_then(|previous| previous.said(&path)),
                    path,
                    text,
                    fault: Some(fault),
                },
            }
        };
        let files: Vec<Layer> = texts.iter().map(read).collect();
        let mut knowledge = Knowledge::bundled();
        for says in files.iter().filter_map(|file| file.says.as_ref()) {
            knowledge = Arc::new(over(says, &knowledge));
        }
        Self { knowledge, files }
    }

    /// All of it as one.
    #[must_use]
    pub fn knowledge(&self) -> &Arc<Knowledge> {
        &self.knowledge
    }

    /// What is wrong with files.
    pub fn faults(&self) -> impl Iterator<Item = (&Path, &KnowledgeError)> {
        let files = self.files.iter();
        files.filter_map(|file| Some((file.path.as_path(), file.fault.as_ref()?)))
    }

    /// Whether it says the same, and finds the same fault.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        self.knowledge == other.knowledge
            && self.files.len() == other.files.len()
            && self.faults().eq(other.faults())
    }

    fn said(&self, path: &Path) -> Option<Arc<Knowledge>> {
        let file = self.files.iter().find(|file| file.path == path)?;
        file.says.clone()
    }
}

fn parse(path: &Path, text: &str) -> Result<Knowledge, KnowledgeError> {
    let fault = |line: Option<usize>, reason: String| KnowledgeError::File {
        path: path.to_owned(),
        line,
        reason,
    };
    let own: Knowledge = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            before.matches('\n').count() + 1
        });
        fault(line, error.message().to_owned())
    })?;
    for model in &own.models {
        let categories = std::iter::once(&model.category).chain(&model.also);
        for category in categories {
            if !CATEGORIES.contains(&category.as_str()) {
                let reason = format!("{} has no known category: \"{category}\"", model.name);
                return Err(fault(None, reason));
            }
        }
    }
    Ok(own)
}

/// What `nearer` says before what `farther` says.
fn over(nearer: &Knowledge, farther: &Knowledge) -> Knowledge {
    let mut all = nearer.clone();
    let models = farther.models.iter();
    let models = models.filter(|model| nearer.model(&model.name).is_none());
    all.models.extend(models.cloned());
    let has_task = |name: &str| nearer.tasks.iter().any(|task| task.name == name);
    let tasks = farther.tasks.iter().filter(|task| !has_task(&task.name));
    all.tasks.extend(tasks.cloned());
    for (name, sizes) in &farther.families {
        all.families
            .entry(name.clone())
            .or_insert_with(|| sizes.clone());
    }
    for (name, partner) in &farther.partners {
        all.partners
            .entry(name.clone())
            .or_insert_with(|| partner.clone());
    }
    if all.templates.newest < farther.templates.newest {
        all.templates = farther.templates.clone();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "last_updated = \"2027-01-01\"\n[[model]]\nname = \"FLUX.2-dev\"\nfamily = \"flux2\"\n\
        category = \"image_gen\"\nstatus = \"deprecated\"\nreplaced_by = \"Mine\"\n\
        released = \"2025-11-26\"\nsource = \"me\"\n";

    fn texts(text: &str) -> Vec<(PathBuf, String)> {
        vec![("data/sota.toml".into(), text.to_owned())]
    }

    #[test]
    fn a_file_of_ones_own_goes_before() {
        let layers = Layers::of(&texts(OWN), None);
        let knowledge = layers.knowledge();
        assert_eq!(knowledge.model("FLUX.2-dev").unwrap().source, "me");
        assert!(knowledge.model("Qwen-Image-2.1").is_some());
        assert_eq!(knowledge.last_updated, "2027-01-01");
        assert_eq!(knowledge.templates, Knowledge::bundled().templates);
        assert_eq!(layers.faults().count(), 0);
    }

    #[test]
    fn the_projects_goes_before_the_users() {
        let mut texts = texts(OWN);
        let text = OWN.replace("\"me\"", "\"we\"");
        texts.push((".mmf/sota.toml".into(), text));
        let layers = Layers::of(&texts, None);
        let model = layers.knowledge().model("FLUX.2-dev");
        assert_eq!(model.unwrap().source, "we");
    }

    #[test]
    fn a_broken_save_says_what_it_said_before_and_names_its_line() {
        let good = Layers::of(&texts(OWN), None);
        let broken = format!("{OWN}colour = \"red\"\n");
        let layers = Layers::of(&texts(&broken), Some(&good));
        assert_eq!(layers.knowledge(), good.knowledge());
        let (_, fault) = layers.faults().next().unwrap();
        let message = fault.to_string();
        assert!(message.contains("sota.toml:10: unknown field"), "{message}");
        assert!(!layers.is_as(&good));

        let mended = Layers::of(&texts(OWN), Some(&layers));
        assert!(mended.is_as(&good));
    }

    #[test]
    fn a_file_that_was_never_good_leaves_the_bundled_facts() {
        let layers = Layers::of(&texts("models = 5"), None);
        assert_eq!(layers.knowledge(), &Knowledge::bundled());
        assert_eq!(layers.faults().count(), 1);
    }

    #[test]
    fn a_category_that_there_is_not_is_a_fault() {
        let text = OWN.replace("image_gen", "pictures");
        let layers = Layers::of(&texts(&text), None);
        let (_, fault) = layers.faults().next().unwrap();
        assert!(fault.to_string().contains("\"pictures\""), "{fault}");
    }
}
