//! Suricata: the lines of eve.json as version 8 writes them.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    certificates::Certificate,
    clock::Time,
    digest,
    json::Object,
    names,
    session::{Sensor, Session, Shape},
    story,
};

/// A line with the time by which it is sorted.
pub(crate) type Line = (Time, String);

/// The event of a session.
pub(crate) fn session_line(session: &Session, all: &BTreeMap<&'static str, Certificate>) -> Result<Line> {
    let at = logged_at(session);
    let kind = if session.shape == Shape::Quic { "quic" } else { "tls" };
    let mut line = envelope(session, at, kind)?;
    let body = match session.shape {
        Shape::Quic => {
            let mut quic = Object::default();
            quic.text("version", "1")?;
            if let Some(name) = session.server.name {
                quic.text("sni", name)?;
            }
            quic
        }
        _ => tls(session, all, session.sensor == Sensor::Uplink)?,
    };
    line.raw(kind, &body.finish())?;
    Ok((at, finish(&mut line, session)?))
}

/// An alert of a local rule on the flow of a session, with the `tls` object that Suricata adds to it.
pub(crate) fn alert_line(session: &Session, all: &BTreeMap<&'static str, Certificate>) -> Result<Line> {
    // Source and destination are those of the packet that alerted, here the server's; `flow` keeps who is who.
    let at = logged_at(session);
    let ends = (session.server.address, session.client);
    let ports = (session.server.port, session.client_port);
    let mut line = head(session, at, "alert", session.flow_id(), ends, ports, "TCP")?;
    let mut alert = Object::default();
    alert
        .text("action", "allowed")?
        .raw("gid", "1")?
        .raw("signature_id", "9000017")?
        .raw("rev", "2")?
        .text("signature", "RIVERTON odd certificate at night")?
        .text("category", "Potentially Bad Traffic")?
        .raw("severity", "2")?;
    let mut flow = Object::default();
    flow.raw("pkts_toserver", "5")?
        .raw("pkts_toclient", "4")?
        .raw("bytes_toserver", "774")?
        .raw("bytes_toclient", "1903")?
        .text("start", &session.at.plus_micros(-31_220).eve())?
        .text("src_ip", &eve_address(session.client)?)?
        .text("dest_ip", &eve_address(session.server.address)?)?
        .raw("src_port", &session.client_port.to_string())?
        .raw("dest_port", &session.server.port.to_string())?;
    line.raw("alert", &alert.finish())?
        .text("ts_progress", "client_handshake_done")?
        .text("tc_progress", "server_handshake_done")?
        .raw("tls", &tls(session, all, false)?.finish())?
        .text("app_proto", "tls")?
        .text("direction", "to_client")?
        .raw("flow", &flow.finish())?;
    Ok((at, finish(&mut line, session)?))
}

