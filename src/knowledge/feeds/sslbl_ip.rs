//! abuse.ch SSLBL addresses: `Firstseen,DstIP,DstPort`, servers that presented a listed certificate.

use super::address::Network;
use super::columns::split;
use super::format::{Head, LineFormat, Lines};
use super::rows::{Indicator, Row, Rows};
use super::{table, when};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "SSLBL addresses",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header =
            head.headers().find(|header| header.column(&["dstip"]).is_some() && table::indicators(header) == 1)?;
        let lines = Addresses {
            address: header.column(&["dstip"])?,
            port: header.column(&["dstport"])?,
            date: header.column(&["firstseen", "firstseenutc"]),
            label: header.column(&["listingreason", "malware", "reason"]),
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

struct Addresses {
    address: usize,
    port: usize,
    date: Option<usize>,
    label: Option<usize>,
    header: Option<u32>,
}

impl Lines for Addresses {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: Option<usize>| at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
        let Some(network) = Network::parse(column(Some(self.address))) else {
            return rows.bad(number, "there is no address in its column");
        };
        let Ok(port) = column(Some(self.port)).parse() else { return rows.bad(number, "the port is not one") };
        let label = match column(self.label) {
            "" => "SSLBL server",
            label => label,
        };
        let listed = when::parse(column(self.date));
        rows.add(number, Row { label, listed, ..Row::of(Indicator::Network(network, Some(port))) });
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
