//! The bytes on the wire, which must be those of aiohttp and Python.

use futures_util::StreamExt;
use massmediafactory::sim::FolderType;
use reqwest::multipart::{Form, Part};
use tokio_tungstenite::connect_async;

use crate::support::sim::{CLIENT, fast, get_bytes, http};

#[tokio::test]
async fn answers_and_messages_are_json_as_python_writes_it() {
    let sim = fast().await;
    let (_, _, body) = get_bytes(&sim, "/prompt").await;
    assert_eq!(body, br#"{"exec_info": {"queue_remaining": 0}}"#);
    let url = format!("ws://{}/ws?clientId={CLIENT}", sim.addr());
    let (mut socket, _) = connect_async(url).await.unwrap();
    let greeting = socket.next().await.unwrap().unwrap();
    let status = r#"{"status": {"exec_info": {"queue_remaining": 0}}, "sid": "SID"}"#;
    assert_eq!(
        greeting.to_text().unwrap(),
        format!(r#"{{"type": "status", "data": {status}}}"#).replace("SID", CLIENT)
    );
}

/// The answers are those of a real 0.3.75 to the same requests.
#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_in_aiohttps_words() {
    let sim = fast().await;
    let big = vec![b' '; (100 << 20) + 1];
    let prompt = http()
        .post(format!("{}/prompt", sim.url()))
        .body(big.clone());
    let part = Part::bytes(big).file_name("big.bin");
    let upload = http()
        .post(format!("{}/upload/image", sim.url()))
        .multipart(Form::new().part("image", part));
    for request in [prompt, upload] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(
            answer.headers()["content-type"],
            "text/plain; charset=utf-8"
        );
        let text = answer.text().await.unwrap();
        assert_eq!(text, "Maximum request body size 104857600 exceeded.");
    }
}

/// The answers are those of a real 0.3.75 to the same requests.
#[tokio::test]
async fn a_view_says_whether_the_file_is_still_the_same() {
    let sim = fast().await;
    std::fs::write(
        sim.folders().dir(FolderType::Input).join("ten.txt"),
        "abcdefghij",
    )
    .unwrap();
    let ask = async |headers: &[(&'static str, &str)]| {
        let mut request = http().get(format!("{}/view?filename=ten.txt&type=input", sim.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let whole = ask(&[]).await;
    assert_eq!(whole.headers()["content-length"], "10");
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    let modified = whole.headers()["last-modified"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(etag.ends_with("-a\""), "the size is in the tag: {etag}");
    assert_eq!(whole.text().await.unwrap(), "abcdefghij");

    let weak = format!("W/{etag}");
    let among = format!("\"other\", {etag}");
    let (past, future) = (
        "Fri, 01 Jan 2010 00:00:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
    );
    for (headers, status, text) in [
        (vec![("if-none-match", "*")], 304, ""),
        (vec![("if-none-match", weak.as_str())], 304, ""),
        (vec![("if-none-match", &among)], 304, ""),
        (
            vec![
                ("if-none-match", "\"other\""),
                ("if-modified-since", future),
            ],
            200,
            "abcdefghij",
        ),
        (vec![("if-modified-since", &modified)], 304, ""),
        (vec![("if-modified-since", past)], 200, "abcdefghij"),
        (vec![("if-match", "\"other\"")], 412, ""),
        (vec![("if-match", "*")], 200, "abcdefghij"),
        (vec![("if-unmodified-since", past)], 412, ""),
        (vec![("range", "bytes=2-3")], 206, "cd"),
        (vec![("range", "bytes=-0")], 206, "abcdefghij"),
        (vec![("range", "lines=1-2")], 416, ""),
        (vec![("range", "bytes=0-1"), ("if-range", &etag)], 206, "ab"),
        (
            vec![("range", "bytes=0-1"), ("if-range", past)],
            200,
            "abcdefghij",
        ),
    ] {
        let answer = ask(&headers).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        let told = answer.headers().get("etag").is_some();
        assert_eq!(told, status < 400, "{headers:?}");
        assert_eq!(answer.text().await.unwrap(), text, "{headers:?}");
    }
}
