//! The client against one fault at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use massmediafactory::clock::Clock;
use massmediafactory::comfy::{
    Cancelled, Comfy, ComfyError, End, JobEvent, Outcome, Server, Submit, Submitted, Timeouts,
    Workflow,
};
use massmediafactory::failure::{Code, Failure};
use massmediafactory::ids::Ids;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::scripted::{OnPrompt, Scripted};

const PATIENCE: Duration = Duration::from_secs(20);

fn workflow() -> Workflow {
    let nodes = json!({ "9": { "class_type": "X", "inputs": {}, "_meta": { "title": "The X" } } });
    Workflow::from_json(nodes).unwrap()
}

async fn try_submit(comfy: &Comfy) -> Result<Submitted, ComfyError> {
    comfy.submit(&workflow(), Submit::default()).await
}

async fn submit(comfy: &Comfy) -> String {
    try_submit(comfy).await.unwrap().prompt_id
}

async fn wait(comfy: &Comfy, prompt_id: &str) -> Result<Arc<Outcome>, ComfyError> {
    comfy
        .wait(prompt_id, Some(PATIENCE), &CancellationToken::new())
        .await
}

/// A job that runs, with a wait for it under way.
async fn running(
    scripted: &Scripted,
    comfy: &Comfy,
) -> (String, tokio::task::JoinHandle<Arc<Outcome>>) {
    let prompt_id = submit(comfy).await;
    scripted.run_next();
    let mut watch = comfy.watch(&prompt_id).await;
    scripted.say("execution_start", &json!({ "prompt_id": prompt_id }));
    until(&mut watch, |event| matches!(event, JobEvent::Started)).await;
    let (comfy, id) = (comfy.clone(), prompt_id.clone());
    let waiting = tokio::spawn(async move { wait(&comfy, &id).await.unwrap() });
    (prompt_id, waiting)
}

