//! The memory that there is.

use crate::comfy::SystemStats;

/// The memory that a server's models live in, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// All of it.
    pub total: u64,
    /// What is free now. The server lets go of its own models when it needs the room.
    pub free: u64,
}

impl Card {
    /// The largest device of a server; a server without a card works in the machine's memory.
    #[must_use]
    pub fn of(stats: &SystemStats) -> Option<Self> {
        let cards = stats.devices.iter().filter(|device| device.kind != "cpu");
        let card = cards.max_by_key(|device| device.vram_total);
        let card = card.or_else(|| stats.devices.first());
        let card = card.map(|device| Self {
            total: device.vram_total,
            free: device.vram_free,
        });
        card.filter(|card| card.total > 0)
    }
}
