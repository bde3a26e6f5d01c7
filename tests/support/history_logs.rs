//! Zeek logs of a small world, for what history makes of them.

use std::path::Path;

/// One session, with the number of its certificate; the certificate has an issuer of its own number.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    /// Seconds since the epoch.
    pub(crate) time: u64,
    pub(crate) client: u32,
    pub(crate) server: u32,
    pub(crate) name: u32,
    pub(crate) certificate: u32,
}

/// The issuer of a certificate: several have the same.
pub(crate) fn issuer_of(certificate: u32) -> u32 {
    certificate % 23
}

pub(crate) fn client(number: u32) -> String {
    format!("10.{}.{}.1", number / 250, number % 250)
}

pub(crate) fn server(number: u32) -> String {
    format!("198.{}.{}.7", 18 + number / 250 % 200, number % 250)
}

pub(crate) fn name(number: u32) -> String {
    format!("name{number}.example")
}

pub(crate) fn fingerprint(certificate: u32) -> String {
    format!("{certificate:064x}")
}

/// What `ssl.log` says of a session.
pub(crate) fn ssl(number: usize, it: &Session) -> String {
    let (client, server, name) = (client(it.client), server(it.server), name(it.name));
    format!(
        r#"{{"ts":{}.0,"uid":"C{number}","id.orig_h":"{client}","id.orig_p":5000,"id.resp_h":"{server}","id.resp_p":443,"version":"TLSv12","server_name":"www.{name}","resumed":false,"established":true,"cert_chain_fps":["{}"],"sni_matches_cert":true}}"#,
        it.time,
        fingerprint(it.certificate)
    )
}

/// What `x509.log` says of a certificate.
pub(crate) fn x509(time: u64, certificate: u32) -> String {
    let issuer = issuer_of(certificate);
    format!(
        r#"{{"ts":{time}.0,"fingerprint":"{}","certificate.serial":"01","certificate.subject":"CN=c{certificate}.example","certificate.issuer":"CN=CA {issuer},O=Organisation {issuer}","certificate.not_valid_before":1700000000.0,"certificate.not_valid_after":1900000000.0,"host_cert":true,"client_cert":false}}"#,
        fingerprint(certificate)
    )
}

/// Writes the logs of sessions: certificates in one file, sessions in others by their turn.
pub(crate) fn write(folder: &Path, sessions: &[Session], files: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let Some(first) = sessions.first() else { return };
    let mut certificates: Vec<_> = sessions.iter().map(|session| session.certificate).collect();
    certificates.sort_unstable();
    certificates.dedup();
    let lines: Vec<_> = certificates.into_iter().map(|certificate| x509(first.time - 1, certificate)).collect();
    std::fs::write(folder.join("x509.log"), lines.join("\n") + "\n").unwrap();
    for file in 0..files {
        let mine = sessions.iter().enumerate().skip(file).step_by(files);
        let lines: Vec<_> = mine.map(|(number, session)| ssl(number, session)).collect();
        if !lines.is_empty() {
            std::fs::write(folder.join(format!("ssl-{file}.log")), lines.join("\n") + "\n").unwrap();
        }
    }
}