async fn until(
    watch: &mut massmediafactory::comfy::Watch,
    wanted: impl Fn(&JobEvent) -> bool,
) -> JobEvent {
    let found = async {
        loop {
            let event = watch.next().await.expect("the job is not over").unwrap();
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("the event comes")
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_is_found_and_not_repeated() {
    for behaviour in [OnPrompt::AcceptSilently, OnPrompt::AcceptAndFail] {
        let scripted = Scripted::start().await;
        let comfy = scripted.comfy();
        scripted.world().on_prompt = behaviour;
        let submitted = try_submit(&comfy).await.unwrap();
        assert_eq!(submitted.queue_position, Some(0), "{behaviour:?}");
        assert_eq!(scripted.world().pending[0][1], submitted.prompt_id.as_str());
        assert_eq!(scripted.count("POST /prompt"), 1, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_job_at_the_front_is_behind_the_one_that_runs() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    scripted.world().on_prompt = OnPrompt::AcceptInFront;
    let front = || Submit {
        front: true,
        ..Submit::default()
    };
    for position in [0, 1, 1] {
        let submitted = comfy.submit(&workflow(), front()).await.unwrap();
        assert_eq!(submitted.queue_position, Some(position));
        if position == 0 {
            scripted.run_next();
        }
    }
}

#[tokio::test]
async fn a_submission_that_cannot_be_found_may_have_been_queued() {
    let scripted = Scripted::start().await;
    scripted.world().on_prompt = OnPrompt::Ignore;
    let error = try_submit(&scripted.comfy()).await.unwrap_err();
    let failure = Failure::from(error);
    let sent = scripted
        .world()
        .requests
        .iter()
        .find(|(asked, _)| asked == "POST /prompt")
        .unwrap()
        .1
        .clone();
    assert_eq!(failure.code, Code::CONNECTION_ERROR);
    assert_eq!(failure.details["maybe_queued"], true);
    assert_eq!(failure.details["prompt_id"], sent["prompt_id"]);
    assert_eq!(scripted.count("POST /prompt"), 1);
}

#[tokio::test]
async fn a_server_that_fails_without_queueing_says_so() {
    let scripted = Scripted::start().await;
    scripted.world().on_prompt = OnPrompt::Fail;
    let error = try_submit(&scripted.comfy()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ComfyUI answers 500 to POST /prompt: 500 Internal Server Error Server got itself in trouble"
    );
}

#[tokio::test]
async fn an_old_server_that_names_jobs_itself_is_followed_under_its_name() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    scripted.world().on_prompt = OnPrompt::Rename;
    assert_eq!(submit(&comfy).await, "renamed");
    scripted.end("renamed");
    assert!(wait(&comfy, "renamed").await.unwrap().is_success());
}

#[tokio::test]
async fn what_answers_in_place_of_comfyui_is_named_for_what_it_is() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    for (status, kind, text, expected) in [
        (401, "text/plain", "", "asks for credentials"),
        (403, "text/plain", "", "refuses GET /system_stats"),
        (413, "text/plain", "", "takes no body of that size"),
        (
            302,
            "https://login.example.com/?next=secret",
            "",
            "to https://login.example.com/",
        ),
        (502, "text/html", "<html>", "it can't reach ComfyUI"),
        (
            200,
            "text/html",
            "<html>",
            "is not ComfyUI: a web page with status 200",
        ),
        (
            404,
            "text/plain",
            "404: Not Found",
            "is not ComfyUI: it answers 404 Not Found",
        ),
        (
            500,
            "text/plain",
            "trouble",
            "answers 500 to GET /system_stats: trouble",
        ),
        (200, "application/json", "[1", "can't be read"),
        (200, "application/json", "[]", "it has no \"system\""),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        scripted.world().instead = Some((status, kind, text));
        let error = comfy.system_stats().await.unwrap_err();
        assert!(
            error.to_string().ends_with(expected) || error.to_string().contains(expected),
            "{status}: {error}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
        let failure = Failure::from(error);
        assert!(
            failure.hint.is_some() || failure.message.contains("can't be read"),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_with_what_to_do() {
    let mut scripted = Scripted::start().await;
    scripted.vanish().await;
    let error = try_submit(&scripted.comfy()).await.unwrap_err();
    assert!(matches!(error, ComfyError::Unreachable { .. }), "{error:?}");
    let failure = Failure::from(error);
    assert_eq!(
        (failure.code.clone(), failure.exit_code()),
        (Code::CONNECTION_ERROR, 5)
    );
    assert!(failure.hint.unwrap().contains("COMFYUI_URL"));
}

#[tokio::test]
async fn wrong_credentials_are_told_apart_and_not_shown() {
    let scripted = Scripted::start().await;
    let server = Server::parse(scripted.server().url())
        .unwrap()
        .header("X-Key", "guess")
        .unwrap();
    let comfy = Comfy::new(server, Ids::default(), Clock::default());
    let error = try_submit(&comfy).await.unwrap_err();
    assert!(
        matches!(error, ComfyError::Unauthorized { .. }),
        "{error:?}"
    );
    assert!(!format!("{error:?} {comfy:?}").contains("guess"));
}

#[tokio::test]
async fn a_broken_socket_is_reopened_and_the_job_goes_on() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.drop_sockets();
    scripted.hellos(2).await;
    scripted.end(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
}

#[tokio::test]
async fn an_end_that_fell_into_a_gap_of_the_socket_is_found_by_asking() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.world().no_socket = true;
    scripted.drop_sockets();
    scripted.end(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
}

#[tokio::test]
async fn without_any_socket_jobs_are_submitted_and_waited_for_all_the_same() {
    let scripted = Scripted::start().await;
    scripted.world().no_socket = true;
    let comfy = scripted.comfy();
    let prompt_id = submit(&comfy).await;
    let asked = scripted.count("GET /ws");
    submit(&comfy).await;
    assert_eq!(scripted.count("GET /ws"), asked, "a refusal is remembered");
    scripted.end(&prompt_id);
    assert!(wait(&comfy, &prompt_id).await.unwrap().is_success());
}

#[tokio::test]
async fn a_server_too_busy_to_open_a_socket_is_soon_asked_again() {
    let scripted = Scripted::start().await;
    scripted.world().hung_socket = true;
    let timeouts = Timeouts {
        connect: Duration::from_millis(200),
        ..*scripted.server().timeouts()
    };
    let server = scripted.server().with_timeouts(timeouts);
    let comfy = Comfy::new(server, Ids::default(), Clock::default());
    submit(&comfy).await;
    scripted.world().hung_socket = false;
    timeout(PATIENCE, scripted.hellos(1))
        .await
        .expect("a socket is opened");
}

#[tokio::test]
async fn a_socket_that_the_server_forgot_is_replaced() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.end_silently(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
    timeout(PATIENCE, scripted.no_sockets())
        .await
        .expect("the silent one is closed");
    submit(&comfy).await;
    scripted.hellos(2).await;
}

/// Runs jobs one after the other for longer than the client waits for the end of a job to be told.
async fn run_jobs_for_a_while(scripted: &Scripted, comfy: &Comfy) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let (prompt_id, waiting) = running(scripted, comfy).await;
        scripted.end(&prompt_id);
        assert!(waiting.await.unwrap().is_success());
    }
}

#[tokio::test]
async fn a_socket_is_not_blamed_for_what_fell_into_the_gap_before_it() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.drop_sockets();
    scripted.no_sockets().await;
    scripted.end(&prompt_id);
    scripted.hellos(2).await;
    assert!(waiting.await.unwrap().is_success());
    run_jobs_for_a_while(&scripted, &comfy).await;
    assert_eq!(scripted.count("GET /ws"), 2);
}

#[tokio::test]
async fn a_socket_that_tells_of_an_end_later_than_the_history_is_not_blamed() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.end_silently(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
    scripted.end(&prompt_id);
    run_jobs_for_a_while(&scripted, &comfy).await;
    assert_eq!(scripted.count("GET /ws"), 1);
}

#[tokio::test]
async fn a_socket_that_died_without_a_word_is_replaced() {
    let scripted = Scripted::start().await;
    scripted.world().dead_sockets = true;
    let timeouts = Timeouts {
        ping: Duration::from_millis(50),
        ..*scripted.server().timeouts()
    };
    let comfy = Comfy::new(
        scripted.server().with_timeouts(timeouts),
        Ids::default(),
        Clock::default(),
    );
    submit(&comfy).await;
    timeout(PATIENCE, scripted.hellos(2))
        .await
        .expect("a second connection");
}

#[tokio::test]
async fn a_socket_that_nobody_needs_is_closed_and_opened_again_when_needed() {
    let scripted = Scripted::start().await;
    let timeouts = Timeouts {
        ping: Duration::from_millis(20),
        idle: Duration::from_millis(60),
        ..*scripted.server().timeouts()
    };
    let comfy = Comfy::new(
        scripted.server().with_timeouts(timeouts),
        Ids::default(),
        Clock::default(),
    );
    for round in 1..=2 {
        let prompt_id = submit(&comfy).await;
        scripted.hellos(round).await;
        scripted.end(&prompt_id);
        assert!(wait(&comfy, &prompt_id).await.unwrap().is_success());
        timeout(PATIENCE, scripted.no_sockets())
            .await
            .expect("the socket closes");
    }
}

#[tokio::test]
async fn jobs_that_nobody_hears_of_or_watches_need_no_socket() {
    for behaviour in [OnPrompt::Ignore, OnPrompt::Accept] {
        let scripted = Scripted::start().await;
        scripted.world().on_prompt = behaviour;
        let timeouts = Timeouts {
            ping: Duration::from_millis(20),
            idle: Duration::from_millis(60),
            ..*scripted.server().timeouts()
        };
        let server = scripted.server().with_timeouts(timeouts);
        let comfy = Comfy::new(server, Ids::default(), Clock::default());
        let submitted = try_submit(&comfy).await;
        scripted.hellos(1).await;
        timeout(PATIENCE, scripted.no_sockets())
            .await
            .expect("the socket closes");
        // Who waits for such a job has it told all the same.
        if let Ok(submitted) = submitted {
            let waiting = tokio::spawn({
                let (comfy, prompt_id) = (comfy.clone(), submitted.prompt_id.clone());
                async move { wait(&comfy, &prompt_id).await }
            });
            scripted.hellos(2).await;
            scripted.end(&submitted.prompt_id);
            assert!(waiting.await.unwrap().unwrap().is_success());
        }
    }
}

#[tokio::test]
async fn the_end_is_told_although_the_history_is_written_late() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.world().history_misses = 5;
    let begin = Instant::now();
    scripted.end(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
    assert!(
        begin.elapsed() < Duration::from_millis(450),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_server_too_busy_to_answer_is_believed_what_its_socket_told() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.set_busy(true);
    scripted.end(&prompt_id);
    let outcome = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.outputs[0].text(), Some(prompt_id.as_str()));
    assert_eq!(outcome.prompt, workflow().into_json());
    assert_eq!(outcome.extra_data["client_id"], comfy.client_id());
}

#[tokio::test]
async fn who_watches_late_hears_what_the_nodes_have_reported_so_far() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, _waiting) = running(&scripted, &comfy).await;
    let mut watch = comfy.watch(&prompt_id).await;
    let output = json!({ "text": ["early"] });
    let executed = json!({ "prompt_id": prompt_id, "node": "9", "output": output });
    scripted.say("executed", &executed);
    let is_output = |event: &JobEvent| matches!(event, JobEvent::Output { .. });
    until(&mut watch, is_output).await;
    let mut late = comfy.watch(&prompt_id).await;
    let told = until(&mut late, is_output).await;
    assert!(
        matches!(told, JobEvent::Output { node, output } if node == "9" && output["text"][0] == "early")
    );
}

#[tokio::test]
async fn only_a_story_without_a_gap_is_believed() {
    type Spoil = fn(&Scripted, &str);
    let gap: Spoil = |scripted, _| scripted.drop_sockets();
    let blocked: Spoil = |scripted, prompt_id| {
        let data = json!({ "prompt_id": prompt_id, "exception_type": "ExecutionBlocked" });
        scripted.say("execution_error", &data);
    };
    for (spoil, sockets) in [(gap, 2), (blocked, 1)] {
        let scripted = Scripted::start().await;
        let comfy = scripted.comfy();
        let (prompt_id, mut waiting) = running(&scripted, &comfy).await;
        spoil(&scripted, &prompt_id);
        scripted.hellos(sockets).await;
        scripted.set_busy(true);
        scripted.end(&prompt_id);
        let history = format!("GET /history/{prompt_id}");
        scripted.asked(&history, 1).await;
        let early = timeout(Duration::from_millis(100), &mut waiting).await;
        assert!(early.is_err(), "{early:?}");
        scripted.set_busy(false);
        let outcome = waiting.await.unwrap();
        assert_eq!(outcome.prompt, json!({}), "the history was read");
    }
}

#[tokio::test]
async fn a_history_that_is_quick_decides() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let mut from_history = 0;
    for _ in 0..20 {
        let (prompt_id, waiting) = running(&scripted, &comfy).await;
        scripted.end(&prompt_id);
        from_history += usize::from(waiting.await.unwrap().prompt == json!({}));
    }
    // A machine under load may be slow once, not every time.
    assert!(from_history > 0);
}

#[tokio::test]
async fn a_blocked_branch_does_not_end_the_wait() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    let mut watch = comfy.watch(&prompt_id).await;
    scripted.say(
        "execution_error",
        &json!({ "prompt_id": prompt_id, "exception_type": "ExecutionBlocked" }),
    );
    scripted.say("executing", &json!({ "prompt_id": prompt_id, "node": "9" }));
    let event = until(&mut watch, |event| matches!(event, JobEvent::Node { .. })).await;
    assert!(matches!(event, JobEvent::Node { title: Some(title), .. } if title == "The X"));
    assert!(!waiting.is_finished());
    scripted.end(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
}

#[tokio::test]
async fn a_job_is_lost_only_when_it_is_nowhere_to_be_found() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.world().running.clear();
    let outcome = waiting.await.unwrap();
    assert_eq!(outcome.end, End::Lost);
    assert_eq!(outcome.prompt_id, prompt_id);

    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    scripted.world().history_misses = 1;
    scripted.end_silently(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
}

#[tokio::test]
async fn waiting_for_a_server_that_stays_away_ends_with_how_it_is_away() {
    let mut scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let prompt_id = submit(&comfy).await;
    scripted.vanish().await;
    let error = wait(&comfy, &prompt_id).await.unwrap_err();
    assert!(error.is_outage(), "{error:?}");
}

#[tokio::test]
async fn a_preview_without_a_name_belongs_to_the_job_that_runs() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    let mut watch = comfy.watch(&prompt_id).await;
    scripted.say_binary(b"\0\0\0\x01\0\0\0\x02picture".to_vec());
    let event = until(&mut watch, |event| {
        matches!(event, JobEvent::Preview { .. })
    })
    .await;
    let JobEvent::Preview { mime, bytes, .. } = event else {
        unreachable!()
    };
    assert_eq!((mime, &bytes[..]), ("image/png", &b"picture"[..]));
    scripted.end(&prompt_id);
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_new_server_is_asked_to_cancel_one_job() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let prompt_id = submit(&comfy).await;
    assert_eq!(comfy.cancel(&prompt_id).await.unwrap(), Cancelled::Dequeued);
    let outcome = wait(&comfy, &prompt_id).await.unwrap();
    assert_eq!(outcome.end, End::Interrupted { node_id: None });
    assert_eq!(scripted.count("POST /queue"), 0);
}

