//! Names that are the same file everywhere and surprise nobody: not a shell, not a URL, not a
//! case-blind file system, not Windows.

use super::PublishError;

/// Pictures, clips and sounds that browsers show. The first seven are the original server's.
const EXTENSIONS: [&str; 12] = [
    "webp", "png", "jpg", "jpeg", "mp4", "webm", "gif", "mp3", "wav", "flac", "ogg", "m4a",
];

const LONGEST_STEM: usize = 64;

/// Leaves room for the time that is appended.
const LONGEST_KEY: usize = 48;

/// Devices on Windows, whatever extension follows.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Checks `^[a-z0-9][a-z0-9._-]{0,63}\.(webp|png|...)$`, and that it's no device.
pub(super) fn check_filename(name: &str) -> Result<(), PublishError> {
    let wrong = |reason| {
        Err(PublishError::InvalidFilename {
            name: name.to_owned(),
            reason,
        })
    };
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return wrong("it has no extension");
    };
    if !EXTENSIONS.contains(&extension) {
        return wrong("its extension is not one that is published");
    }
    if !is_tame(stem, b"._-", LONGEST_STEM) {
        return wrong("it has other characters than a-z 0-9 . _ - or is too long");
    }
    if is_device(stem) {
        return wrong("it names a device on Windows");
    }
    Ok(())
}

/// Checks `^[a-z0-9][a-z0-9_-]{0,47}$`, and that it's no device.
pub(super) fn check_key(key: &str) -> Result<(), PublishError> {
    if is_tame(key, b"_-", LONGEST_KEY) && !is_device(key) {
        return Ok(());
    }
    Err(PublishError::InvalidKey(key.to_owned()))
}

fn is_tame(text: &str, besides: &[u8], longest: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = text.bytes().next();
    first.is_some_and(plain)
        && text.len() <= longest
        && text
            .bytes()
            .all(|byte| plain(byte) || besides.contains(&byte))
}

fn is_device(stem: &str) -> bool {
    let stem = stem.split('.').next().unwrap_or(stem);
    let numbered = |device| {
        stem.strip_prefix(device)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    DEVICES.contains(&stem) || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tame_names_pass() {
        for name in [
            "hero.png",
            "comfyui_00001_.png",
            "a.b-c_d.jpeg",
            "0.webm",
            "console.gif",
        ] {
            check_filename(name).unwrap();
        }
        check_key("product_shot_1").unwrap();
    }

    #[test]
    fn wild_names_do_not() {
        for name in [
            "",
            ".png",
            "png",
            "hero",
            "Hero.png",
            "../hero.png",
            "a/b.png",
            "a\\b.png",
            "-rf.png",
            ".hidden.png",
            "hero.png\n",
            "hero.svg",
            "hero.html",
            "hero.png.exe",
            "con.png",
            "nul.tar.png",
            "com1.png",
            "hero .png",
            "hérö.png",
            "a\0.png",
        ] {
            assert!(check_filename(name).is_err(), "{name:?}");
        }
        assert!(check_filename(&format!("{}.png", "a".repeat(65))).is_err());
        assert!(check_filename(&format!("{}.png", "a".repeat(64))).is_ok());
        assert!(check_key(&"a".repeat(49)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_passes_is_one_plain_component(name in "[a-z0-9./\\\\:~ -]{0,12}\\.?(png|webp|gif)?") {
            if check_filename(&name).is_ok() {
                let components: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(matches!(components[..], [Component::Normal(_)]));
                prop_assert!(!name.starts_with('.'));
                prop_assert!(!name.contains(['/', '\\', ':', '~', ' ']));
            }
        }

        #[test]
        fn no_name_at_all_makes_the_check_fall_over(name in any::<String>()) {
            let _ = check_filename(&name);
            let _ = check_key(&name);
        }
    }
}
