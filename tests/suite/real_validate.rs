//! The validator against the real one: thousands of workflows made wrong by chance, each put to a
//! real `ComfyUI` and to ours; and what comes of running those that it accepts.
//!
//! Compared are the status, the error and everything about every node: types, messages, particulars,
//! the outputs that depend on it. Left out are tracebacks and the order of errors, which changes
//! from start to start. What may differ besides is in [`MAY_DIFFER`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use massmediafactory::clock::Clock;
use massmediafactory::comfy::check::Finding;
use massmediafactory::comfy::json::parse_lenient;
use massmediafactory::comfy::nodes::{NodeClass, NodeFacts};
use massmediafactory::comfy::validate::{
    Answer, Arguments, CoreValidation, Exception, OwnValidation, Parameters, Rules, Validator,
};
use massmediafactory::comfy::{BigIntegers, Comfy, End, Server};
use massmediafactory::ids::Ids;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::preflight::Preflight;
use massmediafactory::script::{Generation, Kind, Sources, build};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::golden_validate::{comparable, in_some_order};
use crate::support::around::around_each_class;
use crate::support::graphs;
use crate::support::mutations::{Chance, KINDS, Mutant, mutant};
use crate::support::rig::Rig;
use crate::support::sim::http;

/// The server's version, by whose rules ours judges.
const VERSION: &str = "0.3.75";

/// How many are put to the server.
const MUTANTS: usize = 4_000;

/// How many of those that it accepts are run.
const RUNS: usize = 150;

/// Of the same workflow, run again and again, something else would be learnt each time.
const SEED: u64 = 20_261_130;

/// Long enough for a cold first run beside other tests on a slow machine.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(120));

/// The one thing that may differ: a class's own validation function gets whole numbers beyond 64 bits
/// as the nearest float. None of `ComfyUI`'s own takes numbers; this one of the rig's does.
const MAY_DIFFER: &str = "MmfEven";

/// The validation functions of the rig's classes.
struct Own<'a>(CoreValidation<'a>);

impl OwnValidation for Own<'_> {
    fn parameters(&self, class: &NodeClass) -> Option<Parameters> {
        if class.name() == "MmfEven" {
            return Some(Parameters {
                required: &["number"],
                ..Parameters::default()
            });
        }
        self.0.parameters(class)
    }

    fn answer(&self, class: &NodeClass, arguments: &Arguments<'_>) -> Result<Answer, Exception> {
        if class.name() != "MmfEven" {
            return self.0.answer(class, arguments);
        }
        let number = arguments.get("number");
        match number.as_i64() {
            Some(even) if even % 2 == 0 => Ok(Answer::Good),
            Some(odd) => Ok(Answer::Wrong(format!("{odd} is odd"))),
            None => Err(Exception::new(
                "TypeError",
                "unsupported operand type(s) for %: 'NoneType' and 'int'",
            )),
        }
    }
}

/// A server with its facts and files.
struct Judge<'r> {
    rig: &'r Rig,
    info: Value,
    facts: NodeFacts,
    input: PathBuf,
}

/// What a server answers to `POST /prompt`.
#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    body: Value,
}

impl<'r> Judge<'r> {
    async fn of(rig: &'r Rig) -> Self {
        let read = || http().get(format!("{}/object_info", rig.url())).send();
        // To tell of its classes the server makes folders that others of them list.
        read().await.unwrap().bytes().await.unwrap();
        let body = read().await.unwrap().bytes().await.unwrap();
        Self {
            rig,
            info: parse_lenient(&body).unwrap(),
            facts: NodeFacts::read(&body[..]).unwrap(),
            input: rig.input_dir(),
        }
    }

    fn exists(&self, name: &str) -> bool {
        let (folder, name) = match name.rsplit_once(" [") {
            Some((name, "output]")) => (self.rig.output_dir(), name),
            Some((name, "temp]")) => (self.input.with_file_name("temp"), name),
            Some((name, "input]")) => (self.input.clone(), name),
            _ => (self.input.clone(), name),
        };
        folder.join(name).exists()
    }

    /// What the server says, with the id of the job if there is one.
    async fn theirs(&self, text: &str) -> (Answered, Option<String>) {
        let request = http().post(format!("{}/prompt", self.rig.url()));
        let request = request.body(format!("{{\"prompt\":{text},\"client_id\":\"mutants\"}}"));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        let mut body: Value = parse_lenient(&body).unwrap_or_default();
        let job = body["prompt_id"].as_str().map(str::to_owned);
        if let Some(body) = body.as_object_mut() {
            body.remove("prompt_id");
            body.remove("number");
        }
        let body = if status == 500 {
            Value::Null
        } else {
            comparable(&body)
        };
        (Answered { status, body }, job)
    }