#[tokio::test]
async fn a_server_of_unknown_version_is_found_out_by_asking() {
    let scripted = Scripted::start().await;
    scripted.world().version = "nightly";
    let comfy = scripted.comfy();
    let prompt_id = submit(&comfy).await;
    assert_eq!(comfy.cancel(&prompt_id).await.unwrap(), Cancelled::Dequeued);
    assert_eq!(scripted.count("POST /queue"), 1);
}

#[tokio::test]
async fn an_old_server_is_never_told_to_interrupt_what_may_be_another_job() {
    let scripted = Scripted::start().await;
    scripted.world().version = "0.3.56";
    let comfy = scripted.comfy();
    let first = submit(&comfy).await;
    let second = submit(&comfy).await;
    scripted.run_next();
    let error = comfy.cancel(&first).await.unwrap_err();
    assert!(
        matches!(error, ComfyError::CannotInterruptAlone { .. }),
        "{error:?}"
    );
    assert_eq!(scripted.count("POST /interrupt"), 0);

    comfy.cancel(&second).await.unwrap();
    assert_eq!(comfy.cancel(&first).await.unwrap(), Cancelled::Interrupted);
    assert_eq!(scripted.count("POST /interrupt"), 1);
}

#[tokio::test]
async fn what_the_server_is_asked_for_its_nodes_is_read_once_and_again_when_in_doubt() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let all = (0..5).map(|_| {
        let comfy = comfy.clone();
        tokio::spawn(async move { comfy.node_facts().await.unwrap().len() })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 0);
    }
    assert_eq!(scripted.count("GET /object_info"), 1);

    scripted.world().on_prompt = OnPrompt::Reject;
    assert!(try_submit(&comfy).await.is_err());
    scripted.world().object_info = Err(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(comfy.refresh_node_facts().await.is_err());
    assert_eq!(comfy.node_facts().await.unwrap().len(), 0);
    assert_eq!(scripted.count("GET /object_info"), 3);
}

