//! Which server, and which of the headers go to it.
//!
//! A header is as a rule a secret, written for one server. Anybody can write an address: a project
//! that was cloned from somewhere brings its own `.mmf/config.toml`. So headers stay with the
//! address that they were written for: those of a file are sent where that file says (or, if it
//! doesn't, to the default address), and those of `COMFYUI_HEADERS` anywhere but where only a
//! project's file says.

use super::ConfigError;
use super::file::Settings;
use crate::comfy::{DEFAULT_URL, Server};

/// Everything that may name a server or headers.
pub(super) struct Sources<'a> {
    pub(super) command_line: Option<&'a str>,
    pub(super) variable_url: Option<&'a str>,
    pub(super) variable_headers: Option<&'a str>,
    pub(super) project: &'a Settings,
    pub(super) user: &'a Settings,
}

pub(super) struct Chosen {
    pub(super) server: Server,
    /// Which headers are not sent, and why.
    pub(super) withheld: Vec<String>,
}

pub(super) fn choose(sources: &Sources) -> Result<Chosen, ConfigError> {
    let Picked {
        server,
        headers,
        withheld,
    } = pick(sources)?;
    let server = with_headers(server, headers)?;
    Ok(Chosen { server, withheld })
}

struct Picked<'a> {
    server: Server,
    headers: &'a str,
    withheld: Vec<String>,
}

fn pick<'a>(sources: &Sources<'a>) -> Result<Picked<'a>, ConfigError> {
    let typed = sources.command_line.or(sources.variable_url);
    let of_project = sources.project.comfyui.url.as_deref();
    let of_user = sources.user.comfyui.url.as_deref();
    let server = Server::parse(typed.or(of_project).or(of_user).unwrap_or(DEFAULT_URL))?;

    let is_chosen =
        |url: &str| Server::parse(url).is_ok_and(|it| it.to_string() == server.to_string());
    let only_project_says_so = typed.is_none() && of_project.is_some();
    let candidates = [
        (
            sources.variable_headers,
            "COMFYUI_HEADERS".to_owned(),
            !only_project_says_so || of_user.is_some_and(is_chosen),
        ),
        (
            headers(sources.project),
            named(sources.project),
            of_project.is_some_and(is_chosen),
        ),
        (
            headers(sources.user),
            named(sources.user),
            is_chosen(of_user.unwrap_or(DEFAULT_URL)),
        ),
    ];
    let mut sent = None;
    let mut withheld = vec![];
    for (headers, name, meant) in candidates {
        match headers {
            Some(headers) if meant => sent = sent.or(Some(headers)),
            Some(_) => withheld.push(format!(
                "the headers of {name} are not sent to {server}, they were not written for it"
            )),
            None => {}
        }
    }
    // Headers that are sent take the place of those that would have been.
    if sent.is_some() {
        withheld.clear();
    }
    Ok(Picked {
        server,
        headers: sent.unwrap_or_default(),
        withheld,
    })
}

fn headers(settings: &Settings) -> Option<&str> {
    let headers = settings.comfyui.headers.as_deref();
    headers.filter(|headers| !headers.trim().is_empty())
}

fn named(settings: &Settings) -> String {
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
    fn headers_are_never_shown() {
        let server = Server::parse("http://gpu").unwrap();
        let server = with_headers(server, &format!("{TOKEN}\nX-Team: art")).unwrap();
        assert!(!format!("{server:?} {server}").contains("s3cret"));
        assert!(!format!("{:?}", settings(None, Some(TOKEN))).contains("s3cret"));
    }
}
