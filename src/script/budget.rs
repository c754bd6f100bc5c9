//! What a run has used of its limits, in all its scripts, branches and threads together.
//!
//! Rhai counts within one engine; a run has one for each script that it runs and for each branch
//! of `parallel`. So each thread of a run reads its own meter at every step of the interpreter, and
//! adds what it shows to the run's account every few steps, or at once where memory was taken.
//! When a limit is passed, all threads of the run end: scripts can't catch that.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rhai::{Dynamic, Engine, EvalAltResult, Position};
use tokio_util::sync::CancellationToken;

use super::host::thrown;
use super::limits::Passed;
use super::{Limit, Limits};
use crate::failure::{Code, Failure};

/// After how many steps a thread looks at the clock and whether it is to stop. One step may take
/// as long as a large value takes to copy.
const LOOK_EVERY: u64 = 256;

/// Memory that is accounted for at once, in bytes.
const LUMP: i64 = 1 << 20;

/// What the constants and the declaration of a script may take while it is read: steps, some 10 ms of
/// them, seconds on a machine that is busy, and megabytes.
const CHECKING: [(Limit, u64); 3] = [
    (Limit::Operations, 5_000_000),
    (Limit::Seconds, 10),
    (Limit::Memory, 64),
];

thread_local! {
    static METER: Meter = const {
        Meter { steps: Cell::new(0), bytes: Cell::new(0), since: Cell::new(None) }
    };
}

/// What a thread has used and not yet added to the account of its run.
struct Meter {
    steps: Cell<u64>,
    /// What the thread had taken when it was last read.
    bytes: Cell<i64>,
    /// When it was last read; nothing while the thread waits.
    since: Cell<Option<Instant>>,
}

/// What a meter shows.
type Shown = (u64, i64, Option<Instant>);

impl Meter {
    fn grown(&self) -> i64 {
        taken() - self.bytes.get()
    }

    fn put_aside(&self) -> Shown {
        (self.steps.take(), self.bytes.get(), self.since.take())
    }

    /// Goes on from what it showed before, with what was done meanwhile.
    fn go_on(&self, (steps, bytes, since): Shown, more: u64) {
        self.steps.set(steps.saturating_add(more));
        self.bytes.set(bytes);
        self.since.set(since);
    }
}

/// What a piece of memory is charged with beside its size, in bytes: allocators keep something with each,
/// and values of many small pieces within each other need stack ([`Limits::stack`]).
const PIECE: isize = 64;

/// Bytes that this thread has taken from the allocator and not given back; always 0 in a program
/// that does not count them.
fn taken() -> i64 {
    let metrics = alloc_metrics::thread_metrics();
    let pieces = metrics.allocations.saturating_mul(PIECE);
    i64::try_from(metrics.allocated_bytes.saturating_add(pieces)).unwrap_or(i64::MAX)
}

/// The account of one run.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    /// Ends the run's scripts: its caller cancels, is gone, or a limit is passed.
    stop: CancellationToken,
    operations: AtomicU64,
    micros: AtomicU64,
    bytes: AtomicI64,
    jobs: AtomicU64,
    written: AtomicU64,
    went_too_far: AtomicBool,
    passed: OnceLock<Passed>,
}

impl Budget {
    /// An account on which nothing stands yet. A limit that is passed cancels `stop`.
    pub(super) fn new(limits: Limits, stop: CancellationToken) -> Self {
        Self {
            limits,
            stop,
            operations: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            bytes: AtomicI64::new(0),
            jobs: AtomicU64::new(0),
            written: AtomicU64::new(0),
            went_too_far: AtomicBool::new(false),
            passed: OnceLock::new(),
        }
    }

    /// An account for what is looked at while scripts are read: little, for nobody waits for it.
    pub(super) fn of_checks() -> Arc<Self> {
        let limits = CHECKING
            .iter()
            .fold(Limits::default(), |limits, (limit, allowed)| {
                limits.with(*limit, *allowed)
            });
        Arc::new(Self::new(limits, CancellationToken::new()))
    }

    /// What is allowed.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The limit that was passed, if one was.
    pub(super) fn passed(&self) -> Option<Passed> {
        self.passed.get().copied()
    }

    /// Whether the run is to end.
    pub(super) fn is_over(&self) -> bool {
        self.passed.get().is_some() || self.stop.is_cancelled()
    }