    fn ours_by(&self, facts: &NodeFacts, prompt: &Value, big: &BigIntegers) -> Answered {
        let exists = |name: &str| self.exists(name);
        let own = Own(CoreValidation::with_files(&exists));
        let validator = Validator::new(facts)
            .rules(Rules::of(VERSION))
            .own_validation(&own)
            .big_integers(big);
        let outcome = validator.receive(prompt, None).outcome;
        Answered {
            status: outcome.status(),
            body: comparable(&outcome.to_json()),
        }
    }

    /// Whether ours says the same, in the order that this server happens to have.
    fn agrees(&self, text: &str, theirs: &Answered) -> Result<(), Answered> {
        let prompt: Value =
            parse_lenient(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let big = BigIntegers::in_text(text);
        let ours = self.ours_by(&self.facts, &prompt, &big);
        let is_theirs =
            |ours: &Answered| ours == theirs || (!big.is_empty() && as_whole(ours) == *theirs);
        let by_chance = || {
            theirs.body["node_errors"]
                .as_object()
                .is_some_and(|nodes| !nodes.is_empty())
                && in_some_order(&self.info, &prompt, |facts, prompt| {
                    is_theirs(&self.ours_by(facts, prompt, &big))
                })
        };
        if is_theirs(&ours) || by_chance() || by_depth(&ours, theirs) {
            return Ok(());
        }
        Err(ours)
    }

    fn findings(&self, text: &str) -> Vec<Finding> {
        let exists = |name: &str| self.exists(name);
        let own = Own(CoreValidation::with_files(&exists));
        let knowledge = Knowledge::bundled();
        let preflight = Preflight::new(&self.facts, &knowledge)
            .rules(Rules::of(VERSION))
            .own_validation(&own);
        let prompt = parse_lenient(text.as_bytes()).unwrap();
        preflight.inspect(&prompt).findings
    }

    /// The workflows that are made wrong: what is shipped, what is written by hand, and one around
    /// each class.
    fn bases(&self) -> Vec<(String, Value)> {
        let generation = Generation::build(Sources::read(&[]), None);
        let mut bases = vec![
            ("controlnet".to_owned(), graphs::controlnet()),
            ("flux".to_owned(), graphs::flux()),
            ("wan".to_owned(), graphs::wan()),
        ];
        for served in generation.of_kind(Kind::Template) {
            let name = &served.script.key.name;
            let given = json!({ "PROMPT": "a hill", "EDIT_PROMPT": "a hill", "IMAGE": "example.png",
                "IMAGE_PATH": "example.png", "WIDTH": 64, "HEIGHT": 64, "STEPS": 2 });
            let declared = &served.script.declaration.params;
            let given = given.as_object().unwrap().clone().into_iter();
            let given = given.filter(|(name, _)| declared.iter().any(|param| param.name == *name));
            if let Ok(workflow) = build(&generation, name, given.collect()) {
                bases.push((name.clone(), workflow.into_json()));
            }
        }
        for (_, base) in &mut bases {
            self.install(base);
        }
        let is_known = |base: &Value| {
            let nodes = base.as_object().unwrap().values();
            let mut classes = nodes.map(|node| node["class_type"].as_str().unwrap());
            classes.all(|class| self.facts.class(class).is_some())
        };
        bases.retain(|(_, base)| is_known(base));
        bases.extend(around_each_class(&self.facts));
        bases
    }

    /// Puts files that the rig has in place of those it has not.
    fn install(&self, base: &mut Value) {
        for node in base.as_object_mut().unwrap().values_mut() {
            let class = node["class_type"]
                .as_str()
                .and_then(|class| self.facts.class(class));
            for input in class.map(NodeClass::inputs).unwrap_or_default() {
                let choices = input.choices().unwrap_or_default();
                let given = node["inputs"].get_mut(input.name());
                if let (Some(given), Some(first)) = (given, choices.first())
                    && !choices.contains(given)
                    && !given.is_array()
                {
                    *given = first.clone();
                }
            }
        }
    }
}

/// What ours would say did it hand whole numbers beyond 64 bits to a class's own validation function
/// as such, and not as floats.
fn as_whole(ours: &Answered) -> Answered {
    let body = ours.body.to_string();
    let body = body.replace(
        "'float' object has no attribute",
        "'int' object has no attribute",
    );
    Answered {
        status: ours.status,
        body: serde_json::from_str(&body).unwrap(),
    }
}

/// Whether the answers differ in nothing but the node at which Python's stack was full: round a cycle
/// it fills up at the cycle itself or at any node beside it, as deep as the server happens to stand
/// when it begins.
fn by_depth(ours: &Answered, theirs: &Answered) -> bool {
    let without = |answered: &Answered| {
        let mut body = answered.body.clone();
        let nodes = body["node_errors"].as_object_mut();
        let before = nodes.as_ref().map(|nodes| nodes.len());
        if let Some(nodes) = nodes {
            nodes.retain(|_, node| !node.to_string().contains("\"RecursionError\""));
        }
        let after = body["node_errors"].as_object().map(serde_json::Map::len);
        (body, before != after)
    };
    let ((ours_rest, _), (theirs_rest, is_full)) = (without(ours), without(theirs));
    is_full && ours.status == theirs.status && ours_rest == theirs_rest
}

/// A server whose worker is busy, so that what it accepts is not run.
async fn hold(rig: &Rig) {
    let prompt = json!({ "prompt": {
        "1": { "class_type": "MmfHold", "inputs": { "gate": "mutants" } } } });
    let held = http()
        .post(format!("{}/prompt", rig.url()))
        .body(prompt.to_string());
    assert_eq!(held.send().await.unwrap().status(), 200);
}

async fn clear(rig: &Rig) {
    let cleared = http()
        .post(format!("{}/queue", rig.url()))
        .body(r#"{"clear":true}"#);
    assert_eq!(cleared.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn thousands_of_mutations_are_judged_as_the_server_judges_them() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let judge = Judge::of(&rig).await;
    hold(&rig).await;
    let bases = judge.bases();
    assert!(bases.len() > 300, "only {} workflows", bases.len());
    let whole = bases
        .iter()
        .map(|(name, base)| (name, vec![], base.to_string()));
    let mut chance = Chance::new(SEED);
    let mutants = (0..MUTANTS).map(|at| {
        // The shipped and the hand-written ones have their share beside the many small ones.
        let at_base = if at % 3 == 0 {
            chance.below(10)
        } else {
            chance.below(bases.len())
        };
        let (name, base) = &bases[at_base.min(bases.len() - 1)];
        let Mutant { kinds, text } = mutant(&judge.facts, base, at, &mut chance);
        (name, kinds, text)
    });
    let cases: Vec<(&String, Vec<&str>, String)> = whole.chain(mutants).collect();
    let mut wrong = vec![];
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (at, (name, kinds, text)) in cases.iter().enumerate() {
        let (theirs, _) = judge.theirs(text).await;
        *statuses.entry(theirs.status).or_default() += 1;
        for node in theirs.body["node_errors"].as_object().into_iter().flatten() {
            for error in node.1["errors"].as_array().unwrap() {
                let kind = error["type"].as_str().unwrap().to_owned();
                *seen.entry(kind).or_default() += 1;
            }
        }
        let may_differ = text.contains(MAY_DIFFER) && !BigIntegers::in_text(text).is_empty();
        if let Err(ours) = judge.agrees(text, &theirs)
            && !may_differ
        {
            wrong.push(format!(
                "{name} {kinds:?}\n  {text}\n  ours   {ours:?}\n  theirs {theirs:?}"
            ));
        }
        if at % 100 == 0 {
            clear(&rig).await;
        }
    }
    clear(&rig).await;
    rig.open_gate("mutants");
    eprintln!("{} cases: {statuses:?}, {seen:#?}", cases.len());
    assert!(
        cases.len() >= 2_000 + bases.len() && statuses.len() == 3,
        "{statuses:?}"
    );
    let (count, all) = (wrong.len(), cases.len());
    wrong.truncate(25);
    assert!(wrong.is_empty(), "{count} of {all}:\n{}", wrong.join("\n"));
    assert_eq!(KINDS.len(), 31);
}

/// What the server accepts, and whether it runs: a cycle through an input that is not declared, a slot
/// counted from the end, and a link that the class can't take.
const SURE: [(&str, bool); 3] = [
    (
        r#"{"1":{"class_type":"MmfText","inputs":{"text":"a","junk":["1",0]}}}"#,
        false,
    ),
    (
        r#"{"1":{"class_type":"MmfText","inputs":{"text":"a"}},
            "2":{"class_type":"PreviewAny","inputs":{"source":["1",-1]}}}"#,
        true,
    ),
    (
        r#"{"1":{"class_type":"EmptyImage",
                "inputs":{"width":64,"height":64,"batch_size":1,"color":0}},
            "2":{"class_type":"PreviewImage","inputs":{"images":["1",0],"mask":["1",0]}}}"#,
        false,
    ),
];

