//! The servers that `[output]` may name: what goes together, and what does not.

use std::path::PathBuf;
use std::time::Duration;

use super::raw::{RawElasticsearch, RawOutput, RawSplunk};
use crate::encode::Format;
use crate::sink::network::{
    ElasticsearchSettings, HttpSettings, Login, NetworkSettings, SecretSource, SocketAddress, SplunkSettings,
};

/// Bytes of one request, as the makers of the servers advise.
const BULK_SIZE: usize = 5 * 1024 * 1024;
const EVENTS_SIZE: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Splunk's own advice.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(300);

/// What is wrong, and where it stands in the file.
pub(super) type Wrong = (std::ops::Range<usize>, String);

impl RawOutput {
    /// Whether a server is named.
    pub(super) fn sends(&self) -> bool {
        self.elasticsearch.is_some() || self.splunk.is_some() || self.socket.is_some()
    }

    /// The server, and in which schema records go there unless that is said.
    pub(super) fn network(&self, place: &dyn Fn(String) -> String) -> Result<Option<(NetworkSettings, Format)>, Wrong> {
        let spans = [
            self.elasticsearch.as_ref().map(|it| ("output.elasticsearch", it.span())),
            self.splunk.as_ref().map(|it| ("output.splunk", it.span())),
            self.socket.as_ref().map(|it| ("output.socket", it.span())),
        ];
        let mut named = spans.into_iter().flatten();
        let Some((key, span)) = named.next() else { return Ok(None) };
        if let Some((other, span)) = named.next() {
            return Err((span, format!("{key} and {other}: there is one output; name one of them")));
        }
        if self.path.is_some() {
            return Err((span, format!("output.path and {key}: there is one output; name one of them")));
        }
        if self.rotate_size.is_some() || self.rotate_interval.is_some() {
            return Err((span, format!("output.rotate_size, output.rotate_interval: {key} is no file")));
        }
        let wrong = |why: String| (span.clone(), format!("{key}: {why}"));
        if let Some(raw) = &self.elasticsearch {
            let settings = raw.get_ref().settings(place).map_err(wrong)?;
            settings.index(self.format.unwrap_or(Format::Ecs)).map_err(wrong)?;
            return Ok(Some((NetworkSettings::Elasticsearch(settings), Format::Ecs)));
        }
        if let Some(raw) = &self.splunk {
            let settings = raw.get_ref().settings(place).map_err(wrong)?;
            return Ok(Some((NetworkSettings::Splunk(settings), Format::Raw)));
        }
        let socket = self.socket.as_ref().map(|raw| raw.get_ref().address.0.clone());
        let address = socket.map(|address| match address {
            SocketAddress::Unix(path) => match path.to_str() {
                Some(relative) => SocketAddress::Unix(place(relative.to_owned()).into()),
                None => SocketAddress::Unix(path),
            },
            address => address,
        });
        Ok(address.map(|address| (NetworkSettings::Socket(address), Format::Raw)))
    }
}

impl RawElasticsearch {
    fn settings(&self, place: &dyn Fn(String) -> String) -> Result<ElasticsearchSettings, String> {
        let key = source(("api_key", &self.api_key_file, &self.api_key_env), place)?;
        let password = source(("password", &self.password_file, &self.password_env), place)?;
        let login = match (key, &self.username, password) {
            (None, None, None) => Login::None,
            (Some(key), None, None) => Login::ApiKey(key),
            (None, Some(user), Some(password)) => Login::Password(user.clone(), password),
            (Some(_), ..) => return Err("an API key or a user with its password, not both".to_owned()),
            (None, ..) => return Err("username needs password_file or password_env, and these need it".to_owned()),
        };
        let http = HttpSettings {
            urls: self.url.0.clone(),
            ca_file: self.ca_file.clone().map(|path| PathBuf::from(place(path))),
            verify: self.verify.unwrap_or(true),
            connections: self.connections.0,
            request_size: self.request_size.map_or(BULK_SIZE, |size| size.0),
            timeout: self.timeout.map_or(TIMEOUT, |timeout| timeout.0),
        };
        Ok(ElasticsearchSettings { http, index: self.index.as_ref().map(|index| index.0.clone()), login })
    }
}

