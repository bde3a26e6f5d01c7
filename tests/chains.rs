//! The chains of the corpus, as records say them and as OpenSSL judges them: at the same time, with the same roots and the
//! same other certificates. Every difference belongs to a class that is listed and explained here. Skipped, loudly, where
//! the corpus or OpenSSL is missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]
#![allow(clippy::print_stderr, reason = "the table is for whoever runs it")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certsift::decode::certificate_from_der;
use certsift::knowledge::trust::{ChainReason, ChainStatus};
use certsift::knowledge::{PublicCas, TrustStore, pem};
use certsift::model::{EventTime, Id128, PresentedChain};
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use support::{corpus, gz_lines};
use webpki::EndEntityCert;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const LOG: &str = "suricata-8.0/eve-all-fields.json.gz";
const CCADB: &str = "feeds/ccadb-all-certificate-pems.csv.gz";

/// What a server sent, for which name, and when.
struct Seen {
    chain: Vec<Vec<u8>>,
    name: Option<String>,
    at: EventTime,
    /// What the record says of it: status and reason.
    ours: String,
}

fn subject_of(der: &[u8]) -> Option<Vec<u8>> {
    X509Certificate::from_der(der).ok().map(|(_, it)| it.subject().as_raw().to_vec())
}

fn issuer_of(der: &[u8]) -> Option<Vec<u8>> {
    X509Certificate::from_der(der).ok().map(|(_, it)| it.issuer().as_raw().to_vec())
}

impl Seen {
    fn of(record: &Value) -> Option<Self> {
        let tls = &record["tls"];
        let chain = tls["chain"].as_array()?;
        let chain = chain.iter().map(|der| STANDARD.decode(der.as_str().unwrap()).unwrap()).collect();
        let said = &record["certsift"]["chain"];
        let words = ["status", "reason"].into_iter().filter_map(|key| said[key].as_str());
        Some(Self {
            chain,
            name: tls["sni"].as_str().map(str::to_owned),
            at: EventTime::parse_iso8601(record["timestamp"].as_str().unwrap()).unwrap(),
            ours: words.collect::<Vec<_>>().join(" "),
        })
    }

    fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }

    fn in_words(&self) -> String {
        let subject = X509Certificate::from_der(self.leaf()).map(|(_, it)| it.subject().to_string());
        format!("{} of {} at {}", subject.unwrap_or_default(), self.chain.len(), self.at)
    }
}

/// The first record of each chain.
fn distinct(records: &[Value]) -> Vec<Seen> {
    let mut known = BTreeSet::new();
    records.iter().filter_map(Seen::of).filter(|seen| known.insert(seen.chain.clone())).collect()
}

fn write_pem<'a>(path: &Path, certificates: impl IntoIterator<Item = &'a [u8]>) {
    let block = |der: &[u8]| {
        let digits = STANDARD.encode(der);
        let lines: Vec<_> = digits.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    };
    std::fs::write(path, certificates.into_iter().map(block).collect::<String>()).unwrap();
}

/// Certificates of CAs by their subject as encoded.
#[derive(Default)]
struct Cas(HashMap<Vec<u8>, Vec<Vec<u8>>>);

impl Cas {
    fn of(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut cas = Self::default();
        for der in certificates {
            let Some(subject) = subject_of(&der) else { continue };
            cas.0.entry(subject).or_default().push(der);
        }
        cas
    }

    /// All that may stand above certificates by their names, whatever their validity: OpenSSL finds no others.
    fn above<'a>(&'a self, chain: impl Iterator<Item = &'a [u8]>) -> BTreeSet<&'a [u8]> {
        let mut found: BTreeSet<&[u8]> = BTreeSet::new();
        let mut open: Vec<&[u8]> = chain.collect();
        while let Some(der) = open.pop() {
            let Some(issuer) = issuer_of(der) else { continue };
            for ca in self.0.get(&issuer).into_iter().flatten() {
                if found.insert(ca) {
                    open.push(ca);
                }
            }
        }
        found
    }
}

/// What both are given.
struct Setting {
    folder: tempfile::TempDir,
    roots: Cas,
    known: Cas,
    seen: Vec<Seen>,
}

