//! Secrets: where they are, and what must not be said of them.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ureq::http::HeaderValue;

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// The content of a file, without blanks around it.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
}

/// A secret, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
struct Secret(String);

/// A secret as servers want it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Credentials {
    header: Option<HeaderValue>,
    /// What must not be shown.
    secrets: Vec<Secret>,
}

/// Longest secret; tokens have some hundred characters.
const MAX_SECRET: u64 = 8 * 1024;

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// It cannot be read, or is none. What is said of it does not hold it.
    fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Self::File(path) => read_file(path).map_err(|why| format!("{}: {why}", path.display()))?,
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| format!("the environment has no variable {name} with a secret"))?
            }
        };
        let text = text.trim();
        let is_good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if is_good {
            Ok(Secret(text.to_owned()))
        } else {
            Err(format!("{self}: holds no secret: one line of ASCII characters is wanted"))
        }
    }

    /// What is odd about the place.
    pub fn warning(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        let mode = path.metadata().ok()?.permissions().mode();
        (mode & 0o004 != 0).then(|| format!("{}: everybody can read this secret; chmod 600", path.display()))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

impl Credentials {
    /// What shows who certsift is: `scheme`, and the secret as `encode` writes it.
    ///
    /// # Errors
    /// The secret cannot be read, or cannot stand in a header.
    pub(super) fn read(source: &SecretSource, scheme: &str, encode: impl Fn(&str) -> String) -> Result<Self, String> {
        let secret = source.read()?;
        let encoded = encode(&secret.0);
        // What is wrong with the text would be said with the text.
        let mut value = HeaderValue::from_str(&format!("{scheme} {encoded}"))
            .map_err(|_| format!("{source}: the secret cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(Self { header: Some(value), secrets: vec![Secret(encoded), secret] })
    }

    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// What a server says without the secret: some repeat what they were told. What stands in its place can be part of no
    /// secret, so that what is around it makes no new one.
    pub(super) fn hide<'a>(&self, said: &'a [u8]) -> Cow<'a, [u8]> {
        let mut said = Cow::Borrowed(said);
        for Secret(secret) in &self.secrets {
            let (mut hidden, mut end) = (Vec::new(), 0);
            for at in memchr::memmem::find_iter(&said, secret.as_bytes()) {
                hidden.extend_from_slice(&said[end..at]);
                hidden.extend_from_slice("…".as_bytes());
                end = at + secret.len();
            }
            if end > 0 {
                hidden.extend_from_slice(&said[end..]);
                said = Cow::Owned(hidden);
            }
        }
        said
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        // Opening a pipe would wait for whoever writes into it.
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err("it is too large for a secret".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it holds no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_without_what_surrounds_it_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = SecretSource::File(path.clone());
        for (text, expected) in [("tell-nobody\n", "tell-nobody"), ("  a b \r\n", "a b")] {
            std::fs::write(&path, text).unwrap();
            let credentials = Credentials::read(&source, "Token", |secret| format!("<{secret}>")).unwrap();
            assert_eq!(credentials.header().unwrap(), &format!("Token <{expected}>"));
            assert!(!format!("{credentials:?}").contains(expected), "{credentials:?}");
            let said = format!("not <{expected}> nor {expected}, {expected}!").into_bytes();
            assert_eq!(String::from_utf8_lossy(&credentials.hide(&said)), "not … nor …, …!");
            assert_eq!(*credentials.hide(b"nothing"), *b"nothing");
        }
        for text in ["", " \n", "tell\nnobody", "tell\u{7f}nobody", "t\u{e9}ll", &"x".repeat(9000)] {
            std::fs::write(&path, text).unwrap();
            let why = source.read().unwrap_err();
            assert!(why.contains("token") && !why.contains("nobody") && !why.contains("xxx"), "{why}");
        }
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(source.read().unwrap_err().contains("no text"));
        assert!(SecretSource::File("/dev/null".into()).read().unwrap_err().contains("no file"));
        assert!(SecretSource::File(folder.path().join("none")).read().is_err());
        assert!(SecretSource::Environment("CERTSIFT_NO_SUCH_VARIABLE".to_owned()).read().is_err());
    }
}