impl RawSplunk {
    fn settings(&self, place: &dyn Fn(String) -> String) -> Result<SplunkSettings, String> {
        let token = source(("token", &self.token_file, &self.token_env), place)?;
        let acknowledge = self.acknowledge.unwrap_or(true);
        if !acknowledge && self.acknowledge_timeout.is_some() {
            return Err("acknowledge_timeout says nothing where acknowledge is false".to_owned());
        }
        let http = HttpSettings {
            urls: vec![self.url.0.clone()],
            ca_file: self.ca_file.clone().map(|path| PathBuf::from(place(path))),
            verify: self.verify.unwrap_or(true),
            connections: self.connections.0,
            request_size: self.request_size.map_or(EVENTS_SIZE, |size| size.0),
            timeout: self.timeout.map_or(TIMEOUT, |timeout| timeout.0),
        };
        Ok(SplunkSettings {
            http,
            token: token.ok_or("token_file or token_env has to say where the token is")?,
            index: self.index.clone(),
            source: self.source.clone(),
            sourcetype: self.sourcetype.clone(),
            host: self.host.clone(),
            acknowledge: acknowledge.then(|| self.acknowledge_timeout.map_or(ACKNOWLEDGE_TIMEOUT, |timeout| timeout.0)),
        })
    }
}

/// Where a secret is, of which two places may be named.
fn source(
    (name, file, variable): (&str, &Option<String>, &Option<String>),
    place: &dyn Fn(String) -> String,
) -> Result<Option<SecretSource>, String> {
    match (file, variable) {
        (Some(_), Some(_)) => Err(format!("{name}_file or {name}_env, not both")),
        (Some(path), None) => Ok(Some(SecretSource::File(place(path.clone()).into()))),
        (None, Some(variable)) => Ok(Some(SecretSource::Environment(variable.clone()))),
        (None, None) => Ok(None),
    }
}

/// What is said of a mistake: with the line as it stands in the file, unless it may hold a secret.
pub(super) fn complaint(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let (number, line) = line_at(text, span.start);
    if may_hold_secret(line) {
        return format!(
            "line {number}: {}; what stands there is not shown, since it may hold a secret: those are read from files or \
             the environment",
            error.message().lines().next().unwrap_or_default()
        );
    }
    error.to_string().trim_end().to_owned()
}

/// A mistake at a place of the file.
pub(super) fn complaint_at(text: &str, (span, why): Wrong) -> String {
    format!("line {}: {why}", line_at(text, span.start).0)
}

/// The number of the line that holds this byte, and the line.
fn line_at(text: &str, at: usize) -> (usize, &str) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    (before.matches('\n').count() + 1, line)
}

/// How the names of keys end that somebody may have thought of for a secret.
const SECRET_WORDS: [&str; 11] = [
    "key",
    "pass",
    "passwd",
    "password",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "authorization",
    "auth",
    "credentials",
];

