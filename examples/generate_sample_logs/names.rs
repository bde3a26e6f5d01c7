//! Distinguished names: one list of attributes in DER order, printed as Zeek prints them and as Suricata does.

use anyhow::{Result, bail};
use rcgen::{DistinguishedName, DnType, DnValue};

/// Attributes and values in the order in which the certificate holds them.
pub(crate) type Name = &'static [(&'static str, &'static str)];

/// RFC 2253, as OpenSSL prints it for Zeek: last attribute first, `,` without a space, escapes, non-ASCII as `\HH`.
pub(crate) fn zeek(name: Name) -> String {
    let printed = name.iter().rev().map(|(attribute, value)| format!("{attribute}={}", rfc2253(value)));
    printed.collect::<Vec<_>>().join(",")
}

/// As Suricata 6 and later prints it: DER order, `, `, and no escapes whatever.
pub(crate) fn suricata(name: Name) -> String {
    name.iter().map(|(attribute, value)| format!("{attribute}={value}")).collect::<Vec<_>>().join(", ")
}

/// For rcgen. Countries are PrintableString, the rest UTF8String, as most CAs encode them.
pub(crate) fn rcgen(name: Name) -> Result<DistinguishedName> {
    let mut out = DistinguishedName::new();
    for (attribute, value) in name {
        let (kind, text) = match *attribute {
            "C" => (DnType::CountryName, DnValue::PrintableString((*value).try_into()?)),
            "ST" => (DnType::StateOrProvinceName, (*value).into()),
            "L" => (DnType::LocalityName, (*value).into()),
            "O" => (DnType::OrganizationName, (*value).into()),
            "OU" => (DnType::OrganizationalUnitName, (*value).into()),
            "CN" => (DnType::CommonName, (*value).into()),
            other => bail!("no rcgen type for attribute {other}"),
        };
        out.push(kind, text);
    }
    Ok(out)
}

fn rfc2253(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}