impl Setting {
    /// With the roots that are compiled in or others, and with CAs beside what servers show or without.
    fn new(corpus: &Path, roots: Option<&[Vec<u8>]>, known: Vec<Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = "[trust]\n".to_owned();
        if let Some(roots) = roots {
            let path = folder.path().join("roots.pem");
            write_pem(&path, roots.iter().map(|der| &**der));
            config += &format!("roots = [{path:?}]\n");
        }
        if !known.is_empty() {
            config += &format!("intermediates = [{:?}]\n", corpus.join(CCADB));
        }
        let builtin = || webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| der.to_vec()).collect();
        let roots = Cas::of(roots.map_or_else(builtin, <[_]>::to_vec));
        let config_path = folder.path().join("certsift.toml");
        std::fs::write(&config_path, config).unwrap();
        let options = ["--detail", "full", "--config", config_path.to_str().unwrap()];
        let seen = distinct(&support::records(&support::replay(&[corpus.join(LOG)], &options)));
        Self { folder, roots, known: Cas::of(known), seen }
    }

    /// The numbers of OpenSSL's errors in their order, or `ok`. `others` are certificates that are not trusted.
    fn openssl(&self, seen: &Seen, others: &[&[u8]], more: &[&str]) -> String {
        let file = |name| self.folder.path().join(name);
        let mut command = Command::new("openssl");
        command.args(["verify", "-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-attime"]);
        command.arg(seen.at.seconds().to_string()).args(more);
        // It finds roots by their names, and takes a second for thousands.
        let roots: Vec<&[u8]> = self.roots.above(others.iter().copied().chain([seen.leaf()])).into_iter().collect();
        if roots.is_empty() {
            command.arg("-no-CAfile");
        } else {
            write_pem(&file("roots"), roots);
            command.arg("-CAfile").arg(file("roots"));
        }
        if !others.is_empty() {
            write_pem(&file("others"), others.iter().copied());
            command.arg("-untrusted").arg(file("others"));
        }
        write_pem(&file("leaf"), [seen.leaf()]);
        let output = command.arg(file("leaf")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let errors: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("error ")?.split_once(" at ").map(|(number, _)| number))
            .collect();
        match (output.status.success(), errors.is_empty()) {
            (true, true) => "ok".to_owned(),
            (false, true) => format!("none: {said}"),
            _ => errors.join(" "),
        }
    }

    /// OpenSSL's verdict, and where it is another one, what it says to what is meant to explain that.
    fn theirs(&self, seen: &Seen) -> String {
        let known = self.known.above(seen.chain.iter().map(|der| &**der));
        let others: Vec<&[u8]> = seen.chain.iter().skip(1).map(|der| &**der).chain(known).collect();
        let found = self.openssl(seen, &others, &[]);
        let leads = matches!(&*seen.ours, "trusted" | "name_mismatch");
        match (leads, &*found, &seen.name) {
            (true, "ok", Some(name)) => self.openssl(seen, &others, &["-verify_hostname", name]),
            // Where it is to mind small keys and old hashes.
            (false, "ok", _) => format!("ok, strictly {}", self.openssl(seen, &others, &["-auth_level", "2"])),
            // Where it is given one way only.
            (true, "19" | "20", _) => {
                let is_one = self.ways(seen.leaf(), &others).iter().any(|way| self.openssl(seen, way, &[]) == "ok");
                if is_one { format!("{found}, one way ok") } else { found }
            }
            _ => found,
        }
    }

    /// The ways from a leaf over others to the name of a root, of three at most.
    fn ways<'a>(&self, leaf: &'a [u8], others: &[&'a [u8]]) -> Vec<Vec<&'a [u8]>> {
        let (mut ways, mut open) = (Vec::new(), vec![Vec::new()]);
        while let Some(way) = open.pop() {
            let Some(issuer) = issuer_of(way.last().copied().unwrap_or(leaf)) else { continue };
            if self.roots.0.contains_key(&issuer) {
                ways.push(way.clone());
            }
            let above = |other: &&&[u8]| !way.contains(*other) && subject_of(other).is_some_and(|name| name == issuer);
            if way.len() < 3 {
                open.extend(others.iter().filter(above).map(|other| [&way[..], &[*other]].concat()));
            }
        }
        ways
    }

    /// Compares all, and fails on what is in no class, or on other totals; `column` is that of the table.
    fn compare(&self, column: usize) {
        let mut found: BTreeMap<(&str, String), Vec<&Seen>> = BTreeMap::new();
        for seen in &self.seen {
            found.entry((&seen.ours, self.theirs(seen))).or_default().push(seen);
        }
        eprintln!("{}: {} chains", SETTINGS[column], self.seen.len());
        let mut unknown = Vec::new();
        for ((ours, theirs), all) in &found {
            let class = CLASSES.iter().find(|class| (class.0, class.1) == (*ours, &**theirs));
            eprintln!("{:4}  {ours:28} {theirs:20} {}", all.len(), class.map_or("?", |class| class.3));
            if class.is_none() {
                unknown.extend(all.iter().map(|seen| format!("{ours} / {theirs}: {}", seen.in_words())));
            }
        }
        assert!(unknown.is_empty(), "{unknown:#?}");
        // OpenSSL's numbers change with its versions, what certsift says only with certsift and its roots.
        let totals = |pairs: &mut dyn Iterator<Item = (&'static str, usize)>| {
            let mut totals = BTreeMap::<&str, usize>::new();
            pairs.for_each(|(ours, count)| *totals.entry(ours).or_default() += count);
            totals.retain(|_, count| *count > 0);
            totals
        };
        let ours = |seen: &Seen| CLASSES.iter().map(|class| class.0).find(|ours| *ours == seen.ours).unwrap();
        assert_eq!(
            totals(&mut self.seen.iter().map(|seen| (ours(seen), 1))),
            totals(&mut CLASSES.iter().map(|class| (class.0, class.2[column]))),
        );
        for seen in self.seen.iter().filter(|seen| seen.ours == "unverifiable encoding") {
            let is_odd = |der: &Vec<u8>| {
                let before_1970 = |it: X509Certificate<'_>| it.validity().not_before.timestamp() < 0;
                EndEntityCert::try_from(&CertificateDer::from(&**der)).is_err()
                    || X509Certificate::from_der(der).is_ok_and(|(_, it)| before_1970(it))
            };
            assert!(seen.chain.iter().any(is_odd), "{}", seen.in_words());
        }
    }
}

