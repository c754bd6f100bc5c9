//! Which server, and which of the secrets go to it: headers, and the key of an account.
//!
//! A header is as a rule a secret, written for one server, and so is a key. Anybody can write an address: a project
//! that was cloned from somewhere brings its own `.mmf/config.toml`. So headers stay with the
//! address that they were written for: those of a file are sent where that file says (or, if it
//! doesn't, to the default address), and those of `COMFYUI_HEADERS` anywhere but where only a
//! project's file says.

use super::ConfigError;
use super::file::Settings;
use crate::comfy::{DEFAULT_URL, Server};

/// Everything that may name a server, headers or a key.
pub(super) struct Sources<'a> {
    pub(super) command_line: Option<&'a str>,
    pub(super) variable_url: Option<&'a str>,
    pub(super) variable_headers: Option<&'a str>,
    pub(super) variable_key: Option<&'a str>,
    pub(super) project: &'a Settings,
    pub(super) user: &'a Settings,
}

pub(super) struct Chosen {
    pub(super) server: Server,
    /// Which secrets are not sent, and why.
    pub(super) withheld: Vec<String>,
}

pub(super) fn choose(sources: &Sources) -> Result<Chosen, ConfigError> {
    let Picked {
        server,
        headers,
        key,
        withheld,
    } = pick(sources)?;
    let mut server = with_headers(server, headers)?;
    if !key.is_empty() {
        server = server.with_account_key(key);
    }
    Ok(Chosen { server, withheld })
}

struct Picked<'a> {
    server: Server,
    headers: &'a str,
    key: &'a str,
    withheld: Vec<String>,
}

/// How a kind of secret is spoken of: as many, or as one.
pub(super) struct Words {
    pub(super) name: &'static str,
    pub(super) is: &'static str,
    pub(super) it_was: &'static str,
}

const HEADERS: Words = Words {
    name: "headers",
    is: "are",
    it_was: "they were",
};

const KEY: Words = Words {
    name: "key of comfy.org",
    is: "is",
    it_was: "it was",
};

fn pick<'a>(sources: &Sources<'a>) -> Result<Picked<'a>, ConfigError> {
    let typed = sources.command_line.or(sources.variable_url);
    let of_project = sources.project.comfyui.url.as_deref();
    let of_user = sources.user.comfyui.url.as_deref();
    let server = Server::parse(typed.or(of_project).or(of_user).unwrap_or(DEFAULT_URL))?;

    let is_chosen =
        |url: &str| Server::parse(url).is_ok_and(|it| it.to_string() == server.to_string());
    let only_project_says_so = typed.is_none() && of_project.is_some();
    let meant = [
        !only_project_says_so || of_user.is_some_and(is_chosen),
        of_project.is_some_and(is_chosen),
        is_chosen(of_user.unwrap_or(DEFAULT_URL)),
    ];
    let mut withheld = vec![];
    let mut sent = |words: &Words, variable: (Option<&'a str>, &str), of: OfFile| {
        let candidates = [
            (variable.0, variable.1.to_owned()),
            (of(sources.project), named(sources.project)),
            (of(sources.user), named(sources.user)),
        ];
        let (sent, kept) = pick_one(words, &server, candidates, meant);
        withheld.extend(kept);
        sent.unwrap_or_default()
    };
    let headers = sent(
        &HEADERS,
        (sources.variable_headers, "COMFYUI_HEADERS"),
        headers,
    );
    let key = sent(&KEY, (sources.variable_key, "COMFY_ORG_API_KEY"), key);
    Ok(Picked {
        server,
        headers,
        key,
        withheld,
    })
}

type OfFile = for<'s> fn(&'s Settings) -> Option<&'s str>;

