//! The chains of the corpus, judged by certsift and by OpenSSL at the same time with the same roots. Skipped, loudly, where
//! either is missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]
#![allow(clippy::print_stderr, reason = "the table is for whoever runs it")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certsift::decode::certificate_from_der;
use certsift::knowledge::trust::{ChainReason, ChainStatus};
use certsift::knowledge::{PublicCas, TrustStore, pem};
use certsift::model::{EventTime, Id128, PresentedChain};
use support::{corpus, gz_lines};

/// What a server sent, and when.
struct Seen {
    chain: Vec<Vec<u8>>,
    at: EventTime,
}

fn seen(corpus: &Path) -> Vec<Seen> {
    let mut known = BTreeSet::new();
    let mut seen = Vec::new();
    for line in gz_lines(&corpus.join("suricata-8.0/eve-all-fields.json.gz")) {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let Some(chain) = event["tls"]["chain"].as_array() else { continue };
        let chain: Vec<Vec<u8>> = chain.iter().map(|der| STANDARD.decode(der.as_str().unwrap()).unwrap()).collect();
        if known.insert(chain.clone()) {
            seen.push(Seen { chain, at: EventTime::parse_iso8601(event["timestamp"].as_str().unwrap()).unwrap() });
        }
    }
    seen
}

fn write_pem<'a>(path: &Path, certificates: impl IntoIterator<Item = &'a [u8]>) {
    let block = |der: &[u8]| {
        let digits = STANDARD.encode(der);
        let lines: Vec<_> = digits.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    };
    std::fs::write(path, certificates.into_iter().map(block).collect::<String>()).unwrap();
}

/// OpenSSL's verdict: `ok`, or the number and text of its error.
fn openssl(folder: &Path, roots: &Path, seen: &Seen) -> String {
    let (leaf, others) = (folder.join("leaf.pem"), folder.join("others.pem"));
    write_pem(&leaf, [&*seen.chain[0]]);
    write_pem(&others, seen.chain.iter().skip(1).map(|der| &**der));
    let mut command = Command::new("openssl");
    command.args(["verify", "-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-attime"]);
    command.arg(seen.at.seconds().to_string()).arg("-CAfile").arg(roots);
    if seen.chain.len() > 1 {
        command.arg("-untrusted").arg(&others);
    }
    let output = command.arg(&leaf).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return "ok".to_owned();
    }
    let error =
        said.lines().find(|line| line.starts_with("error ") && line.contains(" at ")).unwrap_or("cannot be read");
    let (number, depth) = error.trim_start_matches("error ").split_once(" at ").unwrap_or((error, ""));
    let text = depth.split_once(": ").map_or(depth, |(_, text)| text);
    format!("{number} {text}")
}

/// Why two verdicts that are not the same are both right; `None` where nothing explains it.
fn explanation(status: ChainStatus, reason: Option<ChainReason>, openssl: &str) -> Option<&'static str> {
    let number = openssl.split(' ').next().unwrap_or_default();
    Some(match (status, reason, number) {
        (ChainStatus::Trusted, _, "ok") | (ChainStatus::Expired, _, "10") | (ChainStatus::NotYetValid, _, "9") => {
            "same"
        }
        (ChainStatus::Untrusted, Some(ChainReason::SelfSigned), "18") => "same",
        (ChainStatus::Untrusted, Some(ChainReason::BadSignature), "7") => "same",
        (_, Some(ChainReason::UnknownIssuer | ChainReason::MissingIssuer), "2" | "19" | "20" | "21") => {
            "same: no way to a root"
        }
        (ChainStatus::Unverifiable, Some(ChainReason::Algorithm | ChainReason::Encoding | ChainReason::Usage), _) => {
            "certsift says that it cannot judge: the library reads no old algorithms, versions or usages"
        }
        (ChainStatus::Unverifiable, Some(ChainReason::Constraint), _) => "a leaf that says it is a CA: not judged",
        // OpenSSL goes up the chain first, certsift says first that the leaf itself is out of date.
        (ChainStatus::Expired | ChainStatus::NotYetValid, None, "2" | "18" | "19" | "20" | "21") => {
            "both refuse it: certsift names the date, OpenSSL the missing root"
        }
        (ChainStatus::Untrusted, _, "9" | "10") => "both refuse it: certsift names the root, OpenSSL the date",
        (_, Some(ChainReason::UnknownIssuer | ChainReason::MissingIssuer), "9" | "10") => {
            "both refuse it: certsift names the root, OpenSSL the date"
        }
        (ChainStatus::Untrusted, Some(ChainReason::SelfSigned), "19" | "20" | "21" | "26") => "both refuse it",
        (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer), "18") => "both refuse it",
        _ => return None,
    })
}

