//! What `[vision]` says: the model that is asked about pictures. Its key stays with the address that it
//! was written for, as the secrets for `ComfyUI` do (see the module `server`).

use std::time::Duration;

use super::ConfigError;
use super::file::Settings;
use super::server::{Words, named, pick_one};
use crate::comfy::Server;
use crate::vision::Endpoint;

/// How long an answer is waited for unless something else is said: models on a processor are slow.
const LIMIT_SECONDS: f64 = 120.0;

const KEY: Words = Words {
    name: "key of [vision]",
    is: "is",
    it_was: "it was",
};

/// Everything that may say something of it.
pub(super) struct Sources<'a> {
    pub(super) variable_url: Option<&'a str>,
    pub(super) variable_model: Option<&'a str>,
    pub(super) variable_key: Option<&'a str>,
    pub(super) project: &'a Settings,
    pub(super) user: &'a Settings,
}

/// The endpoint, if there is one, and which keys are not sent to it and why.
pub(super) fn choose(sources: &Sources) -> Result<(Option<Endpoint>, Vec<String>), ConfigError> {
    let (project, user) = (&sources.project.vision, &sources.user.vision);
    let (of_project, of_user) = (project.url.as_deref(), user.url.as_deref());
    let Some(url) = sources.variable_url.or(of_project).or(of_user) else {
        return Ok((None, vec![]));
    };
    let model = sources.variable_model.or(project.model.as_deref());
    let model = model.or(user.model.as_deref());
    let model = model.ok_or(ConfigError::VisionModel)?.to_owned();
    let seconds = project.seconds.or(user.seconds).unwrap_or(LIMIT_SECONDS);
    let limit = Duration::try_from_secs_f64(seconds).ok();
    let limit = limit.filter(|limit| !limit.is_zero());
    let limit = limit.ok_or(ConfigError::VisionLimit(seconds))?;

    let mut server = Server::parse(url)?;
    let is_chosen =
        |url: &str| Server::parse(url).is_ok_and(|it| it.to_string() == server.to_string());
    let only_project_says_so = sources.variable_url.is_none() && of_project.is_some();
    let meant = [
        !only_project_says_so || of_user.is_some_and(is_chosen),
        of_project.is_some_and(is_chosen),
        of_user.is_some_and(is_chosen),
    ];
    let candidates = [
        (sources.variable_key, "MMF_VISION_KEY".to_owned()),
        (project.key.as_deref(), named(sources.project)),
        (user.key.as_deref(), named(sources.user)),
    ];
    let (key, withheld) = pick_one(&KEY, &server, candidates, meant);
    if let Some(key) = key {
        server = server.header("Authorization", &format!("Bearer {}", key.trim()))?;
    }
    let endpoint = Endpoint {
        server,
        model,
        limit,
    };
    Ok((Some(endpoint), withheld))
}

#[cfg(test)]
mod tests {
    use super::super::file::VisionSettings;
    use super::*;

    fn settings(url: Option<&str>, key: Option<&str>) -> Settings {
        Settings {
            vision: VisionSettings {
                url: url.map(str::to_owned),
                model: Some("m".to_owned()),
                key: key.map(str::to_owned),
                seconds: None,
            },
            ..Settings::default()
        }
    }

    /// Whether a key is sent to the address that is chosen.
    fn sends(project: &Settings, user: &Settings, url: Option<&str>, key: Option<&str>) -> bool {
        let (endpoint, withheld) = choose(&Sources {
            variable_url: url,
            variable_model: None,
            variable_key: key,
            project,
            user,
        })
        .unwrap();
        let endpoint = endpoint.unwrap();
        let sent = endpoint.server.headers().contains_key("authorization");
        assert_eq!(sent, withheld.is_empty());
        assert!(!format!("{endpoint:?} {project:?} {user:?}").contains("s3cret"));
        sent
    }

    #[test]
    fn a_key_stays_with_the_address_that_it_was_written_for() {
        let none = Settings::default();
        let mine = settings(Some("http://mine/v1"), Some("s3cret"));
        let theirs = settings(Some("http://theirs/v1"), None);
        assert!(sends(&none, &mine, None, None));
        assert!(sends(
            &settings(Some("http://mine/v1"), None),
            &mine,
            None,
            None
        ));
        assert!(!sends(&theirs, &mine, None, None));
        assert!(!sends(&none, &mine, Some("http://other/v1"), None));
        assert!(sends(&none, &mine, Some("http://other/v1"), Some("s3cret")));
        assert!(!sends(&theirs, &none, None, Some("s3cret")));
    }

    #[test]
    fn an_address_needs_a_model_and_no_address_is_no_endpoint() {
        let none = Settings::default();
        let sources = |url| Sources {
            variable_url: url,
            variable_model: None,
            variable_key: None,
            project: &none,
            user: &none,
        };
        assert!(choose(&sources(None)).unwrap().0.is_none());
        let refusal = choose(&sources(Some("http://mine/v1")))
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("model"), "{refusal}");
    }
}