/// The first of some secrets that is meant for a server, and if none is, why each is kept back.
pub(super) fn pick_one<'a>(
    words: &Words,
    server: &Server,
    candidates: [(Option<&'a str>, String); 3],
    meant: [bool; 3],
) -> (Option<&'a str>, Vec<String>) {
    let mut withheld = vec![];
    let Words { name, is, it_was } = words;
    for ((secret, place), meant) in candidates.into_iter().zip(meant) {
        match secret {
            Some(_) if meant => return (secret, vec![]),
            Some(_) => withheld.push(format!(
                "the {name} of {place} {is} not sent to {server}, {it_was} not written for it"
            )),
            None => {}
        }
    }
    (None, withheld)
}

fn headers(settings: &Settings) -> Option<&str> {
    let headers = settings.comfyui.headers.as_deref();
    headers.filter(|headers| !headers.trim().is_empty())
}

fn key(settings: &Settings) -> Option<&str> {
    let key = settings.comfyui.comfy_org_api_key.as_deref().map(str::trim);
    key.filter(|key| !key.is_empty())
}

pub(super) fn named(settings: &Settings) -> String {
    let file = settings.file.as_ref();
    file.map_or_else(String::new, |file| file.display().to_string())
}

fn with_headers(mut server: Server, headers: &str) -> Result<Server, ConfigError> {
    for line in headers
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(':').ok_or(ConfigError::Header)?;
        server = server.header(name.trim(), value.trim())?;
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::ComfySettings;

    const TOKEN: &str = "Authorization: Bearer s3cret";

    fn settings(url: Option<&str>, headers: Option<&str>) -> Settings {
        Settings {
            comfyui: ComfySettings {
                url: url.map(str::to_owned),
                headers: headers.map(str::to_owned),
                comfy_org_api_key: None,
            },
            ..Settings::default()
        }
    }

    /// What is sent where the user's file has a token for `http://mine`.
    fn sent(project: &Settings, typed: Option<&str>) -> String {
        let user = settings(Some("http://mine"), Some(TOKEN));
        let sources = Sources {
            command_line: typed,
            variable_url: None,
            variable_headers: None,
            variable_key: None,
            project,
            user: &user,
        };
        let picked = pick(&sources).unwrap();
        assert_eq!(picked.headers.is_empty(), !picked.withheld.is_empty());
        picked.headers.to_owned()
    }

    #[test]
    fn the_headers_of_a_file_go_where_that_file_says_and_nowhere_else() {
        let none = Settings::default();
        let theirs = settings(Some("http://theirs"), None);
        assert_eq!(sent(&none, None), TOKEN);
        assert_eq!(sent(&settings(Some("http://mine"), None), None), TOKEN);
        assert_eq!(sent(&none, Some("http://mine/")), TOKEN);
        assert_eq!(sent(&theirs, None), "");
        assert_eq!(sent(&none, Some("http://other")), "");
        assert_eq!(sent(&theirs, Some("http://mine")), TOKEN);
        // A project's own headers are its own affair, and take the place of the user's.
        let theirs = settings(Some("http://theirs"), Some("X-Team: art"));
        assert_eq!(sent(&theirs, None), "X-Team: art");
    }

    #[test]
    fn the_variable_goes_everywhere_but_where_only_a_project_says() {
        let none = Settings::default();
        let theirs = settings(Some("http://theirs"), None);
        let sent = |project: &Settings, variable_url: Option<&str>| {
            let sources = Sources {
                command_line: None,
                variable_url,
                variable_headers: Some(TOKEN),
                variable_key: None,
                project,
                user: &none,
            };
            !pick(&sources).unwrap().headers.is_empty()
        };
        assert!(sent(&none, None));
        assert!(sent(&none, Some("http://said")));
        assert!(sent(&theirs, Some("http://theirs")));
        assert!(!sent(&theirs, None));
    }

    #[test]
    fn a_key_goes_where_headers_would() {
        let mut user = settings(Some("http://mine"), None);
        user.comfyui.comfy_org_api_key = Some(" k3y\n".to_owned());
        let theirs = settings(Some("http://theirs"), None);
        let none = Settings::default();
        let sent = |project: &Settings, typed: Option<&str>, variable: Option<&str>| {
            let sources = Sources {
                command_line: typed,
                variable_url: None,
                variable_headers: None,
                variable_key: variable,
                project,
                user: &user,
            };
            let chosen = choose(&sources).unwrap();
            let key = chosen.server.account_key().map(str::to_owned);
            assert_eq!(key.is_none(), !chosen.withheld.is_empty());
            assert!(!format!("{:?} {:?}", chosen.server, user).contains("k3y"));
            key
        };
        assert_eq!(sent(&none, None, None).as_deref(), Some("k3y"));
        assert_eq!(sent(&none, None, Some("other")).as_deref(), Some("other"));
        assert_eq!(sent(&theirs, None, None), None);
        assert_eq!(sent(&theirs, None, Some("other")), None);
        assert_eq!(sent(&none, Some("http://other"), None), None);
    }

    #[test]
    fn headers_are_never_shown() {
        let server = Server::parse("http://gpu").unwrap();
        let server = with_headers(server, &format!("{TOKEN}\nX-Team: art")).unwrap();
        assert!(!format!("{server:?} {server}").contains("s3cret"));
        assert!(!format!("{:?}", settings(None, Some(TOKEN))).contains("s3cret"));
    }
}