/// What is no TLS event and only passes through: a question, its answer, a page, and the end of a flow.
pub(crate) fn other_lines(session: &Session) -> Result<Vec<Line>> {
    let name = session.server.name.context("a session with a name")?;
    let resolver = story::RESOLVER;
    let mut lines = Vec::new();
    for (offset, kind, flags) in [(-210_418, "request", "100"), (-198_007, "response", "8180")] {
        let at = session.at.plus_micros(offset);
        let ends = if kind == "request" { (session.client, resolver) } else { (resolver, session.client) };
        let ports = if kind == "request" { (session.client_port, 53) } else { (53, session.client_port) };
        let mut line = head(session, at, "dns", session.flow_id() ^ 0x2_5b5b_71c3_0e5b, ends, ports, "UDP")?;
        let mut query = Object::default();
        query.text("rrname", name)?.text("rrtype", "A")?;
        let mut dns = Object::default();
        dns.raw("version", "3")?.text("type", kind)?.raw("tx_id", if kind == "request" { "0" } else { "1" })?;
        dns.raw("id", &(session.client_port / 2).to_string())?.text("flags", flags)?;
        if kind == "response" {
            dns.raw("qr", "true")?;
        }
        dns.raw("rd", "true")?;
        if kind == "response" {
            dns.raw("ra", "true")?;
        }
        dns.raw("opcode", "0")?.text("rcode", "NOERROR")?.raw("queries", &format!("[{}]", query.finish()))?;
        if kind == "response" {
            let mut answer = Object::default();
            answer
                .text("rrname", name)?
                .text("rrtype", "A")?
                .raw("ttl", "300")?
                .text("rdata", session.server.address)?;
            let mut grouped = Object::default();
            grouped.texts("A", &[session.server.address])?;
            dns.raw("answers", &format!("[{}]", answer.finish()))?.raw("grouped", &grouped.finish())?;
        }
        line.raw("dns", &dns.finish())?;
        lines.push((at, finish(&mut line, session)?));
    }

    let at = session.at.plus_micros(-102_650);
    let ports = (session.client_port - 1, 80);
    let ends = (session.client, session.server.address);
    let mut line = head(session, at, "http", session.flow_id() ^ 0x1_7171_3a96_48d1, ends, ports, "TCP")?;
    let mut http = Object::default();
    http.text("hostname", name)?
        .text("url", "/")?
        .text("http_user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")?
        .text("http_content_type", "text/html")?
        .text("http_method", "GET")?
        .text("protocol", "HTTP/1.1")?
        .raw("status", "301")?
        .text("redirect", &format!("https://{name}/"))?
        .raw("length", "178")?;
    line.raw("tx_id", "0")?.raw("http", &http.finish())?;
    lines.push((at, finish(&mut line, session)?));

    let at = session.at.plus_seconds(64);
    let ports = (session.client_port, session.server.port);
    let mut line = head(session, at, "flow", session.flow_id(), ends, ports, "TCP")?;
    let mut flow = Object::default();
    flow.raw("pkts_toserver", "22")?
        .raw("pkts_toclient", "31")?
        .raw("bytes_toserver", "4108")?
        .raw("bytes_toclient", "28533")?
        .text("start", &session.at.plus_micros(-31_220).eve())?
        .text("end", &session.at.plus_seconds(3).eve())?
        .raw("age", "3")?
        .text("state", "closed")?
        .text("reason", "timeout")?
        .raw("alerted", "false")?
        .raw("tx_cnt", "1")?;
    line.text("app_proto", "tls")?.raw("flow", &flow.finish())?;
    lines.push((at, finish(&mut line, session)?));
    Ok(lines)
}

fn logged_at(session: &Session) -> Time {
    session.at.plus_micros(52_003 + i64::from(session.client_port % 983) * 19)
}

fn envelope(session: &Session, at: Time, kind: &str) -> Result<Object> {
    let proto = if session.shape == Shape::Quic { "UDP" } else { "TCP" };
    let ends = (session.client, session.server.address);
    head(session, at, kind, session.flow_id(), ends, (session.client_port, session.server.port), proto)
}

fn head(
    session: &Session,
    at: Time,
    kind: &str,
    flow_id: u64,
    (source, dest): (&str, &str),
    (source_port, dest_port): (u16, u16),
    proto: &str,
) -> Result<Object> {
    let uplink = session.sensor == Sensor::Uplink;
    let mut line = Object::default();
    line.text("timestamp", &at.eve())?
        .raw("flow_id", &flow_id.to_string())?
        .text("in_iface", if uplink { "ens5" } else { "ens3" })?
        .text("event_type", kind)?
        .text("src_ip", &eve_address(source)?)?
        .raw("src_port", &source_port.to_string())?
        .text("dest_ip", &eve_address(dest)?)?
        .raw("dest_port", &dest_port.to_string())?
        .text("proto", proto)?
        .raw("ip_v", if source.contains(':') { "6" } else { "4" })?
        .text("pkt_src", "wire/pcap")?
        .text("community_id", &community_id((source, source_port), (dest, dest_port), proto)?)?;
    Ok(line)
}

fn finish(line: &mut Object, session: &Session) -> Result<String> {
    let host = if session.sensor == Sensor::Uplink { "uplink-1" } else { "reading-room-1" };
    Ok(line.text("host", host)?.finish())
}

