//! What has to be found on each session, told from all sessions before it, none of which is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use certsift::model::{Certificate as Facts, CertificateSource, DistinguishedName, Id128};

use crate::world::{Certificate, DAY, Issuer, Session, World, domain, is_inside, name, network, sha256};

pub(crate) const WINDOW_DAYS: i64 = 10;
pub(crate) const LEARNING: (i64, usize, usize) = (3, 40, 20);
/// Who stands for all certificates that are their own issuers.
const ITSELF: Id128 = Id128(*b"its own issuer\0\0");

/// What has to be said of a session.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Expected {
    pub(crate) verdict: &'static str,
    pub(crate) score: Option<i64>,
    /// Findings in their order, each with a thousand times its weight.
    pub(crate) findings: Vec<(&'static str, i64)>,
    pub(crate) class: Option<&'static str>,
    pub(crate) rare: Option<bool>,
    pub(crate) learning: Option<bool>,
}

/// What was seen of one thing: since when, and by whom, with the last day of each.
#[derive(Default)]
struct Subject {
    first: Option<First>,
    last: i64,
    observers: BTreeMap<&'static str, BTreeMap<Id128, i64>>,
}

#[derive(Clone, Copy)]
struct First {
    at: i64,
    after_learning: bool,
}

struct Change {
    at: i64,
    from: Id128,
    to: Id128,
    from_certificate: Option<usize>,
    new_network: bool,
    /// The issuers as they are.
    kin: (Issuer, Issuer),
}

#[derive(Clone, Copy)]
struct Moved {
    at: i64,
    to: usize,
    networks: usize,
}

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Oracle {
    issuers: BTreeMap<Id128, Subject>,
    certificates: BTreeMap<usize, Subject>,
    names: BTreeMap<usize, Subject>,
    servers: BTreeMap<usize, Subject>,
    fingerprints: BTreeMap<usize, Subject>,
    clients: BTreeMap<usize, i64>,
    changes: BTreeMap<usize, Change>,
    moved: BTreeMap<usize, Moved>,
    taken_over: BTreeMap<Id128, BTreeMap<usize, i64>>,
    intercepts_since: BTreeMap<Id128, i64>,
    presented: BTreeMap<(usize, u16, Option<usize>), (usize, i64)>,
    numbers: BTreeMap<Id128, usize>,
    /// Issuers by what names remember of them.
    known_issuers: BTreeMap<Id128, Issuer>,
    /// Certificates that were new to those who went out.
    met: usize,
    learnt: bool,
    started: Option<i64>,
}

/// A session on its way, with what is known by then.
struct Case<'a> {
    it: &'a Session,
    certificate: Option<(usize, &'a Certificate)>,
    presented: bool,
    outbound: bool,
    learning: bool,
    class: Option<&'static str>,
}

/// What a finding weighs, and does beside.
struct Found {
    id: &'static str,
    group: &'static str,
    weight: f64,
    floor: bool,
}

impl Subject {
    fn note(&mut self, of: &'static str, observer: Option<Id128>, day: i64) -> bool {
        observer.is_some_and(|observer| self.observers.entry(of).or_default().insert(observer, day).is_none())
    }

    fn count(&self, of: &str, from_day: i64) -> usize {
        self.observers.get(of).map_or(0, |all| all.values().filter(|day| **day >= from_day).count()).min(32)
    }

