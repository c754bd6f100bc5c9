//! The queue: prompts that wait, the one that runs, and what became of the others. One lock guards
//! all three, so that a prompt is always in exactly one of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde_json::{Map, Number, Value as Json, json};

use super::hub::Hub;
use super::interrupt::Interrupt;
use super::sync::lock;

/// More entries than this push the oldest out (`MAXIMUM_HISTORY_SIZE`).
const HISTORY_LIMIT: usize = 10_000;

/// A prompt as it is queued.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) number: Number,
    pub(super) id: String,
    pub(super) prompt: Map<String, Json>,
    pub(super) extra_data: Map<String, Json>,
    /// The same with the secrets in it, which nodes see and no answer repeats.
    pub(super) for_nodes: Map<String, Json>,
    pub(super) outputs: Vec<String>,
}

impl Item {
    /// What came in beside the prompt, with the secrets.
    pub(super) fn seen_by_nodes(&self) -> &Map<String, Json> {
        &self.for_nodes
    }

    /// `[number, prompt_id, prompt, extra_data, outputs_to_execute]`.
    pub(super) fn to_json(&self) -> Json {
        json!([
            self.number,
            self.id,
            self.prompt,
            self.extra_data,
            self.outputs
        ])
    }

    fn compare(&self, other: &Self) -> Ordering {
        let number = |item: &Self| item.number.as_f64().unwrap_or_default();
        number(self)
            .total_cmp(&number(other))
            .then_with(|| self.id.cmp(&other.id))
    }
}

/// What the worker shall do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Execute this prompt and report it done under this number.
    Execute(u64, Arc<Item>),
    /// Let go of what is cached.
    Free,
    /// End.
    Close,
}

#[derive(Debug, Default)]
struct State {
    counter: i64,
    pending: Vec<Arc<Item>>,
    running: BTreeMap<u64, Arc<Item>>,
    tasks: u64,
    history: HashMap<String, (u64, Arc<Json>)>,
    history_order: BTreeMap<u64, String>,
    history_added: u64,
    free: bool,
    closed: bool,
}

/// The queue with its history.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    hub: Arc<Hub>,
}

/// The same number and id twice: the real server then compares two prompts and fails.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incomparable;

impl Queue {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            hub,
        }
    }

    /// The number of the next prompt; rejected prompts use one up too.
    pub(super) fn next_number(&self) -> i64 {
        let mut state = lock(&self.state);
        state.counter += 1;
        state.counter - 1
    }

    pub(super) fn put(&self, item: Item) -> Result<(), Incomparable> {
        let mut state = lock(&self.state);
        if state
            .pending
            .iter()
            .any(|other| other.compare(&item).is_eq())
        {
            return Err(Incomparable);
        }
        heap_push(&mut state.pending, Arc::new(item));
        self.announce(&state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Next {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return Next::Close;
            }
            if std::mem::take(&mut state.free) {
                return Next::Free;
            }
            if let Some(item) = heap_pop(&mut state.pending) {
                let task = state.tasks;
                state.tasks += 1;
                state.running.insert(task, item.clone());
                self.announce(&state);
                return Next::Execute(task, item);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Moves a finished prompt into the history.
    pub(super) fn done(&self, task: u64, entry: Json) {
        let mut state = lock(&self.state);
        let Some(item) = state.running.remove(&task) else {
            return;
        };
        if state.history.len() > HISTORY_LIMIT
            && let Some((_, oldest)) = state.history_order.pop_first()
        {
            state.history.remove(&oldest);
        }
        state.history_added += 1;
        // An id that is used again keeps the place of its first use.
        let known = state.history.get(&item.id).map(|(place, _)| *place);
        let place = known.unwrap_or(state.history_added);
        state.history_order.insert(place, item.id.clone());
        state
            .history
            .insert(item.id.clone(), (place, Arc::new(entry)));
        self.announce(&state);
    }

    /// Whether memory shall be freed after the prompt that has just run.
    pub(super) fn take_free(&self) -> bool {
        std::mem::take(&mut lock(&self.state).free)
    }

    pub(super) fn ask_free(&self) {
        lock(&self.state).free = true;
        self.changed.notify_one();
    }

    /// Drops everything that waits.
    pub(super) fn clear(&self) {
        let mut state = lock(&self.state);
        state.pending.clear();
        self.announce(&state);
    }

    /// Drops one waiting prompt; false if it isn't waiting.
    pub(super) fn delete(&self, id: &str) -> bool {
        let mut state = lock(&self.state);
        let Some(place) = state.pending.iter().position(|item| item.id == id) else {
            return false;
        };
        if state.pending.len() == 1 {
            // The real one clears the queue here and reports the change twice.
            state.pending.clear();
            self.announce(&state);
        } else {
            state.pending.remove(place);
            heapify(&mut state.pending);
        }
        self.announce(&state);
        true
    }

    /// Interrupts the prompt if it is the one that runs. Atomic: it can't hit the next one.
    pub(super) fn interrupt_if_running(&self, id: &str, interrupt: &Interrupt) -> bool {
        let state = lock(&self.state);
        let runs = state.running.values().any(|item| item.id == id);
        if runs {
            interrupt.raise();
        }
        runs
    }

    /// Running and pending prompts, the pending ones in the order of the heap.
    pub(super) fn items(&self) -> (Vec<Arc<Item>>, Vec<Arc<Item>>) {
        let state = lock(&self.state);
        (
            state.running.values().cloned().collect(),
            state.pending.clone(),
        )
    }

    pub(super) fn info(&self) -> Json {
        exec_info(&lock(&self.state))
    }

    /// One entry of the history.
    pub(super) fn history_entry(&self, id: &str) -> Option<Arc<Json>> {
        lock(&self.state)
            .history
            .get(id)
            .map(|(_, entry)| entry.clone())
    }

    /// Entries, oldest first: the last `max_items`, or those from `offset` on.
    pub(super) fn history(&self, max_items: Option<i64>, offset: i64) -> Vec<(String, Arc<Json>)> {
        let state = lock(&self.state);
        let total = i64::try_from(state.history.len()).unwrap_or(i64::MAX);
        let offset = match max_items {
            Some(max) if offset < 0 => total - max,
            _ => offset,
        };
        let skip = usize::try_from(offset).unwrap_or(0);
        // The real loop checks the limit after adding, so even 0 lets one entry through.
        let limit = max_items.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0).max(1));
        let ids = state.history_order.values().skip(skip).take(limit);
        ids.map(|id| (id.clone(), state.history[id].1.clone()))
            .collect()
    }

    pub(super) fn clear_history(&self) {
        let mut state = lock(&self.state);
        state.history.clear();
        state.history_order.clear();
    }

    pub(super) fn delete_history(&self, id: &str) {
        let mut state = lock(&self.state);
        if let Some((place, _)) = state.history.remove(id) {
            state.history_order.remove(&place);
        }
    }

    /// Ends the worker.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    fn announce(&self, state: &State) {
        self.hub
            .send("status", &json!({ "status": exec_info(state) }), None);
    }
}