/// Whether a line sets what is a secret by itself, in whichever spelling, or has an address with a user.
fn may_hold_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let sets = |word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let after = line[at + word.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
            after.starts_with('=') || after.starts_with('.')
        })
    };
    SECRET_WORDS.into_iter().any(sets) || line.contains("://") && line.contains('@')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/x"))
    }

    #[test]
    fn a_server_needs_its_address_only() {
        let config = parse("[output.elasticsearch]\nurl = \"http://127.0.0.1:9200\"\n").unwrap();
        assert_eq!(config.output.format, Format::Ecs);
        let Some(NetworkSettings::Elasticsearch(settings)) = config.output.network else { panic!("no server") };
        assert_eq!(settings.index(Format::Ecs).unwrap().to_string(), "logs-certsift-default");
        assert_eq!(settings.login, Login::None);
        assert!(settings.http.verify && settings.http.connections == 2 && settings.http.request_size == 5 << 20);
        let text = "[output]\nformat = \"ocsf\"\n[output.splunk]\nurl = \"https://s:8088\"\ntoken_file = \"hec\"\n";
        let config = parse(text).unwrap();
        let Some(NetworkSettings::Splunk(settings)) = config.output.network else { panic!("no server") };
        assert_eq!(settings.token, SecretSource::File("/etc/x/hec".into()));
        assert_eq!(
            (&*settings.sourcetype(config.output.format), config.output.format),
            ("certsift:ocsf", Format::Ocsf)
        );
        let config = parse("[output]\nsocket.address = \"unix:/run/x\"\nrejected = \"r\"\n").unwrap();
        assert_eq!(config.output.network.unwrap().name(), "unix:/run/x");
        assert_eq!(config.output.rejected.as_deref(), Some(Path::new("/etc/x/r")));
        let config = parse("[output]\nsocket.address = \"unix:s\"\n").unwrap();
        assert_eq!(config.output.network.unwrap().name(), "unix:/etc/x/s");
    }

    #[test]
    fn each_schema_has_an_index_that_fits_it() {
        let elastic = "[output.elasticsearch]\nurl = \"https://e:9200\"\n";
        for (format, line, expected) in [
            ("ecs", "", "logs-certsift-default"),
            ("raw", "", "logs-certsift.raw-default"),
            ("raw", "index = \"x\"\n", "x"),
            ("ocsf", "index = \"y\"\n", "y"),
        ] {
            let config = parse(&format!("[output]\nformat = \"{format}\"\n{elastic}{line}")).unwrap();
            let Some(NetworkSettings::Elasticsearch(settings)) = config.output.network else { panic!("no server") };
            assert_eq!(settings.index(config.output.format).unwrap().to_string(), expected);
        }
        let message = parse(&format!("[output]\nformat = \"ocsf\"\n{elastic}")).unwrap_err();
        assert!(message.contains("line 3: output.elasticsearch: index has to be named for `ocsf`"), "{message}");
    }

    #[test]
    fn what_does_not_go_together_is_said_with_its_line() {
        let elastic = "[output.elasticsearch]\nurl = \"https://e:9200\"\n";
        let splunk = "[output.splunk]\nurl = \"https://s:8088\"\n";
        for (text, expected) in [
            (format!("[output]\npath = \"x\"\n{elastic}"), "output.path and output.elasticsearch"),
            (format!("{elastic}{splunk}token_env = \"T\"\n"), "output.elasticsearch and output.splunk"),
            (format!("[output]\nrotate_size = \"1MiB\"\n{elastic}"), "no file"),
            (format!("\n{splunk}"), "token_file or token_env"),
            (format!("\n{splunk}token_env = \"T\"\ntoken_file = \"t\"\n"), "not both"),
            (format!("\n{elastic}username = \"u\"\n"), "password_file"),
            (format!("\n{elastic}password_env = \"P\"\n"), "username"),
            (format!("\n{elastic}api_key_env = \"K\"\nusername = \"u\"\npassword_env = \"P\"\n"), "not both"),
            (
                format!("\n{splunk}token_env = \"T\"\nacknowledge = false\nacknowledge_timeout = \"5s\"\n"),
                "says nothing",
            ),
        ] {
            let message = parse(&text).unwrap_err();
            assert!(message.contains(expected) && message.contains("line "), "{message}");
        }
        for (line, expected) in [
            ("url = []", "address"),
            ("url = \"elastic\"", "address"),
            ("url = \"https://e\"\nindex = \"A\"", "index"),
            ("url = \"https://e\"\nconnections = 0", "from 1 to 16"),
            ("url = \"https://e\"\nrequest_size = \"1kB\"", "from 64 KiB to 64 MiB"),
            ("url = \"https://e\"\ntimeout = \"0s\"", "from 100 ms to 10 minutes"),
            ("index = \"a\"", "url"),
        ] {
            let message = parse(&format!("[output.elasticsearch]\n{line}\n")).unwrap_err();
            assert!(message.contains(expected) && message.contains("line "), "{line}: {message}");
        }
    }

    #[test]
    fn a_secret_that_stands_in_the_file_is_not_repeated() {
        for line in [
            "api_key = \"geheim\"",
            "password = 'geheim'",
            "apiKey = \"geheim\"",
            "pass = \"geheim\"",
            "\"token\"=\"geheim\"",
            "url = \"https://elastic:geheim@e:9200\"",
            "url = [\"https://a\", \"https://elastic:geheim@e:9200\"]",
            "password = \"geheim",
        ] {
            let message = parse(&format!("[output.elasticsearch]\n{line}\n")).unwrap_err();
            assert!(message.contains("line 2") && !message.contains("geheim"), "{message}");
            let message = crate::config::shown(&format!("[output.elasticsearch]\n{line}\n")).unwrap_err();
            assert!(message.contains("line 2") && !message.contains("geheim"), "{message}");
        }
    }
}
