//! Whether a server was restarted, told by what it remembers.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::scripted::Scripted;

#[tokio::test]
async fn what_a_server_remembers_is_read_by_its_own_clock() {
    let scripted = Scripted::start().await;
    let comfy = scripted.comfy();
    let minute = SignedDuration::from_mins(1);
    for ahead in [-60, 0, 60].map(SignedDuration::from_mins) {
        scripted.world().clock_ahead = ahead;
        let submitted = Timestamp::now();
        for (began, is_before) in [(submitted - minute, true), (submitted + minute, false)] {
            let theirs = (began + ahead).as_millisecond();
            let messages = json!([["execution_start", { "timestamp": theirs }]]);
            let entry = json!({ "status": { "messages": messages } });
            scripted.world().history.insert("other".into(), entry);
            let remembers = comfy.remembers_before(submitted).await.unwrap();
            assert_eq!(remembers, is_before, "{ahead} ahead");
        }
    }
}
