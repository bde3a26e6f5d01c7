//! Lines as Zeek 6 writes them, with numbers in them by which the reader knows them again.
//!
//! Every session shows a certificate: the most work that a line can make.

use std::fmt::Write as _;

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Form {
    Json,
    Tsv,
}

/// A session to be written.
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) certificate: u64,
    /// Its certificate is written later.
    pub(super) held: bool,
    pub(super) client: u64,
}

/// What a line of the output is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    Session { number: u64, held: bool, certificate: u64 },
    Certificate(u64),
}

const SSL_FIELDS: &str = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tversion\tcipher\tcurve\t\
     server_name\tresumed\testablished\tssl_history\tcert_chain_fps\tclient_cert_chain_fps\tsni_matches_cert\t\
     validation_status\n\
     #types\ttime\tstring\taddr\tport\taddr\tport\tstring\tstring\tstring\tstring\tbool\tbool\tstring\t\
     vector[string]\tvector[string]\tbool\tstring\n";
const X509_FIELDS: &str = "#fields\tts\tfingerprint\tcertificate.version\tcertificate.serial\tcertificate.subject\t\
     certificate.issuer\tcertificate.not_valid_before\tcertificate.not_valid_after\tcertificate.key_alg\t\
     certificate.sig_alg\tcertificate.key_type\tcertificate.key_length\tcertificate.exponent\tsan.dns\t\
     basic_constraints.ca\thost_cert\tclient_cert\n\
     #types\ttime\tstring\tcount\tstring\tstring\tstring\ttime\ttime\tstring\tstring\tstring\tcount\tstring\t\
     vector[string]\tbool\tbool\tbool\n";
const CIPHER: &str = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
/// Certificates of one issuer.
const CERTIFICATES_PER_ISSUER: u64 = 50;
const DAY: i64 = 86_400;

impl Form {
    /// What a log begins with.
    pub(super) fn header(self, log: &str, opened: &str) -> String {
        let fields = if log == "ssl" { SSL_FIELDS } else { X509_FIELDS };
        match self {
            Self::Json => String::new(),
            Self::Tsv => format!(
                "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{log}\n\
                 #open\t{opened}\n{fields}"
            ),
        }
    }

    /// What a log ends with.
    pub(super) fn footer(self, closed: &str) -> String {
        match self {
            Self::Json => String::new(),
            Self::Tsv => format!("#close\t{closed}\n"),
        }
    }

    /// Adds a line of `ssl.log`; `micros` is its time.
    pub(super) fn session(self, text: &mut String, micros: i64, session: &Session) {
        let Session { number, certificate, held, client } = session;
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let uid = format!("C{number:09}{}{certificate:07}", if *held { 'h' } else { 'd' });
        let fingerprint = fingerprint(*certificate);
        let (a, b, c) = (client >> 16 & 0xff, client >> 8 & 0xff, client & 0xff);
        let server = format!("198.{}.{}.{}", 18 + (certificate >> 16 & 1), certificate >> 8 & 0xff, certificate & 0xff);
        let port = 32_768 + number % 28_000;
        let line = match self {
            Self::Json => writeln!(
                text,
                r#"{{"ts":{seconds}.{fraction:06},"uid":"{uid}","id.orig_h":"10.{a}.{b}.{c}","id.orig_p":{port},"id.resp_h":"{server}","id.resp_p":443,"version":"TLSv12","cipher":"{CIPHER}","curve":"x25519","server_name":"www.d{certificate}.example","resumed":false,"established":true,"ssl_history":"CsxknGIi","cert_chain_fps":["{fingerprint}"],"client_cert_chain_fps":[],"sni_matches_cert":true,"validation_status":"ok"}}"#
            ),
            Self::Tsv => writeln!(
                text,
                "{seconds}.{fraction:06}\t{uid}\t10.{a}.{b}.{c}\t{port}\t{server}\t443\tTLSv12\t{CIPHER}\tx25519\t\
                 www.d{certificate}.example\tF\tT\tCsxknGIi\t{fingerprint}\t(empty)\tT\tok"
            ),
        };
        // A string takes everything.
        line.unwrap_or_default();
    }

    /// Adds a line of `x509.log`.
    pub(super) fn certificate(self, text: &mut String, micros: i64, number: u64) {
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let fingerprint = fingerprint(number);
        let serial = &fingerprint[..16];
        let issuer = number / CERTIFICATES_PER_ISSUER;
        let (from, until) = (seconds - 10 * DAY, seconds + 80 * DAY);
        let line = match self {
            Self::Json => writeln!(
                text,
                r#"{{"ts":{seconds}.{fraction:06},"fingerprint":"{fingerprint}","certificate.version":3,"certificate.serial":"{serial}","certificate.subject":"CN=www.d{number}.example","certificate.issuer":"CN=Issuing CA {issuer},O=Example Trust {issuer},C=US","certificate.not_valid_before":{from}.0,"certificate.not_valid_after":{until}.0,"certificate.key_alg":"rsaEncryption","certificate.sig_alg":"sha256WithRSAEncryption","certificate.key_type":"rsa","certificate.key_length":2048,"certificate.exponent":"65537","san.dns":["www.d{number}.example","d{number}.example"],"basic_constraints.ca":false,"host_cert":true,"client_cert":false}}"#
            ),
            Self::Tsv => writeln!(
                text,
                "{seconds}.{fraction:06}\t{fingerprint}\t3\t{serial}\tCN=www.d{number}.example\t\
                 CN=Issuing CA {issuer},O=Example Trust {issuer},C=US\t{from}.000000\t{until}.000000\trsaEncryption\t\
                 sha256WithRSAEncryption\trsa\t2048\t65537\twww.d{number}.example,d{number}.example\tF\tT\tF"
            ),
        };
        line.unwrap_or_default();
    }
}

/// Knows a line of the output by its second field, which both logs begin with.
pub(super) fn recognise(line: &[u8]) -> Option<Known> {
    let second = line.get(memchr::memchr(b',', line)? + 1..)?;
    if let Some(uid) = second.strip_prefix(br#""uid":"C"#) {
        let held = match uid.get(9)? {
            b'h' => true,
            b'd' => false,
            _ => return None,
        };
        return Some(Known::Session { number: digits(uid.get(..9)?)?, held, certificate: digits(uid.get(10..17)?)? });
    }
    let fingerprint = second.strip_prefix(br#""fingerprint":""#)?;
    digits(fingerprint.get(56..64)?).map(Known::Certificate)
}

/// Spread as hashes are, and with the number at the end.
fn fingerprint(number: u64) -> String {
    let [a, b, c] = [1, 2, 3].map(|salt| mix(number.wrapping_mul(3).wrapping_add(salt)));
    format!("{a:016x}{b:016x}{c:016x}00000000{number:08}")
}

/// The function of SplitMix64: every number has another one, which shows nothing of it.
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