fn compare(title: &str, roots: &[PathBuf], corpus: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = TrustStore::load(roots, &[]);
    let roots = match roots {
        [path] => path.clone(),
        _ => {
            let path = folder.path().join("roots.pem");
            write_pem(&path, webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| der.as_ref()));
            path
        }
    };
    let public_cas = PublicCas::builtin();
    let mut table: BTreeMap<(String, String, &'static str), u32> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for seen in seen(corpus) {
        let Some(leaf) = certificate_from_der(&seen.chain[0], None, None) else { continue };
        let is_public = leaf.issuer.as_ref().is_some_and(|issuer| public_cas.find(issuer).is_some());
        let parts: Vec<&[u8]> = seen.chain.iter().map(|der| &**der).collect();
        let certificates = parts.iter().map(|der| Box::from(*der)).collect();
        let presented = PresentedChain { id: Id128::of_parts(&parts), certificates };
        let chain = store.chain(&leaf, Some(&presented), seen.at.seconds(), is_public).unwrap();
        let other = openssl(folder.path(), &roots, &seen);
        let ours = format!("{} {:?}", chain.status.name(), chain.reason);
        match explanation(chain.status, chain.reason, &other) {
            Some(why) => *table.entry((ours, other, why)).or_default() += 1,
            None => unexplained.push(format!(
                "{ours} / {other}: {:?} at {}",
                leaf.subject.map(|it| it.text().to_owned()),
                seen.at
            )),
        }
    }
    eprintln!("{title}: {} chains", table.values().sum::<u32>());
    for ((ours, other, why), count) in &table {
        eprintln!("{count:4}  {ours:40} {other:55} {why}");
    }
    assert!(unexplained.is_empty(), "{title}: {unexplained:#?}");
}

#[test]
fn known_cas_only_ever_help_a_chain() {
    let Some(corpus) = corpus("chains") else { return };
    let public_cas = PublicCas::builtin();
    let (alone, _) = TrustStore::load(&[], &[]);
    let (helped, _) = TrustStore::load(&[], &[corpus.join("feeds/ccadb-all-certificate-pems.csv.gz")]);
    assert!(helped.authorities() > 1000);
    let mut led_to_a_root = 0;
    for seen in seen(&corpus) {
        let Some(leaf) = certificate_from_der(&seen.chain[0], None, None) else { continue };
        let is_public = leaf.issuer.as_ref().is_some_and(|issuer| public_cas.find(issuer).is_some());
        let parts: Vec<&[u8]> = seen.chain.iter().map(|der| &**der).collect();
        let certificates = parts.iter().map(|der| Box::from(*der)).collect();
        let presented = PresentedChain { id: Id128::of_parts(&parts), certificates };
        assert_ne!(
            public_cas.shows_foreign_key(&leaf, &presented),
            Ok(true),
            "{:?}",
            leaf.subject.map(|it| it.text().to_owned())
        );
        let chain = |store: &TrustStore| store.chain(&leaf, Some(&presented), seen.at.seconds(), is_public).unwrap();
        let (without, with) = (chain(&alone), chain(&helped));
        if with.status == ChainStatus::Trusted {
            led_to_a_root += u32::from(without.status != ChainStatus::Trusted);
        } else if with != without {
            // Nothing but a date, or a signature that is not by the key it names, may be graver than a missing CA.
            let subject = leaf.subject.map(|it| it.text().to_owned());
            let is_graver = with.reason.is_some_and(|reason| reason != ChainReason::BadSignature);
            assert!(without.status == with.status || !is_graver, "{subject:?}: {without:?}, {with:?}");
        }
    }
    assert!(led_to_a_root > 0);
}

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: no openssl to compare with");
    }
    found
}

#[test]
fn chains_are_judged_as_openssl_does_with_the_roots_of_today() {
    let Some(corpus) = corpus("chains").filter(|_| has_openssl()) else { return };
    compare("Mozilla's roots", &[], &corpus);
}

#[test]
fn chains_are_judged_as_openssl_does_with_every_root_there_ever_was() {
    let Some(corpus) = corpus("chains").filter(|_| has_openssl()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roots.pem");
    let text = gz_lines(&corpus.join("feeds/ccadb-all-certificate-pems.csv.gz")).join("\n");
    let own_issuer = |der: &Vec<u8>| certificate_from_der(der, None, None).is_some_and(|it| it.is_self_issued());
    let roots: Vec<Vec<u8>> = pem::blocks(&text).flatten().filter(own_issuer).collect();
    write_pem(&path, roots.iter().map(|der| &**der));
    compare("every root in CCADB", &[path], &corpus);
}