#[tokio::test]
async fn the_server_says_which_classes_stand_for_old_ones_and_else_the_built_in_table_does() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let facts = comfy.node_facts().await.unwrap();
    let known = facts.replacement("ImageBatch").unwrap();
    assert_eq!(
        (&*known.new, facts.replacement("OurOldNode").is_none()),
        ("BatchImagesNode", true)
    );

    scripted.world().node_replacements = Some(json!({ "OurOldNode": [{
        "new_node_id": "OurNode", "old_node_id": "OurOldNode", "old_widget_ids": null,
        "input_mapping": [{ "new_id": "size", "old_id": "width" }], "output_mapping": null,
    }] }));
    let facts = comfy.refresh_node_facts().await.unwrap();
    let told = facts.replacement("OurOldNode").unwrap();
    let inputs = json!({ "width": 5, "gone": 1 });
    let carried = told.carry_over(inputs.as_object().unwrap());
    assert_eq!(
        (&*told.new, carried.into()),
        ("OurNode", json!({ "size": 5 }))
    );
    assert!(facts.replacement("ImageBatch").is_none());
}

#[tokio::test]
async fn node_facts_are_read_again_after_ten_minutes() {
    let scripted = Scripted::start().await;
    let clock = Clock::fixed(jiff::Timestamp::UNIX_EPOCH);
    let comfy = Comfy::new(scripted.server(), Ids::default(), clock.clone());
    for (advance, reads) in [(0, 1), (599, 1), (2, 2)] {
        clock.advance(Duration::from_secs(advance));
        comfy.node_facts().await.unwrap();
        assert_eq!(scripted.count("GET /object_info"), reads);
    }
}