fn tls(session: &Session, all: &BTreeMap<&'static str, Certificate>, with_der: bool) -> Result<Object> {
    let mut out = Object::default();
    let leaf = session.presented(all)?;
    if let Some(leaf) = leaf {
        out.text("subject", &names::suricata(leaf.subject))?.text("issuerdn", &names::suricata(leaf.issuer))?;
        let names = leaf.dns.iter().map(|name| (*name).to_owned()).chain(leaf.ip.iter().map(debug_bytes));
        let names = names.collect::<Vec<_>>();
        if !names.is_empty() {
            out.texts("subjectaltname", &names)?;
        }
        out.text("serial", &serial(leaf))?.text("fingerprint", &leaf.sha1)?;
    }
    if session.shape == Shape::Resumed {
        out.raw("session_resumed", "true")?;
    }
    if let Some(name) = session.server.name {
        out.text("sni", name)?;
    }
    out.text("version", if session.shape == Shape::Tls13 { "TLS 1.3" } else { "TLS 1.2" })?;
    if let Some(leaf) = leaf {
        out.text("notbefore", &leaf.not_before.validity())?.text("notafter", &leaf.not_after.validity())?;
        if with_der {
            put_der(&mut out, leaf)?;
        }
    }
    if session.server.web {
        out.texts("client_alpns", &["h2", "http/1.1"])?;
        if leaf.is_some() {
            out.texts("server_alpns", &["h2"])?;
        }
    }
    if let Some(shown) = session.presented_by_client(all)? {
        let mut client = Object::default();
        client
            .text("subject", &names::suricata(shown.subject))?
            .text("issuerdn", &names::suricata(shown.issuer))?
            .text("fingerprint", &shown.sha1)?
            .text("serial", &serial(shown))?
            .text("notbefore", &shown.not_before.validity())?
            .text("notafter", &shown.not_after.validity())?;
        if with_der {
            put_der(&mut client, shown)?;
        }
        out.raw("client", &client.finish())?;
    }
    Ok(out)
}

fn put_der(out: &mut Object, certificate: &Certificate) -> Result<()> {
    if let Some(der) = &certificate.der {
        let above = certificate.above.iter().filter_map(|above| above.der.as_ref());
        let chain = std::iter::once(der).chain(above).map(|der| STANDARD.encode(der)).collect::<Vec<_>>();
        out.text("certificate", &STANDARD.encode(der))?.texts("chain", &chain)?;
    }
    Ok(())
}

/// The INTEGER's octets with colons; DER puts a zero before a first bit that would mean minus.
fn serial(certificate: &Certificate) -> String {
    let sign = certificate.serial.first().filter(|first| **first >= 0x80).map(|_| &0);
    sign.into_iter().chain(&certificate.serial).map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

/// An address in a SAN: Suricata prints the bytes as Rust's `Debug` does.
fn debug_bytes(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:?}", address.octets()),
        IpAddr::V6(address) => format!("{:?}", address.octets()),
    }
}

/// Suricata writes IPv6 in full, with every zero.
fn eve_address(text: &str) -> Result<String> {
    Ok(match text.parse::<IpAddr>()? {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            address.segments().iter().map(|part| format!("{part:04x}")).collect::<Vec<_>>().join(":")
        }
    })
}

/// Community ID, version 1, seed 0: the same for both directions of a flow.
fn community_id(source: (&str, u16), dest: (&str, u16), proto: &str) -> Result<String> {
    let octets = |(address, port): (&str, u16)| -> Result<(Vec<u8>, [u8; 2])> {
        let octets = match address.parse::<IpAddr>()? {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        Ok((octets, port.to_be_bytes()))
    };
    let (mut low, mut high) = (octets(source)?, octets(dest)?);
    if high < low {
        std::mem::swap(&mut low, &mut high);
    }
    let mut input = vec![0, 0];
    input.extend(low.0.iter().chain(&high.0));
    input.extend([if proto == "UDP" { 17 } else { 6 }, 0]);
    input.extend(low.1.iter().chain(&high.1));
    Ok(format!("1:{}", STANDARD.encode(digest::sha1(&input))))
}