fn exec_info(state: &State) -> Json {
    json!({ "exec_info": { "queue_remaining": state.pending.len() + state.running.len() } })
}

// Python's heapq, step for step: clients see its order in `GET /queue`.

fn heap_push(heap: &mut Vec<Arc<Item>>, item: Arc<Item>) {
    heap.push(item);
    let last = heap.len() - 1;
    sift_down(heap, 0, last);
}

fn heap_pop(heap: &mut Vec<Arc<Item>>) -> Option<Arc<Item>> {
    let last = heap.pop()?;
    if heap.is_empty() {
        return Some(last);
    }
    let first = std::mem::replace(&mut heap[0], last);
    sift_up(heap, 0);
    Some(first)
}

fn heapify(heap: &mut [Arc<Item>]) {
    for place in (0..heap.len() / 2).rev() {
        sift_up(heap, place);
    }
}

fn sift_down(heap: &mut [Arc<Item>], start: usize, mut place: usize) {
    while place > start {
        let parent = (place - 1) / 2;
        if heap[place].compare(&heap[parent]).is_ge() {
            break;
        }
        heap.swap(place, parent);
        place = parent;
    }
}

fn sift_up(heap: &mut [Arc<Item>], start: usize) {
    let mut place = start;
    let mut child = 2 * place + 1;
    while child < heap.len() {
        let right = child + 1;
        if right < heap.len() && heap[child].compare(&heap[right]).is_ge() {
            child = right;
        }
        heap.swap(place, child);
        place = child;
        child = 2 * place + 1;
    }
    sift_down(heap, start, place);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: i64, id: &str) -> Item {
        Item {
            number: number.into(),
            id: id.to_owned(),
            prompt: Map::new(),
            extra_data: Map::new(),
            for_nodes: Map::new(),
            outputs: Vec::new(),
        }
    }

    fn queue() -> Queue {
        Queue::new(Arc::new(Hub::new(super::super::faults::Faults::default())))
    }

    fn pending(queue: &Queue) -> Vec<String> {
        queue.items().1.iter().map(|item| item.id.clone()).collect()
    }

    #[test]
    fn pending_prompts_stand_in_the_order_of_pythons_heap() {
        // As Python's heapq.heappush gives it for the numbers 5, 3, 8, 1, 9, 2.
        let queue = queue();
        for number in [5, 3, 8, 1, 9, 2] {
            queue.put(item(number, &number.to_string())).unwrap();
        }
        assert_eq!(pending(&queue), ["1", "3", "2", "5", "9", "8"]);
        let Next::Execute(_, first) = queue.next() else {
            panic!()
        };
        assert_eq!(first.id, "1");
        assert_eq!(pending(&queue), ["2", "3", "8", "5", "9"]);
    }

    #[test]
    fn the_second_of_three_can_be_deleted() {
        let queue = queue();
        for number in 0..3 {
            queue.put(item(number, &number.to_string())).unwrap();
        }
        assert!(queue.delete("1"));
        assert!(!queue.delete("1"));
        assert_eq!(pending(&queue), ["0", "2"]);
    }

    #[test]
    fn the_same_number_and_id_twice_can_not_be_compared() {
        let queue = queue();
        queue.put(item(1, "a")).unwrap();
        assert_eq!(queue.put(item(1, "a")), Err(Incomparable));
    }

    #[test]
    fn the_history_forgets_the_oldest_beyond_its_limit() {
        let queue = queue();
        for number in 0..=10_001 {
            queue.put(item(number, &number.to_string())).unwrap();
            let Next::Execute(task, _) = queue.next() else {
                panic!()
            };
            queue.done(task, json!({}));
        }
        let entries = queue.history(None, -1);
        assert_eq!(entries.len(), HISTORY_LIMIT + 1);
        assert_eq!(entries[0].0, "1");
        assert_eq!(queue.history(Some(2), -1).last().unwrap().0, "10001");
        assert_eq!(queue.history(Some(2), 0)[0].0, "1");
    }
}