#[tokio::test]
async fn a_link_that_would_kill_the_worker_is_left_out_by_who_knows_no_nodes_yet() {
    let scripted = Scripted::start().await;
    scripted.world().object_info = Ok(json!({ "EmptyImage": {
        "input": { "required": { "width": ["INT", {}] } },
        "output": ["IMAGE"], "output_is_list": [false], "output_name": ["IMAGE"],
        "name": "EmptyImage", "display_name": "EmptyImage", "description": "",
        "python_module": "nodes", "category": "image", "output_node": false,
    }}));
    let nodes = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 8, "ghost": ["gone", 0] } },
        "2": { "class_type": "Unheard", "inputs": { "x": ["gone", 0] } },
        "3": { "class_type": "Fine", "inputs": { "x": ["1", 0] } },
    });
    let comfy = scripted.comfy();
    let workflow = Workflow::from_json(nodes).unwrap();
    let submitted = comfy.submit(&workflow, Submit::default()).await.unwrap();
    let dropped: Vec<_> = submitted.dropped.iter().map(|it| &it.input[..]).collect();
    assert_eq!(dropped, ["ghost"]);
    assert_eq!(
        scripted.world().pending[0][2]["1"]["inputs"],
        json!({ "width": 8 })
    );
    for (request, times) in [
        ("GET /object_info", 0),
        ("GET /object_info/EmptyImage", 1),
        ("GET /object_info/Unheard", 1),
        ("GET /object_info/Fine", 0),
    ] {
        assert_eq!(scripted.count(request), times, "{request}");
    }
}