const SETTINGS: [&str; 4] = [
    "compiled-in roots",
    "compiled-in roots, CCADB's CAs beside what is shown",
    "every root in CCADB",
    "every root in CCADB, and its CAs beside what is shown",
];

/// What certsift says, the numbers of OpenSSL's errors, how many chains there are with each of [`SETTINGS`], and why both are
/// right. 7: a signature does not fit. 9: not yet valid. 10: expired. 18: self-signed. 19: the way ends in a root that is
/// not trusted. 20: an issuer is missing. 26: purpose. 34: an unknown critical extension. 62: other names. Strictly, 66 and
/// 68 are keys and hashes that are too weak.
const CLASSES: [(&str, &str, [usize; 4], &str); 32] = [
    ("trusted", "ok", [51, 53, 164, 170], "the same"),
    (
        "trusted",
        "19, one way ok",
        [0, 8, 0, 0],
        "of CAs that are certified twice OpenSSL follows one and does not go back",
    ),
    ("name_mismatch", "62", [1, 1, 4, 4], "the same"),
    ("not_yet_valid", "9", [1, 3, 5, 5], "the same"),
    ("not_yet_valid", "19", [0, 1, 0, 0], DATE),
    ("not_yet_valid", "20", [4, 1, 1, 1], DATE),
    ("expired", "10", [0, 0, 2, 2], "the same"),
    ("expired", "34 10", [0, 1, 0, 1], "the same, and that it is a precertificate"),
    ("expired", "19", [1, 2, 0, 0], DATE),
    ("expired", "20", [3, 0, 2, 0], DATE),
    ("untrusted bad_signature", "7", [0, 0, 1, 1], "the same"),
    ("untrusted bad_signature", "34 7", [0, 1, 0, 1], "the same, and that it is a precertificate"),
    ("untrusted bad_signature", "19", [0, 1, 0, 0], SIGNATURE),
    ("untrusted bad_signature", "20", [1, 0, 0, 0], SIGNATURE),
    ("untrusted self_signed", "18", [20, 20, 20, 20], "the same"),
    ("untrusted self_signed", "18 9", [1, 1, 1, 1], "the same, and the date"),
    ("untrusted self_signed", "18 10", [2, 2, 2, 2], "the same, and the date"),
    ("untrusted self_signed", "18 26 9", [3, 3, 3, 3], "the same, and the date and usage"),
    ("untrusted self_signed", "20", [1, 1, 1, 1], "the same: a key (ML-DSA) that OpenSSL 3.0 does not read"),
    ("untrusted unknown_issuer", "19", [12, 15, 11, 11], "the same: no way to a root"),
    ("untrusted unknown_issuer", "20", [16, 13, 13, 13], "the same: no way to a root"),
    ("unverifiable missing_issuer", "19", [8, 132, 0, 0], "the same, of a public CA: its root is no longer one"),
    ("unverifiable missing_issuer", "20", [134, 0, 3, 0], "the same, of a public CA: a CA or its root is missing"),
    ("unverifiable encoding", "7", [0, 0, 1, 1], ENCODING),
    ("unverifiable encoding", "18", [2, 2, 2, 2], ENCODING),
    ("unverifiable encoding", "19", [3, 4, 2, 2], ENCODING),
    ("unverifiable encoding", "20", [4, 3, 3, 3], ENCODING),
    ("unverifiable usage", "19", [0, 1, 0, 0], USAGE),
    ("unverifiable usage", "20", [1, 0, 0, 0], USAGE),
    ("unverifiable usage", "ok, strictly 68", [0, 0, 1, 1], USAGE),
    (
        "unverifiable algorithm",
        "ok, strictly 66",
        [0, 0, 3, 3],
        "keys below 2048 bits: OpenSSL minds them when told to",
    ),
    ("unverifiable algorithm", "ok, strictly 68", [0, 0, 24, 21], "SHA-1: OpenSSL minds it when told to"),
];
const DATE: &str = "both refuse it: certsift names the date, OpenSSL the missing root";
const SIGNATURE: &str = "both refuse it: no root is above it, and OpenSSL looks at signatures only then";
const ENCODING: &str =
    "nobody is accused: of version 1, unknown critical extensions, bytes behind the end, times before 1970";