    /// The latest first, and of one day the smaller.
    fn latest(&self, of: &str) -> Vec<Id128> {
        let mut all: Vec<_> = self.observers.get(of).into_iter().flatten().map(|(id, day)| (-day, *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }
}

impl Oracle {
    /// What has to be said of the next session.
    pub(crate) fn judge(&mut self, world: &World, it: &Session) -> Expected {
        let day = it.time.div_euclid(DAY);
        let from_day = day - WINDOW_DAYS + 1;
        let place = (it.server, it.port, it.name);
        let shown = if it.resumed {
            self.presented.get(&place).filter(|(_, at)| it.time - at <= 7 * DAY).map(|(certificate, _)| *certificate)
        } else {
            self.presented.insert(place, (it.certificate, it.time));
            Some(it.certificate)
        };
        self.note(world, it, shown, day);
        let certificate = shown.map(|number| (number, &world.certificates[number]));
        let learning = !self.learnt;
        let mut case =
            Case { it, certificate, presented: !it.resumed, outbound: !is_inside(it.server), learning, class: None };
        case.class = certificate.map(|(_, certificate)| match &certificate.issuer {
            Issuer::Itself => "self",
            Issuer::Public(_) => "public",
            issuer if self.intercepts_since.contains_key(&name_id(issuer).unwrap()) => "interception",
            Issuer::Private(_) => "private",
        });
        let findings = self.findings(world, &case, day, from_day);
        let rare = match case.class {
            Some("private") if !learning && case.outbound => Some(self.is_rare(&case, from_day)),
            _ => None,
        };
        let learning = case.class.map(|_| learning);
        assess(findings, &case, rare, learning)
    }

    /// Takes note of a session.
    fn note(&mut self, world: &World, it: &Session, shown: Option<usize>, day: i64) {
        let first = First { at: it.time, after_learning: self.learnt };
        let from_day = day - WINDOW_DAYS + 1;
        let recalled = it.resumed;
        let see = |subject: &mut Subject, recalled: bool| {
            if !recalled && subject.first.is_none() {
                subject.first = Some(first);
            }
            subject.last = it.time;
        };
        // Whoever stays within is counted apart.
        let outgoing = !is_inside(it.server);
        let client = Some(number_id("client", it.client));
        let internal = client.filter(|_| !outgoing);
        let server = Some(number_id("server", it.server));
        // What is inside is no network among others.
        let net = outgoing.then(|| number_id("network", network(it.server)));
        let domain_id = it.name.map(|name| Id128::of(domain(name).as_bytes()));
        if outgoing {
            self.clients.insert(it.client, day);
        }
        self.started.get_or_insert(it.time);
        let id = shown.map(certificate_id);
        if let (Some(number), Some(id)) = (shown, id) {
            self.numbers.insert(id, number);
            let issuer = &world.certificates[number].issuer;
            self.known_issuers.entry(issuer_of_name(issuer)).or_insert_with(|| issuer.clone());
            for key in [name_id(issuer), organization_id(issuer)].into_iter().flatten() {
                let subject = self.issuers.entry(key).or_default();
                see(subject, recalled);
                subject.note("clients", client.filter(|_| outgoing), day);
                subject.note("internal", internal, day);
                subject.note("domains", domain_id, day);
            }
            let subject = self.certificates.entry(number).or_default();
            self.met += usize::from(outgoing && !recalled && subject.first.is_none());
            see(subject, recalled);
            subject.note("clients", client, day);
            let networks = subject.count("networks", from_day);
            subject.note("servers", server, day);
            let new_network = subject.note("networks", net, day);
            if new_network && !recalled && it.time - subject.first.unwrap().at >= 14 * DAY {
                self.moved.insert(number, Moved { at: it.time, to: network(it.server), networks });
            }
        }
        if let Some(number) = it.name {
            let subject = self.names.entry(number).or_default();
            see(subject, false);
            subject.note("clients", client, day);
            let new_network = subject.note("networks", net, day);
            let from_certificate = subject.latest("certificates").first().copied();
            subject.note("certificates", id.filter(|_| outgoing), day);
            let from = subject.latest("issuers").first().copied();
            let to = shown.filter(|_| outgoing).map(|number| issuer_of_name(&world.certificates[number].issuer));
            let new_issuer = subject.note("issuers", to, day);
            assert!(
                ["issuers", "networks"].iter().all(|of| subject.observers.get(of).is_none_or(|all| all.len() <= 32))
            );
            if let (true, false, Some(from), Some(to), Some(shown)) = (new_issuer, recalled, from, to, shown) {
                let established =
                    it.time - subject.first.unwrap().at >= 14 * DAY && subject.count("clients", from_day) >= 3;
                let new = world.certificates[shown].issuer.clone();
                let kin = (self.known_issuers[&from].clone(), new.clone());
                let from_certificate = from_certificate.map(|id| self.numbers[&id]);
                self.changes.insert(number, Change { at: it.time, from, to, from_certificate, new_network, kin });
                if let (true, Some(issuer)) = (established, name_id(&new)) {
                    let taken = self.taken_over.entry(issuer).or_default();
                    taken.insert(number, day);
                    let many = taken.values().filter(|last| **last >= day - 1).count() >= 20;
                    if many && self.issuers[&issuer].count("clients", day - 1) >= 3 {
                        self.intercepts_since.entry(issuer).or_insert(it.time);
                    }
                }
            }
        }
        if id.is_some() || it.name.is_some() {
            self.servers.entry(it.server).or_default().note("certificates", id, day);
        }
        if let Some(number) = it.ja4 {
            let subject = self.fingerprints.entry(number).or_default();
            see(subject, false);
            subject.note("certificates", id, day);
            subject.note("hidden", server.filter(|_| id.is_none()), day);
        }
        let (days, certificates, clients) = LEARNING;
        let enough = self.met >= certificates && self.clients.len() >= clients;
        self.learnt |= enough && (it.time - self.started.unwrap()) / DAY >= days;
    }

    fn findings(&self, world: &World, case: &Case<'_>, day: i64, from_day: i64) -> Vec<Found> {
        let mut found = Vec::new();
        let Case { it, outbound, .. } = *case;
        let mut push = |id, group, weight, floor| found.push(Found { id, group, weight, floor });
        let now = it.time;
        let own_made = matches!(case.class, Some("private" | "self"));
        let server = &self.servers.get(&it.server);
        if let Some((weight, floor)) = self.issuer_change(world, case, from_day) {
            push("issuer_change", if weight > 0.0 { "drift" } else { "context" }, weight, floor);
        }
        if let Some((number, certificate)) = case.certificate {
            let seen = &self.certificates[&number];
            let count = |of| seen.count(of, from_day);
            let moved = self.moved.get(&number).filter(|moved| {
                moved.to == network(it.server)
                    && !is_inside(it.server)
                    && now - moved.at <= 7 * DAY
                    && moved.networks <= 3
                    && count("clients") > 3
            });
            if let (Some(_), true, Some(name)) = (moved, case.presented && case.class != Some("interception"), it.name)
            {
                let covers = certificate.name == name;
                push("moved_certificate", "share", if covers { 0.1 } else { 0.25 }, !covers && outbound);
            }
            if own_made && count("servers") >= 5 && count("networks") > 3 {
                push("shared_certificate", "share", 0.2, count("clients") <= 8 && outbound);
            }
            if own_made && !case.learning && server.is_some_and(|server| server.count("certificates", day - 1) >= 8) {
                push("changing_server", "share", 0.2, false);
            }
            let age = now - certificate.not_before;
            let name = it.name.and_then(|name| self.names[&name].first);
            let name_is_new = name.is_some_and(|first| first.after_learning && now - first.at < 7 * DAY);
            if (0..7 * DAY).contains(&age) && name_is_new && !case.learning {
                // Ages are told in tenths of a day, and so one of less than 0.95 days is less than a day.
                push("fresh_certificate", "age", if age < 82_080 { 0.2 } else { 0.1 }, false);
                if certificate.issuer.is_automated() {
                    push("free_ca", "context", 0.0, false);
                }
            }
            if case.class == Some("private") && !case.learning {
                match outbound {
                    true if self.is_rare(case, from_day) => push("rare_issuer", "rarity", 0.15, false),
                    false if self.is_rare_inside(case, from_day) => push("rare_issuer", "context", 0.0, false),
                    _ => {}
                }
            }
            if now - certificate.not_after > 14 * 3600 {
                push("out_of_validity", "trust", 0.05, false);
            }
            if case.class == Some("self") {
                push("self_signed", "trust", 0.15, false);
            }
            if it.name.is_some_and(|name| name != certificate.name) {
                let own = certificate.issuer == Issuer::Itself;
                push("name_mismatch", if own { "trust" } else { "name" }, 0.08, false);
            }
            let since = name_id(&certificate.issuer).and_then(|issuer| self.intercepts_since.get(&issuer));
            if case.class == Some("interception") && since.is_some_and(|since| now - since < DAY) {
                push("interception", "context", 0.0, false);
            }
        }
        let is_first = |subject: Option<&Subject>| {
            let seen = subject.and_then(|subject| Some((subject.first?, subject.last)));
            seen.is_some_and(|(first, last)| first.at == last && first.after_learning && !case.learning)
        };
        if is_first(case.certificate.and_then(|(number, _)| self.certificates.get(&number))) {
            push("first_seen_certificate", "context", 0.0, false);
        }
        if is_first(it.name.and_then(|name| self.names.get(&name))) {
            push("first_seen_name", "context", 0.0, false);
        }
        if it.port != 443 && found.iter().any(|found| ["name", "age", "rarity"].contains(&found.group)) {
            found.push(Found { id: "unusual_port", group: "context", weight: 0.08, floor: false });
        }
        let company = found.iter().any(|found| found.group != "context");
        let offers = it.ja4.map(|number| &self.fingerprints[&number]);
        if let (Some(offers), Some((number, _)), true) = (offers, case.certificate, company && !case.learning) {
            let inside =
                |of: &str| offers.observers.get(of).into_iter().flatten().filter(|(_, last)| **last >= from_day);
            let goes_with: Vec<_> = inside("certificates").map(|(id, _)| *id).collect();
            let is_known = now - offers.first.unwrap().at >= DAY;
            if is_known && goes_with == [certificate_id(number)] && inside("hidden").count() == 0 {
                found.push(Found { id: "client_fingerprint", group: "context", weight: 0.0, floor: false });
            }
        }
        found
    }

    /// What a change of the name's issuer weighs, and whether it opens a floor.
    fn issuer_change(&self, world: &World, case: &Case<'_>, from_day: i64) -> Option<(f64, bool)> {
        let (it, name) = (case.it, case.it.name?);
        let (shown, certificate) = case.certificate.filter(|_| case.presented)?;
        let seen = &self.names[&name];
        let change = self.changes.get(&name).filter(|change| it.time - change.at <= 7 * DAY)?;
        let established = change.at - seen.first?.at >= 14 * DAY && seen.count("clients", from_day) >= 3;
        if !established || case.class == Some("interception") {
            return None;
        }
        let issuer = issuer_of_name(&certificate.issuer);
        let automated = change.kin.0.is_automated() && change.kin.1.is_automated();
        if issuer != change.to {
            let back = issuer == change.from && change.new_network && it.time > change.at;
            return (back && !automated && change.from != ITSELF).then_some((0.0, false));
        }
        if change.from == ITSELF {
            return None;
        }
        let Some(former) = self.former(world, name, change) else { return Some((0.2, false)) };
        if former.name != name {
            return None;
        }
        let former_day = seen.observers["issuers"][&change.from];
        let stayed = it.time - change.at >= DAY
            && former_day <= change.at.div_euclid(DAY)
            && self.certificates[&shown].count("clients", from_day) >= 3;
        if former.not_after - it.time <= 30 * DAY || stayed || (automated && !change.new_network) {
            return Some((0.1, false));
        }
        let taken_over = change.new_network && !automated;
        Some(if taken_over && case.outbound { (0.35, true) } else { (0.2, false) })
    }

    /// The certificate before the change: the last one, or else the latest of the former issuer; one for the very name
    /// rather than another.
    fn former<'a>(&self, world: &'a World, name: usize, change: &Change) -> Option<&'a Certificate> {
        let latest = self.names[&name].latest("certificates").into_iter().take(16).map(|id| self.numbers[&id]);
        let all = change.from_certificate.into_iter().chain(latest).map(|number| &world.certificates[number]);
        let of_issuer: Vec<_> = all.filter(|known| issuer_of_name(&known.issuer) == change.from).collect();
        of_issuer.iter().find(|known| known.name == name).or(of_issuer.first()).copied()
    }

