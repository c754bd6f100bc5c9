//! Pictures judged by a model behind an endpoint: a little server in its place, which answers as it is
//! told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::support::mmf::{Home, Ran, sim};
use crate::support::sim::get;

/// What it does when it is asked.
#[derive(Clone)]
enum Does {
    Says(String),
    Refuses(u16, &'static str),
    Hangs,
}

#[derive(Clone, Default)]
struct Model {
    does: Arc<Mutex<VecDeque<Does>>>,
    /// Authorization and body of each request.
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Model {
    fn that(does: impl IntoIterator<Item = Does>) -> Self {
        Self {
            does: Arc::new(Mutex::new(does.into_iter().collect())),
            ..Self::default()
        }
    }

    /// The address of a server with it.
    async fn served(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let app = Router::new().route("/v1/chat/completions", post(answer));
        let app = app.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }
}

async fn answer(
    State(model): State<Model>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let key = headers
        .get("authorization")
        .map(|key| key.to_str().unwrap().to_owned());
    model
        .asked
        .lock()
        .unwrap()
        .push((key.unwrap_or_default(), body));
    let does = model
        .does
        .lock()
        .unwrap()
        .pop_front()
        .expect("asked once too often");
    match does {
        Does::Says(text) => {
            let message = json!({ "role": "assistant", "content": text });
            Json(json!({ "choices": [{ "message": message }] })).into_response()
        }
        Does::Refuses(status, said) => {
            let said = json!({ "error": { "message": said } });
            (StatusCode::from_u16(status).unwrap(), Json(said)).into_response()
        }
        Does::Hangs => std::future::pending().await,
    }
}

fn score(score: f64) -> Does {
    Does::Says(json!({ "score": score, "reason": "it is so" }).to_string())
}

/// Two pictures, judged.
async fn judged(home: &Home, url: Option<&str>) -> (Ran, massmediafactory::sim::Sim) {
    let comfy = sim(&[]).await;
    let words = [
        "run",
        "best_of",
        "--json",
        "--PROMPT",
        "a fox",
        "--COUNT",
        "2",
        "--TEMPLATE",
        "sd3_txt2img",
        "--PARAMS",
        r#"{"WIDTH": 64, "HEIGHT": 64, "STEPS": 1}"#,
        "--QUESTION",
        "Is the fox red?",
    ];
    let mut run = home.mmf(words).server(&comfy.url());
    if let Some(url) = url {
        run = run
            .env("MMF_VISION_URL", url)
            .env("MMF_VISION_MODEL", "seer");
        run = run.env("MMF_VISION_KEY", "k3y");
    }
    (run.run().await, comfy)
}

#[tokio::test]
async fn the_best_is_the_one_that_the_model_says_is() {
    let model = Model::that([score(3.0), score(9.0)]);
    let (ran, _comfy) = judged(&Home::new(), Some(&model.served().await)).await;
    let made = ran.exits(0).json();
    let told: Vec<_> = made["pictures"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&told[0]["seed"], &told[0]["score"]),
        (&json!(2), &json!(0.9)),
        "{made:#}"
    );
    assert_eq!(told[0]["reason"], "it is so");
    let asked = model.asked.lock().unwrap();
    let (key, body) = &asked[0];
    assert_eq!(
        (key.as_str(), &body["model"]),
        ("Bearer k3y", &json!("seer"))
    );
    let content = &body["messages"][0]["content"];
    assert!(
        content[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("Is the fox red?")
    );
    let picture = content[1]["image_url"]["url"].as_str().unwrap();
    assert!(picture.starts_with("data:image/"), "{picture}");
    assert_eq!(body["response_format"]["type"], "json_schema");
}

#[tokio::test]
async fn a_picture_of_which_nothing_is_said_is_never_the_best() {
    let model = Model::that([score(0.0), Does::Says("I like it".to_owned())]);
    let (ran, _comfy) = judged(&Home::new(), Some(&model.served().await)).await;
    let made = ran.exits(4).json();
    assert_eq!(made["best"]["seed"], 1, "{made:#}");
    assert_eq!(made["pictures"].as_array().unwrap().len(), 1, "{made:#}");
    assert_eq!(made["failed"][0]["error"], "VISION_UNREADABLE", "{made:#}");
}

#[tokio::test]
async fn no_answer_at_all_is_a_failure_that_says_why() {
    let home = Home::new();
    home.settings("[vision]\nseconds = 0.5\n");
    for (does, code, said) in [
        (
            Does::Refuses(401, "bad key"),
            "VISION_REFUSED",
            "status 401: bad key",
        ),
        (
            Does::Says("{\"score\": 11, \"reason\": \"\"}".into()),
            "VISION_UNREADABLE",
            "schema",
        ),
        (Does::Hangs, "TIMEOUT", "within 0.5 seconds"),
    ] {
        let model = Model::that([does.clone(), does]);
        let (ran, _comfy) = judged(&home, Some(&model.served().await)).await;
        let failure = ran.json();
        assert_ne!(ran.code, Some(0));
        assert_eq!(failure["error"], code, "{failure:#}");
        assert!(
            failure["message"].as_str().unwrap().contains(said),
            "{failure:#}"
        );
        assert!(!failure.to_string().contains("k3y"), "{failure:#}");
    }
    let (ran, _comfy) = judged(&home, Some("http://127.0.0.1:1/v1")).await;
    assert_eq!(ran.exits(5).json()["error"], "CONNECTION_ERROR");
}

#[tokio::test]
async fn without_a_model_the_question_is_refused_before_anything_is_painted() {
    let (ran, comfy) = judged(&Home::new(), None).await;
    let failure = ran.json();
    assert_eq!(failure["error"], "VISION_NOT_CONFIGURED", "{failure:#}");
    assert_eq!(get(&comfy, "/history").await, json!({}));
}
