//! A world whose names renew, move, change their CA, are stolen and inspected; told in Zeek's logs.

use std::path::Path;

use certsift::model::Sha256Digest;
use serde_json::{Value, json};

use crate::support::random::Random;

pub(crate) const DAY: i64 = 86_400;
pub(crate) const BEGINNING: i64 = 20_370 * DAY;
/// On this day somebody begins to inspect TLS.
const INSPECTION: i64 = 30;
const NAMES: usize = 120;
/// Networks of servers, of which a set holds all; the last one is inside.
const NETWORKS: usize = 25;

/// The CAs that everybody knows; the first two give certificates to programs.
const PUBLIC: [&str; 3] = [
    "CN=R10,O=Let's Encrypt,C=US",
    "CN=ZeroSSL RSA Domain Secure Site CA,O=ZeroSSL,C=AT",
    "CN=DigiCert TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US",
];

/// Who vouches for a certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Issuer {
    /// By its place in the list.
    Public(usize),
    /// By its number; some name no organisation.
    Private(usize),
    Itself,
}

#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) issuer: Issuer,
    /// The name that it is for.
    pub(crate) name: usize,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Seconds; each session has its own.
    pub(crate) time: i64,
    pub(crate) client: usize,
    pub(crate) server: usize,
    pub(crate) port: u16,
    pub(crate) name: Option<usize>,
    /// The certificate that the server has.
    pub(crate) certificate: usize,
    /// It is not shown.
    pub(crate) resumed: bool,
    pub(crate) ja4: Option<usize>,
}

/// A server of no name, and what it shows.
struct Stranger {
    certificate: usize,
    server: usize,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) sessions: Vec<Session>,
}

impl Issuer {
    /// The whole name; `None` for a certificate that is its own issuer.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Public(at) => Some(PUBLIC[*at].to_owned()),
            Self::Private(number) if number % 4 == 1 => Some(format!("CN=CA {number}")),
            Self::Private(number) => Some(format!("CN=CA {number},O=Organisation {}", number / 3)),
            Self::Itself => None,
        }
    }

    pub(crate) fn is_automated(&self) -> bool {
        matches!(self, Self::Public(0 | 1))
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("www.{}", domain(number))
}

pub(crate) fn domain(number: usize) -> String {
    format!("name{number}.example")
}

pub(crate) fn network(server: usize) -> usize {
    server % NETWORKS
}

pub(crate) fn is_inside(server: usize) -> bool {
    network(server) == NETWORKS - 1
}

pub(crate) fn sha256(certificate: usize) -> Sha256Digest {
    Sha256Digest::of(&certificate.to_be_bytes())
}

/// A fingerprint of a client.
pub(crate) fn ja4(number: usize) -> String {
    format!("t13d1516h2_{number:012x}_b186095e22b6")
}

fn address(server: usize) -> String {
    let (network, host) = (network(server), server / NETWORKS);
    let (first, second) = if is_inside(server) { (10, 200) } else { (198, 20 + network) };
    format!("{first}.{second}.{}.{}", host / 250, host % 250 + 1)
}

impl World {
    pub(crate) fn new(seed: u64, sessions: usize, days: i64) -> Self {
        let mut random = Random::from_seed(seed);
        let mut world = Self::default();
        let mut privates = 0;
        let mut time = BEGINNING;
        let pause = (2 * days * DAY) as usize / sessions;
        let mut homes: Vec<(usize, usize)> = Vec::new();
        for name in 0..NAMES {
            let certificate = world.issue(&mut random, &mut privates, name, time);
            homes.push((certificate, random.below(900)));
        }
        let gateway: Vec<usize> = (0..NAMES)
            .map(|name| {
                world.add(Certificate {
                    issuer: Issuer::Private(999),
                    name,
                    not_before: BEGINNING,
                    not_after: BEGINNING + 900 * DAY,
                })
            })
            .collect();
        // One that turns up on many servers.
        let spread = world.own_made(time);
        while world.sessions.len() < sessions {
            time += 1 + random.below(pause) as i64;
            let name = if random.one_in(3) { random.below(NAMES) } else { random.below(NAMES / 3) };
            // Some names are new now and then.
            let name = if random.one_in(60) { NAMES + random.below(sessions / 20) } else { name };
            let mut home = match homes.get(name) {
                Some(home) => *home,
                None => (world.issue(&mut random, &mut privates, name, time), random.below(900)),
            };
            if random.one_in(150) {
                // A renewal, another CA, another server, or both.
                let certificate = world.issue(&mut random, &mut privates, name, time);
                let server = random.below(900);
                let moved = [(certificate, home.1), (home.0, server), (certificate, server)][random.below(3)];
                // For good, or for once.
                if random.one_in(2) && name < NAMES {
                    homes[name] = moved;
                }
                home = moved;
            }
            if random.one_in(80) {
                let shared = Stranger { certificate: spread, server: random.below(900) };
                world.visit(&mut random, time, shared);
                continue;
            }
            if (time - BEGINNING) / DAY % 9 == 8 && random.one_in(6) {
                let certificate = world.own_made(time);
                world.visit(&mut random, time, Stranger { certificate, server: 901 });
                continue;
            }
            let inspected = time >= BEGINNING + INSPECTION * DAY && name < NAMES && random.one_in(6);
            let certificate = if inspected { gateway[name] } else { home.0 };
            let odd = random.one_in(100);
            world.sessions.push(Session {
                time,
                client: if random.one_in(3) { random.below(200) } else { random.below(30) },
                server: if odd { random.below(900) } else { home.1 },
                port: if random.one_in(5) { 8444 } else { 443 },
                name: (!random.one_in(20)).then_some(name),
                // The certificate of some other name.
                certificate: if odd { random.below(world.certificates.len()) } else { certificate },
                resumed: random.one_in(6),
                ja4: (!random.one_in(3)).then(|| if random.one_in(20) { certificate + 100 } else { random.below(6) }),
            });
        }
        world
    }

