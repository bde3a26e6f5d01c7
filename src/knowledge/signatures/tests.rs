use std::sync::LazyLock;

use super::evaluate::Truth;
use super::*;
use crate::knowledge::PublicCas;
use crate::knowledge::test_corpus;
use crate::model::{CertificateSource, DistinguishedName, SelfSigned, Serial};
use proptest::prelude::*;

fn signature(condition: &str) -> String {
    format!(
        "[[signature]]\nid = \"x\"\ntool = \"X\"\nverdict = \"malicious\"\nconfidence = \"exact\"\nseverity = \"high\"\n\
         match = {condition}\n"
    )
}

/// A signature of any condition, also of one that says too little for a user's file.
fn compiled(condition: &str) -> Signatures {
    let text = signature(condition);
    Signatures::build(format::parse("test.toml", &text, Origin::Builtin).unwrap(), Id128::of(text.as_bytes())).unwrap()
}

fn fires(condition: &str, certificate: &Certificate) -> bool {
    let signatures = compiled(condition);
    !signatures.evaluate(certificate, None).is_empty()
}

fn truth(condition: &str, certificate: &Certificate) -> Truth {
    let signatures = compiled(condition);
    let facts = Facts::new(certificate, None);
    signatures.signatures[0].matcher.evaluate(&facts)
}

fn named(subject: &str) -> Certificate {
    Certificate {
        subject: Some(DistinguishedName::from_rfc2253(subject)),
        ..Certificate::unknown(CertificateSource::LogStrings)
    }
}

fn error(text: &str) -> String {
    Signatures::parse("mine.toml", text).unwrap_err().to_string()
}

#[test]
fn every_builtin_signature_does_what_its_examples_say() {
    let signatures = Signatures::builtin().unwrap();
    let failed = signatures.failed_examples();
    let failed: Vec<_> =
        failed.iter().map(|failed| (failed.signature.id(), failed.number, failed.should_fire)).collect();
    assert_eq!(failed, []);
}

#[test]
fn of_348_real_certificates_one_is_malicious() {
    let Some(certificates) = test_corpus::zeek_certificates("zeek-6.2-json/x509.log.gz") else { return };
    let (signatures, cas) = (Signatures::builtin().unwrap(), PublicCas::builtin());
    assert_eq!(certificates.len(), 348);
    let (mut grave, mut benign) = (Vec::new(), std::collections::BTreeMap::new());
    for certificate in &certificates {
        let public = certificate.issuer.as_ref().map(|issuer| cas.find(issuer).is_some());
        for hit in signatures.evaluate(certificate, public) {
            match hit.signature.verdict() {
                Verdict::Benign => *benign.entry(hit.signature.id().to_owned()).or_insert(0) += 1,
                _ => grave.push((hit.signature.id().to_owned(), hit.observed)),
            }
        }
    }
    assert_eq!(grave, [("metasploit-generated-name".to_owned(), "1080p@goldner.sons.net".to_owned())]);
    assert_eq!(benign.get("openssl-default-name"), Some(&1), "{benign:?}");
}

#[test]
fn the_index_finds_what_trying_every_signature_finds() {
    let Some(certificates) = test_corpus::zeek_certificates("zeek-6.2-json/x509.log.gz") else { return };
    let signatures = Signatures::builtin().unwrap();
    assert!(signatures.unanchored.len() * 3 < signatures.len(), "{} are tried always", signatures.unanchored.len());
    let own_examples = signatures.iter().flat_map(|signature| &signature.examples).map(|example| example.certificate());
    for certificate in certificates.iter().chain(own_examples) {
        let facts = Facts::new(certificate, Some(false));
        let tried: Vec<_> =
            signatures.iter().filter_map(|signature| signature.hit(&facts)).map(|hit| hit.signature.id()).collect();
        let found: Vec<_> =
            signatures.evaluate(certificate, Some(false)).iter().map(|hit| hit.signature.id()).collect();
        assert_eq!(found, tried);
    }
}

#[test]
fn a_hit_shows_the_leaf_that_decided() {
    let signatures = Signatures::builtin().unwrap();
    let mut certificate = named("CN=example");
    certificate.serial = Serial::parse("08:BB:00:EE");
    let hits = signatures.evaluate(&certificate, None);
    assert_eq!(hits.len(), 1);
    assert_eq!((&*hits[0].field, &*hits[0].observed, &*hits[0].expected), ("serial", "08BB00EE", "08BB00EE"));

    let mut certificate = named("CN=a,CN=BoratRat,O=x");
    certificate.issuer = Some(DistinguishedName::from_rfc2253("CN=BoratRat Server"));
    let hits = signatures.evaluate(&certificate, None);
    assert_eq!((&*hits[0].field, &*hits[0].observed), ("issuer.CN", "BoratRat Server"));
    assert_eq!(hits[0].expected, "matches (?i)[a-z]rat server$");
}