    /// From here on the present thread works for this run.
    #[expect(
        clippy::unused_self,
        reason = "a thread works for a run, and settles with that one"
    )]
    pub(super) fn begin(&self) {
        METER.with(|meter| {
            meter.steps.set(0);
            meter.bytes.set(taken());
            meter.since.set(Some(Instant::now()));
        });
    }

    /// Does something on this account from its beginning to its end. Where that happens within a run,
    /// what it takes stands on the account of the run, too.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let around = METER.with(Meter::put_aside);
        let before = self.operations.load(Ordering::Relaxed);
        self.begin();
        let done = work();
        self.settle();
        let steps = self.operations.load(Ordering::Relaxed) - before;
        METER.with(|meter| meter.go_on(around, steps));
        done
    }

    /// Adds what the present thread has used to the account.
    pub(super) fn settle(&self) {
        METER.with(|meter| {
            let steps = meter.steps.take();
            let grown = meter.grown();
            meter.bytes.set(taken());
            let now = Instant::now();
            let micros = meter.since.get().map_or(0, |since| {
                meter.since.set(Some(now));
                u64::try_from(now.duration_since(since).as_micros()).unwrap_or(u64::MAX)
            });
            self.count(&self.operations, Limit::Operations, steps);
            self.count(&self.micros, Limit::Seconds, micros);
            // What other threads took and this one gives back makes no room.
            let left = |bytes: i64| Some(bytes.saturating_add(grown).max(0));
            let (add, order) = (left, Ordering::Relaxed);
            let before = self.bytes.fetch_update(order, order, add).unwrap_or(0);
            let bytes = u64::try_from(before.saturating_add(grown)).unwrap_or(0);
            self.bound(Limit::Memory, bytes);
        });
    }

    /// Does something that is waited for, whose time is not the run's.
    pub(super) fn pause<T>(&self, work: impl FnOnce() -> T) -> T {
        self.settle();
        let since = METER.with(|meter| meter.since.take());
        let done = work();
        METER.with(|meter| meter.since.set(since.map(|_| Instant::now())));
        done
    }

    /// The same, and its memory is given back by other threads, such as what is sent.
    pub(super) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = self.pause(work);
        METER.with(|meter| meter.bytes.set(taken()));
        done
    }

    /// Counts a job that is about to be put on the server.
    pub(super) fn job(&self) -> Result<(), Box<EvalAltResult>> {
        if self.limits.of(Limit::Jobs) == 0 {
            let message = "a hook can't put jobs on the server";
            return Err(thrown(Failure::new(Code::NOT_ALLOWED, message)));
        }
        self.count(&self.jobs, Limit::Jobs, 1);
        self.unless_over()
    }

    /// Lets a script that stands `depth` below the first run another.
    pub(super) fn nest(&self, depth: usize) -> Result<(), Box<EvalAltResult>> {
        let depth = u64::try_from(depth).unwrap_or(u64::MAX);
        self.bound(Limit::Nesting, depth.saturating_add(1));
        self.unless_over()
    }

    /// Counts bytes that are about to be written, or were.
    pub(super) fn write(&self, bytes: u64) -> Result<(), Box<EvalAltResult>> {
        self.count(&self.written, Limit::Written, bytes);
        self.unless_over()
    }

    /// The error that ends a script of a run that was cancelled or went too far; scripts can't
    /// catch it.
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "Rhai's functions return boxed errors"
    )]
    pub(super) fn stopped(&self) -> Box<EvalAltResult> {
        EvalAltResult::ErrorTerminated(self.token(), Position::NONE).into()
    }

    /// Lets the scripts of `engine` go on this account.
    pub(super) fn meter(self: &Arc<Self>, engine: &mut Engine) {
        let this = self.clone();
        // What one engine counts is not all that the run does.
        engine.set_max_operations(0);
        engine.on_progress(move |_| this.step());
    }

    /// Goes on with a result unless a limit was passed meanwhile.
    fn unless_over(&self) -> Result<(), Box<EvalAltResult>> {
        match self.passed() {
            Some(_) => Err(self.stopped()),
            None => Ok(()),
        }
    }

    /// A step of the interpreter; gives what ends the script if it has to end.
    fn step(&self) -> Option<Dynamic> {
        METER.with(|meter| {
            let steps = meter.steps.get() + 1;
            meter.steps.set(steps);
            let is_small = steps < LOOK_EVERY && meter.grown().abs() < LUMP;
            if is_small && !self.went_too_far.load(Ordering::Relaxed) {
                return None;
            }
            self.settle();
            self.is_over().then(|| self.token())
        })
    }

    fn token(&self) -> Dynamic {
        self.passed().map_or(Dynamic::UNIT, Dynamic::from)
    }

    fn count(&self, used: &AtomicU64, limit: Limit, more: u64) {
        let before = used.fetch_add(more, Ordering::Relaxed);
        self.bound(limit, before.saturating_add(more));
    }

    fn bound(&self, limit: Limit, used: u64) {
        if used <= self.limits.counted(limit) {
            return;
        }
        let allowed = self.limits.of(limit);
        let _ = self.passed.set(Passed { limit, allowed });
        self.went_too_far.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn budget(limit: Limit, allowed: u64) -> Arc<Budget> {
        let limits = Limits::default().with(limit, allowed);
        let budget = Budget::new(limits, CancellationToken::new());
        budget.begin();
        Arc::new(budget)
    }

    fn end(budget: &Arc<Budget>, text: &str) -> (EvalAltResult, Option<Limit>) {
        let mut engine = super::super::engine::bare(budget.limits());
        budget.meter(&mut engine);
        let error = engine.run(text).unwrap_err();
        (*error, budget.passed().map(|passed| passed.limit))
    }

    #[test]
    fn what_goes_too_far_can_neither_be_caught_nor_hidden_in_a_closure() {
        for text in [
            "loop { try { loop {} } catch {} }",
            "loop { try { [1].map(|x| loop {}) } catch {} }",
        ] {
            let budget = budget(Limit::Operations, 10_000);
            let (error, passed) = end(&budget, text);
            assert_eq!(passed, Some(Limit::Operations), "{error}");
        }
    }

    #[test]
    fn the_steps_of_all_engines_and_threads_of_a_run_are_one_sum() {
        let budget = budget(Limit::Operations, 100_000);
        let work = "let n = 0; while n < 1000 { n += 1; }";
        let mut turns = 0;
        while budget.passed().is_none() {
            turns += 1;
            assert!(turns < 1000, "it is never over");
            thread::scope(|scope| {
                scope.spawn(|| {
                    budget.begin();
                    let mut engine = super::super::engine::bare(budget.limits());
                    budget.meter(&mut engine);
                    let _ = engine.run(work);
                    budget.settle();
                });
            });
        }
        assert!(turns > 10, "{turns}");
        assert!(budget.stop.is_cancelled());
    }

    #[test]
    fn what_is_done_on_another_account_within_a_run_is_the_runs_as_well() {
        let outer = budget(Limit::Operations, 100_000);
        outer.settle();
        let inner = Budget::of_checks();
        let failed = inner.alone(|| end(&inner, "loop { }").1);
        assert_eq!(failed, Some(Limit::Operations));
        assert_eq!(outer.passed(), None, "it has not looked yet");
        outer.settle();
        let passed = outer.passed().map(|passed| passed.limit);
        assert_eq!(passed, Some(Limit::Operations));
    }

    #[test]
    fn time_that_is_waited_is_not_the_runs() {
        let budget = budget(Limit::Seconds, 60);
        let before = budget.micros.load(Ordering::Relaxed);
        let began = Instant::now();
        budget.pause(|| while began.elapsed().as_millis() < 20 {});
        budget.settle();
        let counted = budget.micros.load(Ordering::Relaxed) - before;
        assert!(u128::from(counted) < began.elapsed().as_micros());
        assert!(began.elapsed().as_millis() >= 20);
    }

    #[test]
    fn jobs_and_bytes_are_counted_before_they_are_spent() {
        let budget = budget(Limit::Jobs, 2);
        assert!(budget.job().is_ok() && budget.job().is_ok());
        let error = budget.job().unwrap_err();
        assert!(!error.is_catchable(), "{error}");
        let budget = super::tests::budget(Limit::Written, 1);
        assert!(budget.write(1 << 20).is_ok());
        assert!(budget.write(1).is_err());
    }
}
