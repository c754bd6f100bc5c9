//! What runs leave behind.

use super::*;
use std::thread;

fn well(peak: u64, before: u64) -> Ended {
    Ended::Well {
        peak: peak << 30,
        before: before << 30,
    }
}

fn short(free: Option<u64>) -> Ended {
    Ended::OutOfMemory {
        free: free.map(|gigabytes| gigabytes << 30),
        node: Some("KSampler".to_owned()),
    }
}

fn day() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

#[test]
fn runs_are_counted_by_shape_and_device() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Observations::new(dir.path().join("vram"));
    assert_eq!(seen.of("a", "card").unwrap(), None);
    for gigabytes in [3_u64, 5, 4] {
        seen.add("a", "card", well(gigabytes, 0), day()).unwrap();
    }
    seen.add("a", "card", short(None), day()).unwrap();
    let observed = seen.of("a", "card").unwrap().unwrap();
    assert_eq!(
        observed,
        Observed {
            runs: 3,
            from_empty: 3,
            peak_gb: [3.0, 5.0],
            out_of_memory: 1,
            shortage: None,
            last: "2026-11-30".into()
        }
    );
    assert_eq!(seen.of("a", "other").unwrap(), None);
    assert_eq!(seen.of("b", "card").unwrap(), None);
}

#[test]
fn no_run_is_lost_when_several_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Observations::new(dir.path().to_owned());
    thread::scope(|scope| {
        for _ in 0..8 {
            let seen = seen.clone();
            scope.spawn(move || {
                for _ in 0..5 {
                    seen.add("a", "card", well(1, 0), day()).unwrap();
                }
            });
        }
    });
    assert_eq!(seen.of("a", "card").unwrap().unwrap().runs, 40);
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Observations::new(dir.path().to_owned());
    fs::write(dir.path().join("a.json"), "{ half").unwrap();
    seen.add("a", "card", short(None), day()).unwrap();
    assert_eq!(seen.of("a", "card").unwrap().unwrap().out_of_memory, 1);
}

#[test]
fn a_run_that_began_on_a_full_card_does_not_raise_the_peak() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Observations::new(dir.path().to_owned());
    for (peak, before) in [(20, 16), (6, 0), (18, 12), (7, 0)] {
        seen.add("a", "card", well(peak, before), day()).unwrap();
    }
    let observed = seen.of("a", "card").unwrap().unwrap();
    assert_eq!((observed.runs, observed.peak_gb), (4, [6.0, 7.0]));
    seen.add("b", "card", well(6, 0), day()).unwrap();
    seen.add("b", "card", well(18, 12), day()).unwrap();
    let observed = seen.of("b", "card").unwrap().unwrap();
    assert_eq!((observed.runs, observed.peak_gb), (2, [6.0, 6.0]));
}

#[test]
fn a_lock_that_another_holds_is_not_waited_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let other = File::create(dir.path().join("lock")).unwrap();
    other.lock().unwrap();
    let seen = Observations::new(dir.path().to_owned());
    let error = seen.add("a", "card", well(1, 0), day()).unwrap_err();
    assert!(error.to_string().contains("lock"), "{error}");
}

fn machine(gigabytes: u64) -> Machine {
    Machine::with_card(Some(super::super::Card {
        total: 24 << 30,
        free: gigabytes << 30,
    }))
}

#[test]
fn what_ran_out_of_memory_does_not_run_until_there_is_more() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Observations::new(dir.path().to_owned());
    seen.add("a", "card", short(Some(8)), day()).unwrap();
    let observed = seen.of("a", "card").unwrap().unwrap();
    for (free, expected) in [(6, Fit::No), (8, Fit::No), (20, Fit::Streamed)] {
        assert_eq!(observed.corrects(Fit::Streamed, &machine(free)), expected);
    }
    seen.add("a", "card", short(Some(20)), day()).unwrap();
    let observed = seen.of("a", "card").unwrap().unwrap();
    assert_eq!(observed.corrects(Fit::Streamed, &machine(20)), Fit::No);
    seen.add("a", "card", well(12, 0), day()).unwrap();
    let observed = seen.of("a", "card").unwrap().unwrap();
    assert_eq!(
        observed.corrects(Fit::Streamed, &machine(20)),
        Fit::Streamed
    );

    // Of an older note it is not known how much was free.
    let old = Observed {
        shortage: None,
        runs: 0,
        ..observed
    };
    assert_eq!(old.corrects(Fit::Whole, &machine(8)), Fit::Whole);
}

#[test]
fn what_ran_runs_where_there_is_room_for_it() {
    let ran = Observed {
        runs: 1,
        from_empty: 1,
        peak_gb: [4.0, 5.0],
        out_of_memory: 0,
        shortage: None,
        last: String::new(),
    };
    assert_eq!(ran.corrects(Fit::Unknown, &machine(8)), Fit::Whole);
    assert_eq!(ran.corrects(Fit::No, &machine(8)), Fit::Streamed);
    assert_eq!(
        ran.corrects(Fit::No, &machine(2)),
        Fit::No,
        "others hold the card now"
    );
}

#[test]
fn a_shape_that_ran_after_memory_ran_out_is_short_of_it_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Observations::new(dir.path().to_owned());
    for ended in [Ended::Unseen, well(3, 0)] {
        seen.add("a", "card", short(Some(24)), day()).unwrap();
        assert!(seen.has_shortage("a"));
        seen.add("a", "card", ended, day()).unwrap();
        assert!(!seen.has_shortage("a"));
    }
    assert_eq!(seen.of("a", "card").unwrap().unwrap().out_of_memory, 2);
}
