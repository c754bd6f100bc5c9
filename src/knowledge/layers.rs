//! The bundled facts with the user's and the project's before them, as the files stand at one moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CATEGORIES, Knowledge, KnowledgeError, Model};

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
        let mut files: Vec<Layer> = texts.iter().map(read).collect();
        let mut knowledge = Knowledge::bundled();
        for file in &mut files {
            let Some(says) = file.says.clone() else {
                continue;
            };
            let all = over(&says, &knowledge);
            match astray(&says, &all) {
                None => knowledge = Arc::new(all),
                Some(reason) => {
                    file.says = previous.and_then(|previous| previous.said(&file.path));
                    if let Some(before) = &file.says {
                        knowledge = Arc::new(over(before, &knowledge));
                    }
                    file.fault = Some(KnowledgeError::File {
                        path: file.path.clone(),
                        line: None,
                        reason,
                    });
                }
            }
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
    for model in &own.models {
        if let Some(reason) = wrong(model) {
            return Err(fault(None, format!("{} {reason}", model.name)));
        }
    }
    let mut families = own.families.iter();
    let off = families.find(|(_, facts)| facts.vram.is_some_and(|memory| !memory.is_possible()));
    if let Some((name, _)) = off {
        let reason = format!("the vram of family {name} has a number that is not more than 0");
        return Err(fault(None, reason));
    }
    Ok(own)
}

/// What of a model can't be.
fn wrong(model: &Model) -> Option<String> {
    let positive = |number: f64| number.is_finite() && number > 0.0;
    let amounts = [
        ("parameters", model.parameters),
        ("download_gb", model.download_gb),
    ];
    let mut amounts = amounts.into_iter();
    if let Some((name, Some(number))) =
        amounts.find(|(_, number)| number.is_some_and(|number| !positive(number)))
    {
        return Some(format!(
            "has {name} = {number}, which has to be more than 0"
        ));
    }
    if model.native_size.is_some_and(|size| size.contains(&0)) || model.size_multiple == Some(0) {
        return Some("has a size of 0".to_owned());
    }
    if model.frames == Some(0) {
        return Some("has clips of 0 frames".to_owned());
    }
    None
}

/// What of the successors and bases that a file names can't be, among all that is known.
fn astray(own: &Knowledge, all: &Knowledge) -> Option<String> {
    let next = |name: &str| all.model(name)?.replaced_by.as_deref();
    for model in &own.models {
        let name = &model.name;
        let named = [("replaced_by", &model.replaced_by), ("base", &model.base)];
        for (field, other) in named {
            let Some(other) = other else { continue };
            if all.model(other).is_none() && all.partner(other).is_none() {
                return Some(format!(
                    "{name} has {field} = \"{other}\", which is not known"
                ));
            }
        }
        let mut seen = vec![name.as_str()];
        while let Some(successor) = seen.last().and_then(|last| next(last)) {
            if seen.contains(&successor) {
                return Some(format!(
                    "{name} is replaced by {successor}, which leads back to it"
                ));
            }
            seen.push(successor);
        }
    }
    None
}

/// What `nearer` says before what `farther` says.
fn over(nearer: &Knowledge, farther: &Knowledge) -> Knowledge {
    let mut all = nearer.clone();
    // A line of one's own does not make all facts newer or older.
    all.last_updated.clone_from(&farther.last_updated);
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
    use crate::knowledge::Grid;

    const OWN: &str = "last_updated = \"2027-01-01\"\n[[model]]\nname = \"FLUX.2-dev\"\nfamily = \"flux2\"\n\
        category = \"image_gen\"\nstatus = \"deprecated\"\nreplaced_by = \"Krea 2 Turbo\"\n\
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
        let bundled = Knowledge::bundled();
        assert_eq!(knowledge.last_updated, bundled.last_updated);
        assert_eq!(knowledge.templates, Knowledge::bundled().templates);
        assert_eq!(layers.faults().count(), 0);
    }

    #[test]
    fn a_family_of_ones_own_has_its_own_way_with_memory() {
        let own = "[families]\nmine = { vram = { factor = 2.9, grid = { picture = 16 }, autoencoder = \"flux-2\" }, source = \"us\" }\n";
        let layers = Layers::of(&texts(own), None);
        assert_eq!(layers.faults().count(), 0);
        let families = &layers.knowledge().families;
        let mine = families["mine"].vram.unwrap();
        assert_eq!((mine.factor, mine.grid), (2.9, Grid::Picture(16.0)));
        assert!(families.contains_key("flux2"));

        for (text, off) in [("2.9", "0.0"), ("2.9", "inf"), ("16", "-16")] {
            let layers = Layers::of(&texts(&own.replace(text, off)), None);
            let (_, fault) = layers.faults().next().unwrap();
            assert!(fault.to_string().contains("family mine"), "{fault}");
        }
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

    #[test]
    fn the_day_of_the_facts_need_not_be_said() {
        let text = OWN.replace("last_updated = \"2027-01-01\"\n", "");
        let layers = Layers::of(&texts(&text), None);
        assert_eq!(layers.faults().count(), 0);
        assert_eq!(layers.knowledge().model("FLUX.2-dev").unwrap().source, "me");
    }

    #[test]
    fn what_cannot_be_is_a_fault_and_changes_nothing() {
        for (line, said) in [
            ("parameters = -5.0", "parameters = -5"),
            ("native_size = [0, 512]", "a size of 0"),
            ("base = \"Nobody\"", "\"Nobody\", which is not known"),
        ] {
            let layers = Layers::of(&texts(&format!("{OWN}{line}\n")), None);
            let (_, fault) = layers.faults().next().unwrap();
            assert!(fault.to_string().contains(said), "{fault}");
            assert_eq!(layers.knowledge(), &Knowledge::bundled());
        }
        let itself = OWN.replace("Krea 2 Turbo", "FLUX.2-dev");
        let layers = Layers::of(&texts(&itself), None);
        let (_, fault) = layers.faults().next().unwrap();
        assert!(fault.to_string().contains("leads back to it"), "{fault}");
    }
}
