//! What is killed, and when: by chance, and again the same from the same seed.

use super::cutter::{Counted, Moment};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Server,
    Socket,
    Comfy,
    ServerAndComfy,
}

/// One killing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) victim: Victim,
    pub(crate) moment: Moment,
}

impl Strike {
    /// One to four of them, spread over a round in which so many prompts and messages pass.
    pub(crate) fn some(chance: &mut Chance, (prompts, messages): (u64, u64)) -> Vec<Self> {
        let count = 1 + chance.below(4);
        let strike = |_| {
            let (counted, of) = match chance.below(2) {
                0 => (Counted::Prompts, prompts),
                _ => (Counted::Messages, messages),
            };
            Self {
                victim: match chance.below(4) {
                    0 => Victim::Server,
                    1 => Victim::Socket,
                    2 => Victim::Comfy,
                    _ => Victim::ServerAndComfy,
                },
                moment: Moment {
                    counted,
                    nth: 1 + chance.below((of / count).max(1)),
                    arrived: chance.below(2) == 0,
                },
            }
        };
        (0..count).map(strike).collect()
    }
}

/// `splitmix64` (Steele, Lea and Flood 2014).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % limit
    }
}
