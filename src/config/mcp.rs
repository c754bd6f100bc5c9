//! What `[mcp]` says: who may speak to the server over HTTP, and what it offers.
//!
//! A project that was cloned from somewhere brings its own `.mmf/config.toml`. Who may come in is
//! not its affair: a token that its author knows, or a website that it lets in, would open the
//! server to others. So the token, the hosts and the origins are the user's to say.

use std::time::Duration;

use super::ConfigError;
use super::file::{McpSettings, Settings};

/// The fewest characters of a token: guessing one has to be hopeless.
const MIN_TOKEN: usize = 16;

/// Shorter than the time after which clients give up, with room for the answer's way.
const CALL_LIMIT: Duration = Duration::from_secs(50);

/// The settings of the MCP server.
#[derive(Clone, Debug)]
pub struct Mcp {
    /// What a client over HTTP has to know.
    pub token: Option<Token>,
    /// Names under which the server is reached besides its own, such as that of a proxy.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may speak to it besides its own, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// Names or categories of the tools that are offered; none for all.
    pub tools: Vec<String>,
    /// How long a call of a long tool may take before its client is given a handle to go on with;
    /// `None` for any time. Clients give a call up after 60 s, as the SDKs have it.
    pub call_limit: Option<Duration>,
    /// Settings that are not in force, and why.
    pub ignored: Vec<String>,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            token: None,
            allowed_hosts: vec![],
            allowed_origins: vec![],
            tools: vec![],
            call_limit: Some(CALL_LIMIT),
            ignored: vec![],
        }
    }
}

/// A secret that is kept only as its hash, so that nothing can show it.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl Token {
    /// A token as it was written.
    pub fn new(written: &str) -> Result<Self, ConfigError> {
        let fits = written.chars().all(|c| c.is_ascii_graphic()) && written.len() >= MIN_TOKEN;
        fits.then(|| Self(blake3::hash(written.as_bytes())))
            .ok_or(ConfigError::Token { least: MIN_TOKEN })
    }

    /// Whether this is it. How long that takes tells nothing about it.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        // The comparison of these hashes takes the same time wherever they differ.
        self.0 == blake3::hash(presented.as_bytes())
    }
}

/// It is never shown.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Everything that may say something about the MCP server.
pub(super) struct Sources<'a> {
    pub(super) variable_token: Option<&'a str>,
    pub(super) project: &'a Settings,
    pub(super) user: &'a Settings,
}

pub(super) fn choose(sources: &Sources) -> Result<Mcp, ConfigError> {
    let (user, project) = (&sources.user.mcp, &sources.project.mcp);
    let limit = match project.call_limit_seconds.or(user.call_limit_seconds) {
        Some(0.0) => None,
        Some(seconds) => Some(
            Duration::try_from_secs_f64(seconds).map_err(|_| ConfigError::CallLimit(seconds))?,
        ),
        None => Some(CALL_LIMIT),
    };
    let tools = project.tools.as_ref().or(user.tools.as_ref());
    let token = sources.variable_token.or(user.token.as_deref());
    let token = token.map(str::trim).filter(|token| !token.is_empty());
    Ok(Mcp {
        token: token.map(Token::new).transpose()?,
        allowed_hosts: user.allowed_hosts.clone(),
        allowed_origins: user
            .allowed_origins
            .iter()
            .map(|written| origin(written))
            .collect::<Result<_, _>>()?,
        tools: tools.cloned().unwrap_or_default(),
        call_limit: limit,
        ignored: ignored(sources.project),
    })
}

/// A web page's origin as it is compared: with its port, which browsers leave out where it is the
/// usual one. `:*` stands for any port.
fn origin(written: &str) -> Result<String, ConfigError> {
    let refused = || ConfigError::Origin(written.to_owned());
    let (scheme, rest) = written.trim().split_once("://").ok_or_else(refused)?;
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(refused()),
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains(|c: char| c.is_whitespace() || "/?#@".contains(c)) {
        return Err(refused());
    }
    // The colons of an IPv6 address stand in brackets.
    let after = host.rfind(']').map_or(0, |at| at + 1);
    match host[after..].rsplit_once(':') {
        None if !host.is_empty() && !host.contains('*') => Ok(format!("{scheme}://{host}:{usual}")),
        Some((name, port))
            if (after > 0 || !name.is_empty())
                && !name.contains(['*', ':'])
                && (port == "*" || port.parse::<u16>().is_ok()) =>
        {
            Ok(format!("{scheme}://{host}"))
        }
        _ => Err(refused()),
    }
}

fn ignored(project: &Settings) -> Vec<String> {
    let McpSettings {
        token,
        allowed_hosts,
        allowed_origins,
        ..
    } = &project.mcp;
    let file = project.file.as_ref();
    let file = file.map_or_else(String::new, |file| file.display().to_string());
    [
        ("token", token.is_some()),
        ("allowed_hosts", !allowed_hosts.is_empty()),
        ("allowed_origins", !allowed_origins.is_empty()),
    ]
    .into_iter()
    .filter(|(_, said)| *said)
    .map(|(name, _)| {
        format!("[mcp] {name} of {file} is not in force: a project can't say who may come in, only your own config.toml can")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn settings(token: Option<&str>) -> Settings {
        let mcp = McpSettings {
            token: token.map(str::to_owned),
            ..McpSettings::default()
        };
        Settings {
            mcp,
            ..Settings::default()
        }
    }

    #[test]
    fn a_token_is_known_again_and_never_shown() {
        let token = Token::new(SECRET).unwrap();
        assert!(token.is(SECRET) && !token.is("0123456789abcdeF") && !token.is(""));
        let user = settings(Some(SECRET));
        assert!(!format!("{token:?} {user:?}").contains(SECRET));
    }

    #[test]
    fn a_token_that_can_be_guessed_or_not_be_sent_is_refused() {
        for wrong in [
            "short",
            "with a space in the middle",
            "ümläute-are-no-ascii",
        ] {
            let refusal = Token::new(wrong).unwrap_err().to_string();
            assert!(!refusal.contains(wrong), "{refusal}");
        }
    }

    #[test]
    fn an_origin_without_a_port_has_the_usual_one() {
        for (written, meant) in [
            ("https://app.example.com", "https://app.example.com:443"),
            ("http://localhost/", "http://localhost:80"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://localhost:*", "http://localhost:*"),
        ] {
            assert_eq!(origin(written).unwrap(), meant);
        }
        for wrong in [
            "app.example.com",
            "*",
            "null",
            "https://",
            "https://:443",
            "https://*.example.com",
            "https://app.example.com/page",
            "https://app.example.com:https",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_project_does_not_say_who_may_come_in() {
        let (project, user) = (settings(Some(SECRET)), Settings::default());
        let sources = |variable_token| Sources {
            variable_token,
            project: &project,
            user: &user,
        };
        let chosen = choose(&sources(None)).unwrap();
        assert!(chosen.token.is_none());
        assert!(chosen.ignored[0].contains("token"), "{:?}", chosen.ignored);
        assert!(!chosen.ignored[0].contains(SECRET), "{:?}", chosen.ignored);
        let chosen = choose(&sources(Some("another-0123456789"))).unwrap();
        assert!(chosen.token.unwrap().is("another-0123456789"));
    }
}
