//! TLS on a port where nobody expects it: said beside other findings only.
//!
//! Consoles of appliances and services of one's own stand on any port. So the port weighs little beside what is odd about
//! the name, its age or the issuer, and nothing alone or beside a self-signed certificate, which such consoles have.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "unusual_port";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "the console of an appliance, or a service that somebody runs on a port of his own choice";
/// It tips no scale by itself.
const WEIGHT: f64 = 0.08;

/// Ports where TLS is usual, with STARTTLS too: mail, news, directories, files, names, chat, databases, remote desktops,
/// push services, containers, message queues, management.
const USUAL: [u16; 31] = [
    21, 25, 110, 143, 389, 443, 465, 563, 587, 636, 853, 989, 990, 991, 992, 993, 994, 995, 3389, 5061, 5222, 5223,
    5228, 5269, 5432, 6443, 6514, 8443, 8883, 9443, 10443,
];

/// Ports that tools listen on by default.
const TOOLS: [(u16, &str); 8] = [
    (50050, "Cobalt Strike"),
    (7443, "Mythic"),
    (31337, "Sliver"),
    (4444, "Metasploit"),
    (6606, "AsyncRAT"),
    (7707, "AsyncRAT"),
    (8808, "AsyncRAT"),
    (4782, "Quasar"),
];

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(port) = subject.session.server_port else { return };
    let odd = [Group::Signature, Group::Name, Group::Age, Group::Rarity];
    if USUAL.contains(&port) || !odd.into_iter().any(|group| findings.has_group(group)) {
        return;
    }
    let tool = TOOLS.iter().find(|(of_tool, _)| *of_tool == port);
    let by_default = tool.map(|(_, tool)| format!("; {tool} listens there by default")).unwrap_or_default();
    findings.push(
        Finding {
            id: ID,
            group: Group::Context,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1571"],
            field: "server_port".into(),
            observed: port.to_string().into(),
            expected: "a port where TLS is usual".into(),
            evidence: "list of usual ports".into(),
            note: format!("port {port} is not one where TLS is usual{by_default}").into(),
        },
        Effect::Weighs,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_both_usual_and_a_tools() {
        assert!(USUAL.is_sorted());
        assert!(TOOLS.iter().all(|(port, _)| !USUAL.contains(port)));
    }
}
