//! What the versions of the editor do differently.

use semver::Version;

use super::widgets::Widget;

/// The version of the editor that a graph is converted as. Each server has its own, and what it
/// writes into prompts follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Editor {
    /// That of servers before 0.4 (observed on 1.32.9, which 0.3.75 has). It writes the empty values of
    /// widgets that only show something, which no server reads, and leaves ids that nodes of several
    /// subgraphs share.
    Early,
    /// That of later servers (observed on 1.49.6 with 0.33). Between the two there were some that write
    /// more such values.
    #[default]
    Late,
}

/// Classes that have a player.
const PLAYERS: [&str; 5] = [
    "LoadAudio",
    "SaveAudio",
    "PreviewAudio",
    "SaveAudioMP3",
    "SaveAudioOpus",
];

impl Editor {
    /// The editor of a server's version.
    #[must_use]
    pub fn of(server: &Version) -> Self {
        if *server < Version::new(0, 4, 0) {
            Self::Early
        } else {
            Self::Late
        }
    }

    /// The widget of a class that shows what there is to see or hear.
    pub(super) fn showing(self, class: &str) -> Option<Widget> {
        let name = match class {
            _ if self == Self::Late => return None,
            "PreviewAny" => "preview",
            class if PLAYERS.contains(&class) => "audioUI",
            _ => return None,
        };
        Some(Widget {
            name: name.to_owned(),
            value: Some("".into()),
            ..Widget::default()
        })
    }
}