/// Classes that wait for something, or for whose work a CPU is too slow.
const SLOW: [&str; 4] = ["MmfHold", "MmfSleep", "TrainLoraNode", "MmfFail"];

/// Findings about what ends the server's worker, after which nothing runs any more. That it does is
/// in the recordings (`golden_execute.rs`).
const DEADLY: [&str; 2] = ["no_inputs_object", "dangling_link"];

#[tokio::test]
async fn what_the_server_runs_has_no_error_and_what_has_one_does_not_run() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let judge = Judge::of(&rig).await;
    let comfy = Comfy::new(
        Server::parse(rig.url()).unwrap(),
        Ids::default(),
        Clock::default(),
    );
    let bases = judge.bases();
    let mut chance = Chance::new(SEED + 1);
    let (mut ran, mut failed, mut alarms) = (0, 0, vec![]);
    for at in 0.. {
        if ran + failed >= RUNS || at > 20 * RUNS {
            break;
        }
        let (name, base) = &bases[chance.below(bases.len())];
        // Whole ones and wrong ones in turn, after those that have to be among them.
        let text = match SURE.get(at) {
            Some((sure, _)) => (*sure).to_owned(),
            None if at % 2 == 0 => base.to_string(),
            None => mutant(&judge.facts, base, at, &mut chance).text,
        };
        let findings = judge.findings(&text);
        let is_slow = SLOW.iter().any(|class| text.contains(class));
        if is_slow || findings.iter().any(|one| DEADLY.contains(&one.kind)) {
            continue;
        }
        let (theirs, job) = judge.theirs(&text).await;
        let clean = theirs.body["node_errors"]
            .as_object()
            .is_some_and(Map::is_empty);
        let Some(job) = job.filter(|_| clean) else {
            continue;
        };
        let outcome = comfy.wait(&job, PATIENCE, &CancellationToken::new()).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{name} {text}: {error}"));
        let errors: Vec<&Finding> = findings.iter().filter(|one| one.is_error()).collect();
        if let Some((_, runs)) = SURE.get(at) {
            let is_told = (outcome.end == End::Success, errors.is_empty());
            assert_eq!(is_told, (*runs, *runs), "{outcome:?}");
        }
        match &outcome.end {
            End::Success => ran += 1,
            _ => failed += 1,
        }
        if outcome.end == End::Success && !errors.is_empty() {
            alarms.push(format!("{name} {text}\n  {errors:#?}"));
        }
    }
    eprintln!("{ran} ran, {failed} failed");
    assert!(ran >= RUNS / 4, "only {ran} ran");
    assert!(
        alarms.is_empty(),
        "{}:\n{}",
        alarms.len(),
        alarms.join("\n")
    );
}

#[tokio::test]
async fn a_chain_that_is_told_to_be_too_deep_is_refused() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let judge = Judge::of(&rig).await;
    hold(&rig).await;
    for (length, is_accepted) in [(890, true), (1_001, false)] {
        let mut nodes = json!({ "1": { "class_type": "EmptyImage",
            "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } } });
        for at in 2..length {
            nodes[at.to_string()] = json!({ "class_type": "ImageInvert",
                "inputs": { "image": [(at - 1).to_string(), 0] } });
        }
        nodes[length.to_string()] = json!({ "class_type": "PreviewImage",
            "inputs": { "images": [(length - 1).to_string(), 0] } });
        let text = nodes.to_string();
        let (theirs, _) = judge.theirs(&text).await;
        assert_eq!(theirs.status == 200, is_accepted, "{length}");
        let errors = judge.findings(&text).into_iter().filter(Finding::is_error);
        let errors: Vec<&str> = errors.map(|one| one.kind).collect();
        let wanted: &[&str] = if is_accepted { &[] } else { &["too_deep"] };
        assert_eq!(errors, wanted, "{length}");
    }
    clear(&rig).await;
    rig.open_gate("mutants");
}