const USAGE: &str = "nobody is accused: usage of a server only in the old words of an intermediate CA";

fn ccadb(corpus: &Path) -> Vec<Vec<u8>> {
    pem::blocks(&gz_lines(&corpus.join(CCADB)).join("\n")).flatten().collect()
}

fn own_roots(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_own = |der: &&Vec<u8>| subject_of(der) == issuer_of(der);
    all.iter().filter(is_own).cloned().collect()
}

/// The corpus, where there is an OpenSSL as well.
fn both() -> Option<PathBuf> {
    let corpus = corpus("chains")?;
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: chains: no openssl to compare with");
        return None;
    }
    Some(corpus)
}

#[test]
fn chains_are_judged_as_openssl_does_with_the_roots_of_today() {
    let Some(corpus) = both() else { return };
    Setting::new(&corpus, None, Vec::new()).compare(0);
}

#[test]
fn chains_are_judged_as_openssl_does_with_known_cas_beside_what_servers_show() {
    let Some(corpus) = both() else { return };
    Setting::new(&corpus, None, ccadb(&corpus)).compare(1);
}

#[test]
fn chains_are_judged_as_openssl_does_with_every_root_there_ever_was() {
    let Some(corpus) = both() else { return };
    let roots = own_roots(&ccadb(&corpus));
    Setting::new(&corpus, Some(&roots), Vec::new()).compare(2);
}

#[test]
fn chains_are_judged_as_openssl_does_with_every_ca_there_ever_was() {
    let Some(corpus) = both() else { return };
    let all = ccadb(&corpus);
    Setting::new(&corpus, Some(&own_roots(&all)), all).compare(3);
}

#[test]
fn known_cas_only_ever_help_a_chain() {
    let Some(corpus) = corpus("chains") else { return };
    let public_cas = PublicCas::builtin();
    let (alone, _) = TrustStore::load(&[], &[]);
    let (helped, _) = TrustStore::load(&[], &[corpus.join(CCADB)]);
    assert!(helped.authorities() > 1000);
    let mut led_to_a_root = 0;
    let records: Vec<Value> =
        gz_lines(&corpus.join(LOG)).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for seen in distinct(&records) {
        let Some(leaf) = certificate_from_der(seen.leaf(), None, None) else { continue };
        let is_public = leaf.issuer.as_ref().is_some_and(|issuer| public_cas.find(issuer).is_some());
        let parts: Vec<&[u8]> = seen.chain.iter().map(|der| &**der).collect();
        let certificates = parts.iter().map(|der| Box::from(*der)).collect();
        let presented = PresentedChain { id: Id128::of_parts(&parts), certificates };
        assert_ne!(public_cas.shows_foreign_key(&leaf, &presented), Ok(true), "{}", seen.in_words());
        let chain = |store: &TrustStore| store.chain(&leaf, Some(&presented), seen.at.seconds(), is_public).unwrap();
        let (without, with) = (chain(&alone), chain(&helped));
        if with.status == ChainStatus::Trusted {
            led_to_a_root += u32::from(without.status != ChainStatus::Trusted);
        } else if with != without {
            // Nothing but a date, or a signature that is not by the key it names, may be graver than a missing CA.
            let is_graver = with.reason.is_some_and(|reason| reason != ChainReason::BadSignature);
            assert!(without.status == with.status || !is_graver, "{}: {without:?}, {with:?}", seen.in_words());
        }
    }
    assert!(led_to_a_root > 0);
}
