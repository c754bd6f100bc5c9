use super::*;

fn ledger(dir: &std::path::Path, ids: &Ids) -> Ledger {
    Ledger::new(dir.join("jobs"), Clock::default(), ids.clone())
}

fn job(ledger: &Ledger, server: &str) -> JobRecord {
    ledger.blank(&ledger.new_id(), server)
}

#[tokio::test]
async fn only_what_a_dead_process_left_open_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let ids = Ids::counted();
    let dead = ledger(folder.path(), &ids);
    let (open, ended, elsewhere) = (job(&dead, "here"), job(&dead, "here"), job(&dead, "there"));
    let wanted = open.prompt_id.clone();
    let over = ended.prompt_id.clone();
    dead.enter(vec![open, ended, elsewhere]).await.unwrap();
    dead.note(&over, |job| job.status = JobStatus::Done)
        .await
        .unwrap();

    let next = ledger(folder.path(), &ids);
    assert_eq!(
        next.take_over("here").await.unwrap(),
        [],
        "its process lives"
    );
    drop(dead);
    let taken = next.take_over("here").await.unwrap();
    let taken: Vec<&str> = taken.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(taken, [wanted.as_str()]);
    let third = ledger(folder.path(), &ids);
    assert_eq!(
        third.take_over("here").await.unwrap(),
        [],
        "the second one has it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_look_for_orphans_at_once_each_job_goes_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let ids = Ids::counted();
    for _ in 0..5 {
        let dead = ledger(folder.path(), &ids);
        let jobs: Vec<JobRecord> = (0..40).map(|_| job(&dead, "here")).collect();
        dead.enter(jobs).await.unwrap();
        drop(dead);
        let [one, other] = [(); 2].map(|()| ledger(folder.path(), &ids));
        let (taken, too) = tokio::join!(
            tokio::spawn({
                let one = one.clone();
                async move { one.take_over("here").await }
            }),
            tokio::spawn({
                let other = other.clone();
                async move { other.take_over("here").await }
            }),
        );
        let taken = [taken.unwrap().unwrap(), too.unwrap().unwrap()].concat();
        assert_eq!(taken.len(), 40);
        let ended = taken
            .iter()
            .map(|(id, _)| one.note(id, |job| job.status = JobStatus::Done));
        for ended in ended {
            ended.await.unwrap();
        }
    }
}

#[tokio::test]
async fn jobs_are_found_by_what_they_are_called_and_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let ids = Ids::counted();
    let ledger = ledger(folder.path(), &ids);
    assert_eq!(ledger.find("anything").await.unwrap(), None);
    let jobs: Vec<JobRecord> = (0..3).map(|_| job(&ledger, "here")).collect();
    let all: Vec<String> = jobs.iter().map(|job| job.prompt_id.clone()).collect();
    ledger.enter(jobs).await.unwrap();
    // An old server calls it otherwise.
    ledger
        .note(&all[1], |job| {
            job.prompt_id = "theirs".into();
            job.status = JobStatus::Running;
        })
        .await
        .unwrap();

    let (id, found) = ledger.find("theirs").await.unwrap().unwrap();
    assert_eq!((&id, found.status), (&all[1], JobStatus::Running));
    assert_eq!(ledger.count(JobStatus::Queued).await.unwrap(), 2);
    let queued = JobQuery {
        status: Some(JobStatus::Queued),
        ..JobQuery::default()
    };
    let listed = ledger.list(queued, 10).await.unwrap();
    let listed: Vec<&String> = listed.iter().map(|(id, _)| id).collect();
    assert_eq!(listed, [&all[2], &all[0]], "the newest first");
}

#[tokio::test]
async fn what_ended_long_ago_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ids = Ids::counted();
    let ledger = ledger(folder.path(), &ids);
    let now = Clock::default().now();
    let blank = || JobRecord {
        created_at: Timestamp::UNIX_EPOCH,
        ..job(&ledger, "here")
    };
    // What is open stands before more than a page of what is to go.
    let open = blank();
    let stays = open.prompt_id.clone();
    let old = (0..=PAGE).map(|_| JobRecord {
        ended_at: Some(Timestamp::UNIX_EPOCH),
        ..blank()
    });
    let jobs: Vec<JobRecord> = std::iter::once(open).chain(old).collect();
    ledger.enter(jobs).await.unwrap();
    ledger.sweep(now).await.unwrap();
    let left = ledger.list(JobQuery::default(), PAGE).await.unwrap();
    let left: Vec<&String> = left.iter().map(|(id, _)| id).collect();
    assert_eq!(left, [&stays]);
}

#[tokio::test]
async fn a_job_of_a_server_that_never_came_back_goes_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let ids = Ids::counted();
    let dead = ledger(folder.path(), &ids);
    let left = JobRecord {
        created_at: Timestamp::UNIX_EPOCH,
        ..job(&dead, "a server of last year")
    };
    let id = left.prompt_id.clone();
    dead.enter(vec![left]).await.unwrap();
    let now = Clock::default().now();
    dead.sweep(now).await.unwrap();
    assert!(dead.find(&id).await.unwrap().is_some(), "its process lives");
    drop(dead);
    let next = ledger(folder.path(), &ids);
    next.sweep(now).await.unwrap();
    assert_eq!(next.find(&id).await.unwrap(), None);
}
