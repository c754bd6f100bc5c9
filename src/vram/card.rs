//! The memory that there is.

use crate::comfy::{Device, SystemStats};

/// The memory that a server's models live in, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// All of it.
    pub total: u64,
    /// What the server can have of it: what is free, and what its own models take, of which it lets
    /// go when it needs the room. What other programs hold is not in it.
    pub free: u64,
}

impl Card {
    /// The device that a server works on; one without a card works in the machine's memory.
    #[must_use]
    pub fn of(stats: &SystemStats) -> Option<Self> {
        Self::on(device(stats)?)
    }

    pub(super) fn on(device: &Device) -> Option<Self> {
        // DirectML tells a constant instead of its memory.
        if device.kind == "privateuseone" {
            return None;
        }
        let free = device.vram_free.saturating_add(held(device));
        let card = Self {
            total: device.vram_total,
            free: free.min(device.vram_total),
        };
        (card.total > 0).then_some(card)
    }
}

/// The device that a server works on. Servers list the one that they work on first (0.3) or all of
/// them (0.23 and later); then it is the one that `--default-device` names, else the largest.
pub(super) fn device(stats: &SystemStats) -> Option<&Device> {
    let cards = || stats.devices.iter().filter(|device| device.kind != "cpu");
    let named = option(stats, "--default-device").and_then(|index| index.parse::<i64>().ok());
    let named = named.and_then(|index| cards().find(|device| device.index == Some(index)));
    named
        .or_else(|| cards().max_by_key(|device| (device.vram_total, -device.index.unwrap_or(0))))
        .or_else(|| stats.devices.first())
}

/// What the server's own tensors take of a device: reserved by `PyTorch`, and in use.
pub(super) fn held(device: &Device) -> u64 {
    // Where nothing is known of PyTorch's own, both figures are those of the whole device.
    let own = device.torch_vram_total < device.vram_total;
    let held = device
        .torch_vram_total
        .saturating_sub(device.torch_vram_free);
    if own { held } else { 0 }
}

/// The value behind an option of the server's command line.
pub(super) fn option<'s>(stats: &'s SystemStats, name: &str) -> Option<&'s str> {
    let words = stats.raw["system"]["argv"].as_array()?;
    let mut words = words.iter().filter_map(|word| word.as_str());
    while let Some(word) = words.next() {
        if word == name {
            return words.next();
        }
        if let Some(value) = word
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value);
        }
    }
    None
}

/// Whether the server was started with that option.
pub(super) fn flag(stats: &SystemStats, name: &str) -> bool {
    let words = stats.raw["system"]["argv"].as_array();
    let mut words = words.into_iter().flatten();
    words.any(|word| word.as_str() == Some(name))
}