    fn is_rare_inside(&self, case: &Case<'_>, from_day: i64) -> bool {
        let issuer = case.certificate.and_then(|(_, certificate)| name_id(&certificate.issuer));
        let Some(subject) = issuer.map(|issuer| &self.issuers[&issuer]) else { return false };
        subject.count("clients", from_day) == 0
            && subject.count("internal", from_day) <= 1
            && subject.count("domains", from_day) <= 2
            && subject.first.is_some_and(|first| first.after_learning && case.it.time - first.at < 7 * DAY)
    }

    fn is_rare(&self, case: &Case<'_>, from_day: i64) -> bool {
        let Some((_, certificate)) = case.certificate.filter(|_| case.class == Some("private")) else { return false };
        let active = self.clients.values().filter(|day| **day >= from_day).count();
        let few = |id: Id128| {
            let subject = &self.issuers[&id];
            let is_new = |first: First| first.after_learning && case.it.time - first.at < 7 * DAY;
            subject.count("clients", from_day) <= (active / 200).clamp(1, 31)
                && subject.count("domains", from_day) <= 2
                && subject.first.is_some_and(is_new)
        };
        [name_id(&certificate.issuer), organization_id(&certificate.issuer)].into_iter().flatten().all(few)
    }
}

fn assess(found: Vec<Found>, case: &Case<'_>, rare: Option<bool>, learning: Option<bool>) -> Expected {
    let thousandths = |weight: f64| (weight * if case.outbound { 1000.0 } else { 200.0 }).round() as i64;
    let findings: Vec<_> = found.iter().map(|found| (found.id, thousandths(found.weight))).collect();
    let only_first_sights = findings.iter().all(|(id, _)| id.starts_with("first_seen_"));
    let (verdict, score) = if case.certificate.is_none() && only_first_sights {
        ("unknown", None)
    } else {
        let mut groups: Vec<_> = found.iter().map(|found| found.group).collect();
        let mut met = BTreeSet::new();
        groups.retain(|group| met.insert(*group));
        let none_true = groups.iter().map(|group| {
            let of_group = found.iter().filter(|it| it.group == *group);
            let mut weights: Vec<_> = of_group.map(|it| thousandths(it.weight) as f64 / 1000.0).collect();
            weights.sort_by(|a, b| b.total_cmp(a));
            (1.0 - weights[0]) * weights[1..].iter().map(|weight| 1.0 - 0.25 * weight).product::<f64>()
        });
        let score = ((1.0 - none_true.product::<f64>()) * 100.0).round().min(69.0) as i64;
        let score = if found.iter().any(|found| found.floor) { score.max(45) } else { score };
        let verdict = if score >= 45 {
            "medium"
        } else if score >= 20 {
            "low"
        } else {
            "info"
        };
        (verdict, Some(score))
    };
    Expected { verdict, score, findings, class: case.class, rare, learning }
}

fn number_id(kind: &str, number: usize) -> Id128 {
    Id128::of_parts(&[kind.as_bytes(), &number.to_be_bytes()])
}

fn certificate_id(number: usize) -> Id128 {
    Id128::of(&sha256(number).0)
}

/// The facts of a certificate with this issuer.
fn facts(issuer: &Issuer) -> Option<Facts> {
    let mut facts = Facts::unknown(CertificateSource::LogStrings);
    facts.issuer = Some(DistinguishedName::from_rfc2253(&issuer.text()?));
    Some(facts.with_id())
}

fn name_id(issuer: &Issuer) -> Option<Id128> {
    Some(facts(issuer)?.issuer?.key())
}

fn organization_id(issuer: &Issuer) -> Option<Id128> {
    facts(issuer)?.issuer_organization
}

/// What a name remembers of its issuer.
fn issuer_of_name(issuer: &Issuer) -> Id128 {
    organization_id(issuer).or(name_id(issuer)).unwrap_or(ITSELF)
}

/// The name in the form of records, for messages.
pub(crate) fn told(it: &Session) -> String {
    format!("{it:?} {}", it.name.map(name).unwrap_or_default())
}
