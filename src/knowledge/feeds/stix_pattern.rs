//! STIX patterns (STIX 2.1 §9), as far as they compare a value with `=` or `IN`.

/// One comparison: a path in lower case without quotes, and the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Comparison {
    pub(super) path: String,
    pub(super) value: String,
}

/// Alternatives that one pattern may have once `OR`, `AND` and `IN` are multiplied out.
const MAX_ALTERNATIVES: usize = 1024;
/// Longest pattern that is read, in bytes.
const MAX_PATTERN: usize = 64 * 1024;
/// Parentheses inside each other.
const MAX_DEPTH: usize = 16;

const UNREADABLE: &str = "a pattern that cannot be read";
const TOO_LONG: &str = "a pattern that is too long";

/// One of the words and signs of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Open,
    Close,
    OpenGroup,
    CloseGroup,
    Comma,
    Equals,
    Text(String),
    Word(String),
}

/// Alternatives, each of comparisons that hold together.
type Alternatives = Vec<Vec<Comparison>>;

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

/// Reads a pattern into alternatives of comparisons that hold together.
///
/// # Errors
/// What of it cannot be expressed so.
pub(super) fn parse(pattern: &str) -> Result<Alternatives, &'static str> {
    if pattern.len() > MAX_PATTERN {
        return Err(TOO_LONG);
    }
    let mut parser = Parser { tokens: tokens(pattern)?.into_iter().peekable(), depth: 0 };
    let alternatives = parser.observations()?;
    match parser.tokens.peek() {
        None => Ok(alternatives),
        Some(Token::Word(_)) => Err("a pattern with qualifiers"),
        Some(_) => Err(UNREADABLE),
    }
}

impl Parser {
    /// `[…] OR […]`; observations that have to be seen together or one after the other are not known here.
    fn observations(&mut self) -> Result<Alternatives, &'static str> {
        let mut alternatives = self.observation()?;
        while let Some(Token::Word(word)) = self.tokens.peek() {
            match word.to_ascii_uppercase().as_str() {
                "OR" => {
                    self.tokens.next();
                    alternatives.extend(self.observation()?);
                    bounded(&alternatives)?;
                }
                "AND" | "FOLLOWEDBY" => return Err("a pattern on several observations"),
                _ => break,
            }
        }
        Ok(alternatives)
    }

    fn observation(&mut self) -> Result<Alternatives, &'static str> {
        match self.tokens.next() {
            Some(Token::Open) => {
                let alternatives = self.any()?;
                self.expect(Token::Close)?;
                Ok(alternatives)
            }
            Some(Token::OpenGroup) => {
                let alternatives = self.nested(Self::observations)?;
                self.expect(Token::CloseGroup)?;
                Ok(alternatives)
            }
            _ => Err(UNREADABLE),
        }
    }

    fn any(&mut self) -> Result<Alternatives, &'static str> {
        let mut alternatives = self.all()?;
        while self.take_word("OR") {
            alternatives.extend(self.all()?);
            bounded(&alternatives)?;
        }
        Ok(alternatives)
    }

    fn all(&mut self) -> Result<Alternatives, &'static str> {
        let mut alternatives = self.one()?;
        while self.take_word("AND") {
            let others = self.one()?;
            if alternatives.len() * others.len() > MAX_ALTERNATIVES {
                return Err(TOO_LONG);
            }
            let with =
                |left: &Vec<Comparison>| others.iter().map(|right| [&left[..], right].concat()).collect::<Vec<_>>();
            alternatives = alternatives.iter().flat_map(with).collect();
        }
        Ok(alternatives)
    }

    fn one(&mut self) -> Result<Alternatives, &'static str> {
        let path = match self.tokens.next() {
            Some(Token::OpenGroup) => {
                let alternatives = self.nested(Self::any)?;
                self.expect(Token::CloseGroup)?;
                return Ok(alternatives);
            }
            Some(Token::Word(path)) => path.to_ascii_lowercase(),
            _ => return Err(UNREADABLE),
        };
        let comparison = |value: String| vec![Comparison { path: path.clone(), value }];
        match self.tokens.next() {
            Some(Token::Equals) => Ok(vec![comparison(self.text()?)]),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("IN") => {
                self.expect(Token::OpenGroup)?;
                let mut alternatives = vec![comparison(self.text()?)];
                while self.tokens.peek() == Some(&Token::Comma) {
                    self.tokens.next();
                    alternatives.push(comparison(self.text()?));
                    bounded(&alternatives)?;
                }
                self.expect(Token::CloseGroup)?;
                Ok(alternatives)
            }
            _ => Err("a pattern with an operator other than = and IN"),
        }
    }

    fn nested(
        &mut self,
        parse: fn(&mut Self) -> Result<Alternatives, &'static str>,
    ) -> Result<Alternatives, &'static str> {
        if self.depth == MAX_DEPTH {
            return Err(TOO_LONG);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn text(&mut self) -> Result<String, &'static str> {
        match self.tokens.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => Err("a pattern that compares something other than texts"),
        }
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let is_it = matches!(self.tokens.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        if is_it {
            self.tokens.next();
        }
        is_it
    }

    fn expect(&mut self, wanted: Token) -> Result<(), &'static str> {
        match self.tokens.next() {
            Some(token) if token == wanted => Ok(()),
            _ => Err(UNREADABLE),
        }
    }
}

