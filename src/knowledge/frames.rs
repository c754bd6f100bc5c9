//! How long clips may be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The frames that a clip may have: so many at least, and so many more any number of times. Written
/// as `8n+1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameRule {
    /// What further frames come in.
    pub step: u32,
    /// The shortest.
    pub first: u32,
}

impl FrameRule {
    /// Whether a clip may have so many frames.
    #[must_use]
    pub fn allows(self, frames: u32) -> bool {
        frames >= self.first && (frames - self.first).is_multiple_of(self.step)
    }

    /// The allowed number of frames that is nearest.
    #[must_use]
    pub fn nearest(self, frames: u32) -> u32 {
        let beyond = frames.saturating_sub(self.first);
        let steps = beyond.saturating_add(self.step / 2) / self.step;
        self.first.saturating_add(steps.saturating_mul(self.step))
    }
}

impl FromStr for FrameRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('n').and_then(|(step, first)| {
            let first = first.trim().strip_prefix('+')?;
            let step: u32 = step.trim().parse().ok()?;
            let first = first.trim().parse().ok()?;
            (step > 0).then_some(Self { step, first })
        });
        parsed.ok_or_else(|| format!("\"{text}\" is no rule for frames, such as \"8n+1\""))
    }
}

impl TryFrom<String> for FrameRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FrameRule> for String {
    fn from(rule: FrameRule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for FrameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}n+{}", self.step, self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_which_lengths_there_are() {
        let rule: FrameRule = "8n+1".parse().unwrap();
        assert!(rule.allows(1) && rule.allows(121));
        assert!(!rule.allows(120) && !rule.allows(0));
        assert_eq!((rule.nearest(120), rule.nearest(0)), (121, 1));
        let rule: FrameRule = "17n+5".parse().unwrap();
        assert!(rule.allows(124));
        assert_eq!(rule.nearest(120), 124);
        assert_eq!(rule.to_string(), "17n+5");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "8", "n+1", "0n+1", "8n", "8n-1"] {
            assert!(text.parse::<FrameRule>().is_err(), "{text}");
        }
    }
}
