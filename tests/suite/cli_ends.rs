//! What a command leaves behind when it is over.

use std::fs;
use std::process::Stdio;

use crate::support::mmf::{Home, sim};

const SMALL: [&str; 8] = [
    "sd3_txt2img",
    "--PROMPT",
    "a fox",
    "--STEPS",
    "1",
    "--WIDTH",
    "64",
    "--HEIGHT=64",
];

#[tokio::test]
async fn a_command_with_a_simulator_leaves_nothing_of_it() {
    let home = Home::new();
    let temp = tempfile::tempdir().unwrap();
    let run = ["run", "--sim"].into_iter().chain(SMALL);
    let ran = home.mmf(run).env("TMPDIR", temp.path()).run().await;
    ran.exits(0);
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_result_that_can_not_be_written_is_a_failure() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    for words in [
        vec!["script", "list"],
        vec!["call", "list_workflow_templates"],
        vec!["run", "sd3_txt2img", "--PROMPT", "x", "--workflow"],
    ] {
        let mut command = home.mmf(&words).server(&comfy.url()).into_command();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        command.stdin(Stdio::null()).stdout(full);
        let ran = command.stderr(Stdio::piped()).spawn().unwrap();
        let ran = ran.wait_with_output().await.unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("could not be written"), "{words:?}: {said}");
    }
}

#[tokio::test]
async fn a_data_folder_below_the_home_folder_is_found_there() {
    let home = Home::new();
    let call = home.mmf(["call", "list_assets", "--sim"]);
    call.env("MMF_DATA_DIR", "~/elsewhere").run().await.exits(0);
    assert!(home.project().join("../elsewhere/assets").is_dir());
    assert!(!home.project().join("~").exists());
}