fn bounded(alternatives: &Alternatives) -> Result<(), &'static str> {
    if alternatives.len() > MAX_ALTERNATIVES { Err(TOO_LONG) } else { Ok(()) }
}

fn tokens(pattern: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(&first) = characters.peek() {
        let sign = match first {
            '[' => Some(Token::Open),
            ']' => Some(Token::Close),
            '(' => Some(Token::OpenGroup),
            ')' => Some(Token::CloseGroup),
            ',' => Some(Token::Comma),
            '=' => Some(Token::Equals),
            _ => None,
        };
        if let Some(sign) = sign {
            characters.next();
            // `==` is not in the standard and is written all the same.
            if sign != Token::Equals || tokens.last() != Some(&Token::Equals) {
                tokens.push(sign);
            }
        } else if first.is_whitespace() {
            characters.next();
        } else if first == '\'' {
            characters.next();
            tokens.push(Token::Text(quoted(&mut characters)?));
        } else if is_of_word(first) {
            tokens.push(Token::Word(word(&mut characters)?));
        } else {
            return Err("a pattern with an operator other than = and IN");
        }
    }
    Ok(tokens)
}

/// A path, with quotes around some of its parts: `x509-certificate:hashes.'SHA-1'`.
fn word(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, &'static str> {
    let mut word = String::new();
    while let Some(&next) = characters.peek() {
        match next {
            '\'' if word.ends_with('.') => {
                characters.next();
                word.push_str(&quoted(characters)?);
            }
            next if is_of_word(next) => {
                characters.next();
                word.push(next);
            }
            _ => break,
        }
    }
    Ok(word)
}

/// What stands before the closing quote; a backslash escapes.
fn quoted(characters: &mut impl Iterator<Item = char>) -> Result<String, &'static str> {
    let mut text = String::new();
    while let Some(next) = characters.next() {
        match next {
            '\'' => return Ok(text),
            '\\' => text.push(characters.next().ok_or(UNREADABLE)?),
            next => text.push(next),
        }
    }
    Err(UNREADABLE)
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | ':' | '.' | '*' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pattern: &str) -> Vec<Vec<(String, String)>> {
        let pairs = |all: Vec<Comparison>| all.into_iter().map(|one| (one.path, one.value)).collect();
        parse(pattern).unwrap().into_iter().map(pairs).collect()
    }

    fn pair(path: &str, value: &str) -> (String, String) {
        (path.to_owned(), value.to_owned())
    }

    #[test]
    fn alternatives_are_multiplied_out() {
        assert_eq!(
            read("[x509-certificate:hashes.'SHA-1' = 'aa' OR x509-certificate:hashes.'SHA-256' IN ('bb', 'cc')]"),
            [
                [pair("x509-certificate:hashes.sha-1", "aa")],
                [pair("x509-certificate:hashes.sha-256", "bb")],
                [pair("x509-certificate:hashes.sha-256", "cc")],
            ]
        );
        let both = read("[a:serial IN ('1','2') AND (a:issuer = 'it\\'s')] OR [domain-name:value='evil.example']");
        assert_eq!(both.len(), 3);
        assert_eq!(both[1], [pair("a:serial", "2"), pair("a:issuer", "it's")]);
    }

    #[test]
    fn what_cannot_be_expressed_is_refused() {
        for pattern in [
            "",
            "[",
            "[a:b = 1]",
            "[a:b = 'x'",
            "[a:b LIKE 'x%']",
            "[a:b != 'x']",
            "[a:b > 'x']",
            "[a:b = 'x'] AND [c:d = 'y']",
            "[a:b = 'x'] FOLLOWEDBY [c:d = 'y']",
            "[a:b = 'x'] WITHIN 5 SECONDS",
        ] {
            assert!(parse(pattern).is_err(), "{pattern}");
        }
        let deep = format!("{}a:b = 'x'{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(parse(&format!("[{deep}]")).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,60}|[\\[\\]()'=,aO:. INRAD]{0,60}") {
            let _ = parse(&text);
        }
    }
}