#[test]
fn hits_come_with_the_gravest_first() {
    let signatures = Signatures::builtin().unwrap();
    let mut certificate = named("O=Internet Widgits Pty Ltd,ST=Some-State,C=AU,CN=localhost");
    certificate.issuer = certificate.subject.clone();
    certificate.self_signed = Some(SelfSigned::SameName);
    certificate.serial = Serial::parse("8BB00EE");
    let ids: Vec<_> = signatures.evaluate(&certificate, Some(false)).iter().map(|hit| hit.signature.id()).collect();
    assert_eq!(ids, ["cobalt-strike-default-serial", "icedid-name-order", "openssl-default-name"]);
}

#[test]
fn what_is_not_known_makes_nothing_fire() {
    let unknown = Certificate::unknown(CertificateSource::LogStrings);
    let known = named("CN=x");
    let serial = r#"{ field = "serial", op = "eq", value = "1" }"#;
    let name = r#"{ field = "subject.CN", op = "eq", value = "x" }"#;
    let other = r#"{ field = "subject.O", op = "exists", value = true }"#;
    let either = r#"{ field = "any_dn", op = "contains", value = "zzz" }"#;
    for (condition, certificate, expected) in [
        (serial.to_owned(), &unknown, Truth::Unknown),
        (format!("{{ not = {serial} }}"), &unknown, Truth::Unknown),
        (format!("{{ any = [{serial}, {name}] }}"), &known, Truth::True),
        (format!("{{ all = [{serial}, {name}] }}"), &known, Truth::Unknown),
        (format!("{{ all = [{serial}, {other}] }}"), &known, Truth::False),
        (format!("{{ any = [{serial}, {other}] }}"), &known, Truth::Unknown),
        (other.to_owned(), &unknown, Truth::Unknown),
        (format!("{{ not = {other} }}"), &known, Truth::True),
        (either.to_owned(), &known, Truth::Unknown),
        (r#"{ field = "self_signed", op = "eq", value = false }"#.to_owned(), &unknown, Truth::Unknown),
        (r#"{ field = "san_dns", op = "exists", value = false }"#.to_owned(), &unknown, Truth::Unknown),
        (r#"{ field = "subject.CN", op = "template", value = "{issuer.CN}" }"#.to_owned(), &known, Truth::Unknown),
        (r#"{ field = "subject.CN", op = "template", value = "{subject.O}" }"#.to_owned(), &known, Truth::False),
    ] {
        assert_eq!(truth(&condition, certificate), expected, "{condition}");
    }
}

#[test]
fn names_are_compared_by_attribute_or_in_their_order() {
    let certificate = named("CN=a\\,b,2.5.4.17=3540,O=\\#One,C=US");
    for condition in [
        r#"{ field = "subject.CN", op = "eq", value = "a,b" }"#,
        r#"{ field = "subject.postalCode", op = "eq", value = "3540" }"#,
        r#"{ field = "subject.C", op = "eq_ci", value = "us" }"#,
        r##"{ field = "subject.dn_forward", op = "eq", value = "C=US, O=#One, 2.5.4.17=3540, CN=a,b" }"##,
        r##"{ field = "subject.dn_rfc2253", op = "eq", value = 'CN=a\,b,2.5.4.17=3540,O=\#One,C=US' }"##,
        r#"{ field = "subject.attributes", op = "eq", value = 4 }"#,
        r#"{ field = "subject.OU", op = "exists", value = false }"#,
    ] {
        assert!(fires(condition, &certificate), "{condition}");
    }
    assert!(!fires(r#"{ field = "subject.CN", op = "template", value = "a,{subject.OU}" }"#, &certificate));
    assert!(!fires(r#"{ field = "subject.CN", op = "eq", value = "A,B" }"#, &certificate));
}

#[test]
fn expressions_that_begin_with_a_fixed_text_are_found_by_it() {
    let is_tried_always = |field: &str, pattern: &str| {
        let condition = format!("{{ field = \"{field}\", op = \"regex\", value = '{pattern}' }}");
        let signatures = compiled(&condition);
        !signatures.unanchored.is_empty()
    };
    for found in ["^HP_3PAR_", r"^a\.b\.c", "^Temporary CA [0-9a-f]{8}", "^abcde*", "^abcd$"] {
        assert!(!is_tried_always("subject.CN", found), "{found}");
    }
    for always in ["HP_3PAR_", "^abc", "^abcd?", "^abcd{2}", "(?i)^abcdef", "^abcd|x", "^(abcd)", r"^\d{4}", r"^ab\wcd"]
    {
        assert!(is_tried_always("subject.CN", always), "{always}");
    }
    assert!(is_tried_always("subject.dn_forward", "^C=US, ") && is_tried_always("subject.street", "^Main Street"));

    let of_name = |value: &str| named(&format!("CN={value}"));
    let condition = r#"{ field = "subject.CN", op = "regex", value = '^Temporary CA [0-9]+$' }"#;
    assert!(fires(condition, &of_name("Temporary CA 7")));
    assert!(!fires(condition, &of_name("temporary CA 7")));
    assert!(!fires(condition, &of_name("Tem")));
    let whole = r#"{ field = "issuer.dn_forward", op = "in", value = ["C=US", "C=AU, CN=x"] }"#;
    let mut certificate = named("CN=y");
    certificate.issuer = Some(DistinguishedName::from_rfc2253("CN=x,C=AU"));
    assert!(fires(whole, &certificate));
    certificate.issuer = Some(DistinguishedName::from_rfc2253("C=AU,CN=x"));
    assert!(!fires(whole, &certificate));
}

#[test]
fn a_file_says_once_what_its_signatures_share() {
    let shared =
        "[defaults]\nverdict = \"benign\"\nconfidence = \"weak\"\nseverity = \"info\"\nexpected_fp = \"y\"\n\n";
    let one = "[[signature]]\nid = \"x\"\ntool = \"X\"\nmatch = { field = \"ca\", op = \"eq\", value = true }\n";
    let signatures = Signatures::parse("mine.toml", &format!("{shared}{one}")).unwrap();
    let x = signatures.get("x").unwrap();
    assert_eq!((x.verdict(), x.confidence(), x.severity()), (Verdict::Benign, Confidence::Weak, Severity::Info));
    assert_eq!(x.expected_fp(), "y");
    let signatures = Signatures::parse("mine.toml", &format!("{shared}{one}verdict = \"malicious\"\n")).unwrap();
    assert_eq!(signatures.get("x").unwrap().verdict(), Verdict::Malicious);
    assert_eq!(error(one), "mine.toml:2: signature `x`: neither it nor the file's defaults say its `verdict`");
}

#[test]
fn a_mistake_is_shown_with_its_file_and_line() {
    for (text, expected) in [
        (
            signature(r#"{ field = "serial", op = "eq", value = "xyz" }"#),
            "mine.toml:7: signature `x`: `serial` needs a number",
        ),
        (signature(r#"{ field = "colour", op = "eq", value = "red" }"#), "there is no field `colour`"),
        (signature(r#"{ field = "serial", op = "like", value = "1" }"#), "`serial` does not know the operator `like`"),
        (
            signature(r#"{ field = "subject.CN", op = "regex", value = "(?=x)" }"#),
            "mine.toml:7: signature `x`: the expression",
        ),
        (signature(r#"{ field = "subject.CN", op = "regex", value = "(a{1000}){1000}" }"#), "the expression"),
        (
            signature(r#"{ field = "subject.CN", op = "regex", value = "(evil)?" }"#),
            "the expression matches every text",
        ),
        (signature(r#"{ field = "subject.CN", op = "regex", value = "^.*$" }"#), "the expression matches every text"),
        (signature(r#"{ field = "subject.CM", op = "eq", value = "x" }"#), "`CM` is no attribute"),
        (signature(r#"{ field = "issuer.2.5.", op = "eq", value = "x" }"#), "`2.5.` is no attribute"),
        (signature(r#"{ field = "issuer.O", op = "template", value = "{subject.CM}" }"#), "not `subject.CM`"),
        (signature(r#"{ field = "subject.CN", op = "regex", value = "(" }"#), "cannot be compiled: unclosed group"),
        (signature(r#"{ field = "version", op = "like", value = 1 }"#), "`like`, but eq, in, lte, gte"),
        (
            signature(r#"{ field = "any_dn", op = "exists", value = true }"#),
            "`exists`, but eq, eq_ci, in, contains, regex",
        ),
        (signature(r#"{ field = "subject", op = "eq", value = "CN=x" }"#), "an attribute such as `subject.CN`"),
        (
            signature(r#"{ not = { field = "subject.CN", op = "eq", value = "x" } }"#),
            "mine.toml:7: signature `x`: it fires",
        ),
        (
            signature(
                r#"{ any = [{ field = "ca", op = "eq", value = true }, { field = "issuer.O", op = "exists", value = false }] }"#,
            ),
            "only says what must not be there",
        ),
        (signature("\"CN=x\""), "expected a table with `all`, `any` or `not`"),
        (signature("{ all = [] }"), "`all` is empty"),
        (signature(r#"{ all = [], field = "ca" }"#), "a condition is"),
        (signature(r#"{ field = "not_after", op = "lte", value = "soon" }"#), "`soon` is not a time"),
        (signature(r#"{ field = "subject.CN", op = "template", value = "{serial}" }"#), "not `serial`"),
        (signature("{}").replace("id = \"x\"", "id = \"X y\""), "mine.toml:2: `X y` is no id"),
        (signature("{}").replace("tool =", "tol ="), "mine.toml:3: unknown field `tol`"),
        (signature("{}").replace("exact", "sure"), "mine.toml:5: unknown variant `sure`"),
        ("[[signature]]\nid = ".to_owned(), "mine.toml:2:"),
    ] {
        let error = error(&text);
        assert!(error.starts_with("mine.toml:") && error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn the_line_of_a_mistake_is_that_of_its_condition() {
    let text = signature(
        "{ any = [\n  { field = \"ca\", op = \"eq\", value = true },\n  { field = \"ca\", op = \"eq\" },\n] }",
    );
    assert!(error(&text).starts_with("mine.toml:9: "), "{}", error(&text));
    let text = signature("{ field = \"ca\", op = \"eq\", value = true }")
        + "[[signature.examples]]\nfires = true\nserial = \"q\"\n";
    assert!(error(&text).starts_with("mine.toml:8: signature `x`: `q` cannot be read as `serial`"), "{}", error(&text));
}

#[test]
fn a_users_file_adds_signatures_and_cannot_replace_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.toml");
    let own = signature(r#"{ field = "subject.CN", op = "eq", value = "ours" }"#);
    std::fs::write(&path, &own).unwrap();
    let signatures = Signatures::builtin().unwrap().with_files(std::slice::from_ref(&path)).unwrap();
    assert_eq!(signatures.evaluate(&named("CN=ours"), None)[0].signature.id(), "x");
    assert_eq!(signatures.get("x").unwrap().place().1, 1);

    for (bytes, expected) in
        [(&b"\xff\xfe[\0[\0"[..], "it is UTF-16"), (b"# one\n# M\xfcller\n", "line 2 is not UTF-8")]
    {
        std::fs::write(&path, bytes).unwrap();
        let error = Signatures::builtin().unwrap().with_files(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    std::fs::write(&path, own.replace("\"x\"", "\"cobalt-strike-default-serial\"")).unwrap();
    let error = Signatures::builtin().unwrap().with_files(std::slice::from_ref(&path)).unwrap_err().to_string();
    assert!(
        error.contains(
            "own.toml:1: the id `cobalt-strike-default-serial` is already used in builtin/cobalt_strike.toml:"
        ),
        "{error}"
    );
    let missing = Signatures::builtin().unwrap().with_files(&[folder.path().join("none.toml")]).unwrap_err();
    assert!(matches!(missing, SignatureError::Read { .. }));
}

proptest! {
    #[test]
    fn any_text_is_a_file_or_an_error_with_a_line(text in "\\PC{0,60}|(\\[\\[signature\\]\\]\n(id = \"[a-z ]{0,3}\"\n)?(match = \\{ (all|not|field) = .{0,9}\\}\n)?){0,2}") {
        if let Err(error) = Signatures::parse("f", &text) {
            prop_assert!(error.to_string().starts_with("f:"));
        }
    }

    #[test]
    fn any_name_is_evaluated_without_a_panic(subject in "([A-Za-z]{1,2}=[\\PC]{0,9},?){0,6}") {
        static SIGNATURES: LazyLock<Signatures> = LazyLock::new(|| Signatures::builtin().unwrap());
        let mut certificate = named(&subject);
        certificate.issuer = certificate.subject.clone();
        certificate.self_signed = Some(SelfSigned::SameName);
        for hit in SIGNATURES.evaluate(&certificate, None) {
            prop_assert!(!hit.field.is_empty());
        }
    }
}