    /// A session without a name, at a server that nobody else goes to.
    fn visit(&mut self, random: &mut Random, time: i64, to: Stranger) {
        let Stranger { certificate, server } = to;
        let client = random.below(12);
        let session = Session { time, client, server, port: 443, name: None, certificate, resumed: false, ja4: None };
        self.sessions.push(session);
    }

    /// A certificate that is its own issuer.
    fn own_made(&mut self, time: i64) -> usize {
        let (not_before, not_after) = (time - 20 * DAY, time + 400 * DAY);
        self.add(Certificate { issuer: Issuer::Itself, name: 0, not_before, not_after })
    }

    fn add(&mut self, certificate: Certificate) -> usize {
        self.certificates.push(certificate);
        self.certificates.len() - 1
    }

    fn issue(&mut self, random: &mut Random, privates: &mut usize, name: usize, time: i64) -> usize {
        let issuer = match random.below(8) {
            0..=4 => Issuer::Public(random.below(PUBLIC.len())),
            5 => Issuer::Private(random.below(6)),
            6 => {
                *privates += 1;
                Issuer::Private(10 + *privates % 900)
            }
            _ => Issuer::Itself,
        };
        let age =
            if random.one_in(3) { random.below(9 * DAY as usize) } else { random.below(300 * DAY as usize) } as i64;
        // Below the 398 days that a public CA gives at the most, or the length itself would be a finding.
        let left = (1 + random.below(95)) as i64 * DAY;
        self.add(Certificate { issuer, name, not_before: time - age, not_after: time + left })
    }

    /// What `ssl.log` says of a session, and `x509.log` of its certificate.
    fn ssl(&self, number: usize) -> String {
        let it = &self.sessions[number];
        let chain = if it.resumed { vec![] } else { vec![sha256(it.certificate).to_string()] };
        let mut row = json!({
            "ts": it.time, "uid": format!("C{number}"), "id.orig_h": format!("10.1.{}.{}", it.client / 200, it.client % 200 + 1),
            "id.orig_p": 40_000, "id.resp_h": address(it.server), "id.resp_p": it.port, "version": "TLSv12",
            "resumed": it.resumed, "established": true, "cert_chain_fps": chain,
        });
        if let Some(number) = it.name {
            row["server_name"] = json!(name(number));
        }
        if let Some(number) = it.ja4 {
            row["ja4"] = json!(ja4(number));
        }
        row.to_string()
    }

    fn x509(&self, number: usize) -> String {
        let it = &self.certificates[number];
        let subject = format!("CN={}", name(it.name));
        let row: Value = json!({
            "ts": BEGINNING, "fingerprint": sha256(number).to_string(), "certificate.serial": "0A",
            "certificate.subject": subject, "certificate.issuer": it.issuer.text().unwrap_or(subject.clone()),
            "certificate.not_valid_before": it.not_before, "certificate.not_valid_after": it.not_after,
            "san.dns": [name(it.name)], "host_cert": true, "client_cert": false,
        });
        row.to_string()
    }

    /// Writes the logs of some of the sessions: certificates in one file, sessions in others by their turn.
    pub(crate) fn write(&self, folder: &Path, sessions: std::ops::Range<usize>, files: usize) {
        std::fs::create_dir_all(folder).unwrap();
        let write =
            |name: &str, lines: Vec<String>| std::fs::write(folder.join(name), lines.join("\n") + "\n").unwrap();
        write("x509.log", (0..self.certificates.len()).map(|number| self.x509(number)).collect());
        for file in 0..files {
            write(
                &format!("ssl-{file}.log"),
                sessions.clone().skip(file).step_by(files).map(|number| self.ssl(number)).collect(),
            );
        }
    }
}