#[tokio::test]
async fn everything_about_a_submission_reaches_the_server() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let mut extra_data = serde_json::Map::new();
    extra_data.insert("api_key_comfy_org".to_owned(), json!("k"));
    let how = Submit {
        prompt_id: None,
        extra_data,
        front: true,
        targets: Some(vec!["9".to_owned()]),
        preview: massmediafactory::comfy::PreviewMethod::Taesd,
    };
    let submitted = comfy.submit(&workflow(), how).await.unwrap();
    let world = scripted.world();
    let (_, sent) = world
        .requests
        .iter()
        .find(|(asked, _)| asked == "POST /prompt")
        .unwrap();
    let expected: Value = json!({
        "prompt": workflow(),
        "prompt_id": submitted.prompt_id,
        "client_id": comfy.client_id(),
        "extra_data": { "api_key_comfy_org": "k", "preview_method": "taesd" },
        "front": true,
        "partial_execution_targets": ["9"],
    });
    assert_eq!(sent, &expected);
}

#[tokio::test]
async fn https_to_a_server_without_it_is_told_as_that() {
    let scripted = Scripted::start().await;
    let address = scripted.server().url().replace("http://", "https://");
    let comfy = Comfy::new(
        Server::parse(&address).unwrap(),
        Ids::default(),
        Clock::default(),
    );
    let error = try_submit(&comfy).await.unwrap_err();
    assert!(matches!(error, ComfyError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_fails_for_a_moment_does_not_end_the_wait() {
    let scripted = Scripted::start().await;
    let server = scripted.server();
    let timeouts = Timeouts {
        outage: PATIENCE,
        ..*server.timeouts()
    };
    let comfy = Comfy::new(
        server.with_timeouts(timeouts),
        Ids::default(),
        Clock::default(),
    );
    let (prompt_id, waiting) = running(&scripted, &comfy).await;
    let polls = scripted.count("GET /queue");
    scripted.world().instead = Some((StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "trouble"));
    scripted.asked("GET /queue", polls + 1).await;
    scripted.world().instead = None;
    scripted.end(&prompt_id);
    assert!(waiting.await.unwrap().is_success());
}

#[tokio::test]
async fn waiting_at_what_never_was_comfyui_ends_at_once() {
    let scripted = Scripted::start().await;
    scripted.world().instead = Some((StatusCode::OK, "text/html", "<html>"));
    let error = wait(&scripted.comfy(), "p").await.unwrap_err();
    assert!(matches!(error, ComfyError::NotComfy { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_that_is_no_verdict_on_the_workflow_is_not_passed_off_as_one() {
    let scripted = Scripted::start().await;
    scripted.world().instead = Some((StatusCode::BAD_REQUEST, "text/plain", "malformed request"));
    let error = try_submit(&scripted.comfy()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ComfyUI answers 400 to POST /prompt: malformed request"
    );
}

#[tokio::test]
async fn a_hundred_waits_cost_the_server_few_reads_of_its_queue() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let mut waits = Vec::new();
    for _ in 0..100 {
        let prompt_id = submit(&comfy).await;
        let (comfy, id) = (comfy.clone(), prompt_id.clone());
        waits.push((
            prompt_id,
            tokio::spawn(async move { wait(&comfy, &id).await.unwrap() }),
        ));
    }
    for (prompt_id, waiting) in waits {
        scripted.run_next();
        scripted.end(&prompt_id);
        let outcome = waiting.await.unwrap();
        assert_eq!(outcome.outputs[0].text(), Some(prompt_id.as_str()));
    }
    let polls = scripted.count("GET /queue");
    assert!(polls <= 10, "{polls}");
    assert_eq!(scripted.count("GET /ws"), 1);
}
