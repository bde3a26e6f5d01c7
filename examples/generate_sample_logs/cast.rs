//! The cast: every certificate and every server of the ten days at Riverton Library.

use crate::certificates::{
    Key::{P256, Rsa2048},
    Printed, Recipe,
};
use crate::names::Name;

/// A server and the certificate it presents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    /// The word by which the story refers to it.
    pub(crate) word: &'static str,
    /// Its address.
    pub(crate) address: &'static str,
    /// Its port.
    pub(crate) port: u16,
    /// The name that clients ask for.
    pub(crate) name: Option<&'static str>,
    /// The word of its certificate; empty when nobody ever sees one.
    pub(crate) leaf: &'static str,
    /// From when on it presents another certificate, and which.
    pub(crate) renewed: Option<(&'static str, &'static str)>,
    /// Whether it speaks HTTP/2, as web sites do.
    pub(crate) web: bool,
}

const R11: Name = &[("C", "US"), ("O", "Let's Encrypt"), ("CN", "R11")];
const DIGICERT: Name = &[("C", "US"), ("O", "DigiCert Inc"), ("CN", "DigiCert TLS RSA SHA256 2020 CA1")];
const WR2: Name = &[("C", "US"), ("O", "Google Trust Services"), ("CN", "WR2")];

/// Certificates that are really made. Signers stand before what they sign.
pub(crate) const RECIPES: &[Recipe] = &[
    // Attack tools and what else should be noticed.
    Recipe {
        word: "cobalt",
        subject: &[
            ("C", "Earth"),
            ("ST", "Cyberspace"),
            ("L", "Somewhere"),
            ("O", "cobaltstrike"),
            ("OU", "AdvancedPenTesting"),
            ("CN", "Major Cobalt Strike"),
        ],
        serial: "08BB00EE",
        from: "2015-05-20 18:26:24",
        to: "2025-05-17 18:26:24",
        ..SELF_SIGNED
    },
    Recipe {
        word: "asyncrat",
        subject: &[("CN", "AsyncRAT Server")],
        from: "2026-02-11 19:04:37",
        to: "9999-12-31 23:59:59",
        ca: Some(true),
        sha512: true,
        ..SELF_SIGNED
    },
    Recipe {
        word: "relay",
        subject: &[("CN", "relay.tidepool-sync.example")],
        from: "2026-03-07 21:40:12",
        to: "2036-03-04 21:40:12",
        ..SELF_SIGNED
    },
    Recipe {
        word: "kestrel-root",
        subject: &[("O", "Kestrel Holdings"), ("CN", "Kestrel Root CA")],
        from: "2024-01-15 00:00:00",
        to: "2044-01-15 00:00:00",
        ca: Some(true),
        ..SELF_SIGNED
    },
    Recipe {
        word: "kestrel-ca",
        subject: &[("O", "Kestrel Holdings"), ("CN", "Kestrel Issuing CA 1")],
        signer: "kestrel-root",
        from: "2024-01-16 00:00:00",
        to: "2034-01-16 00:00:00",
        ca: Some(true),
        ..ISSUED
    },
    Recipe {
        word: "kestrel-files",
        subject: &[("O", "Kestrel Holdings"), ("CN", "files.kestrel-holdings.example")],
        signer: "kestrel-ca",
        from: "2026-01-19 09:00:00",
        to: "2027-01-19 09:00:00",
        dns: &["files.kestrel-holdings.example"],
        above: &["kestrel-ca"],
        ..ISSUED
    },
    // The library's own certificates.
    Recipe {
        word: "riverton-ca",
        subject: &[("C", "GB"), ("O", "Riverton Library"), ("CN", "Riverton Library Internal CA")],
        from: "2022-05-03 08:00:00",
        to: "2032-05-03 08:00:00",
        ca: Some(true),
        ..SELF_SIGNED
    },
    Recipe {
        word: "intranet",
        subject: &[("C", "GB"), ("O", "Riverton Library"), ("CN", "intranet.riverton-library.example")],
        signer: "riverton-ca",
        from: "2025-09-01 08:00:00",
        to: "2026-09-01 08:00:00",
        dns: &["intranet.riverton-library.example"],
        above: &["riverton-ca"],
        ..ISSUED
    },
    Recipe {
        word: "catalogue",
        subject: &[("C", "GB"), ("O", "Riverton Library"), ("CN", "catalogue.riverton-library.example")],
        signer: "riverton-ca",
        from: "2025-11-17 08:00:00",
        to: "2026-11-17 08:00:00",
        dns: &["catalogue.riverton-library.example", "opac.riverton-library.example"],
        above: &["riverton-ca"],
        ..ISSUED
    },
    Recipe {
        word: "ils",
        subject: &[("C", "GB"), ("O", "Riverton Library"), ("CN", "ils.riverton-library.example")],
        signer: "riverton-ca",
        serial: "08BB00EF",
        from: "2025-10-06 08:00:00",
        to: "2026-10-06 08:00:00",
        dns: &["ils.riverton-library.example"],
        above: &["riverton-ca"],
        ..ISSUED
    },
    Recipe {
        word: "nas",
        subject: &[("O", "Shelfmark Storage"), ("CN", "nas-01.riverton-library.example")],
        from: "2024-06-11 10:22:31",
        to: "2034-06-09 10:22:31",
        dns: &["nas-01.riverton-library.example"],
        ca: Some(true),
        ..SELF_SIGNED
    },
    Recipe {
        word: "printer",
        subject: &[("O", "Inkstone Printers"), ("OU", "MFP 4400"), ("CN", "printer-2")],
        from: "2023-02-08 00:00:00",
        to: "2033-02-05 00:00:00",
        dns: &["printer-2"],
        ip: &["10.20.10.50"],
        ..SELF_SIGNED
    },
    Recipe {
        word: "ubnt",
        subject: &[
            ("C", "US"),
            ("ST", "CA"),
            ("L", "San Jose"),
            ("O", "Ubiquiti Networks Inc."),
            ("OU", "Technical Support"),
            ("CN", "UBNT"),
        ],
        from: "2015-06-14 07:13:27",
        to: "2040-06-07 07:13:27",
        ca: Some(true),
        ..SELF_SIGNED
    },
    // A business partner that runs its own CA.
    Recipe {
        word: "northwind-ca",
        subject: &[("O", "Northwind Traders"), ("CN", "Northwind Partner CA")],
        from: "2021-03-01 12:00:00",
        to: "2041-03-01 12:00:00",
        ca: Some(true),
        ..SELF_SIGNED
    },
    Recipe {
        word: "northwind-api",
        subject: &[("O", "Northwind Traders"), ("CN", "api.northwind.example")],
        signer: "northwind-ca",
        from: "2025-12-01 12:00:00",
        to: "2026-12-01 12:00:00",
        dns: &["api.northwind.example"],
        ..ISSUED
    },
    Recipe {
        word: "northwind-orders",
        subject: &[("O", "Northwind Traders"), ("CN", "orders.northwind.example")],
        signer: "northwind-ca",
        from: "2025-12-01 12:05:00",
        to: "2026-12-01 12:05:00",
        dns: &["orders.northwind.example"],
        ..ISSUED
    },
    Recipe {
        word: "northwind-tracking",
        subject: &[("O", "Northwind Traders"), ("CN", "tracking.northwind-parcels.example")],
        signer: "northwind-ca",
        from: "2025-12-01 12:10:00",
        to: "2026-12-01 12:10:00",
        dns: &["tracking.northwind-parcels.example"],
        ..ISSUED
    },
    Recipe {
        word: "northwind-client",
        subject: &[("O", "Northwind Traders"), ("OU", "Customers"), ("CN", "riverton-library-acquisitions")],
        signer: "northwind-ca",
        from: "2025-12-02 09:30:00",
        to: "2026-12-02 09:30:00",
        ..ISSUED
    },
];

const SELF_SIGNED: Recipe = Recipe {
    word: "",
    subject: &[],
    signer: "",
    serial: "",
    from: "",
    to: "",
    dns: &[],
    ip: &[],
    ca: None,
    sha512: false,
    above: &[],
};

const ISSUED: Recipe = Recipe { ca: Some(false), ..SELF_SIGNED };

/// Certificates of public CAs, which are only printed.
pub(crate) const PRINTED: &[Printed] = &[
    // The library's own site, and sites that its staff and readers have used for years.
    Printed {
        dns: &["www.riverton-library.example", "riverton-library.example"],
        ..dv("riverton-www", &[("CN", "www.riverton-library.example")], "2026-01-28 04:12:09")
    },
    Printed {
        dns: &["www.inkwell-press.example"],
        ..dv("inkwell", &[("CN", "www.inkwell-press.example")], "2026-01-11 22:40:51")
    },
    Printed {
        dns: &["www.morningpost.example"],
        ..dv("morningpost", &[("CN", "www.morningpost.example")], "2025-12-19 03:05:18")
    },
    Printed {
        dns: &["www.morningpost.example"],
        ..dv("morningpost-new", &[("CN", "www.morningpost.example")], "2026-03-09 03:05:44")
    },
    Printed {
        dns: &["www.citybus.example", "citybus.example"],
        ..dv("citybus", &[("CN", "www.citybus.example")], "2026-02-02 11:19:33")
    },
    Printed {
        dns: &["www.gardenalmanac.example"],
        key: P256,
        ..dv("gardenalmanac", &[("CN", "www.gardenalmanac.example")], "2026-01-22 17:50:02")
    },
    Printed {
        dns: &["www.museumtrail.example"],
        ..dv("museumtrail", &[("CN", "www.museumtrail.example")], "2026-02-06 06:31:27")
    },
    Printed {
        dns: &["www.chessclub.example"],
        key: P256,
        ..dv("chessclub", &[("CN", "www.chessclub.example")], "2026-01-30 20:15:40")
    },
    Printed {
        dns: &["fonts.glyphhouse.example", "*.fonts.glyphhouse.example"],
        ..wr2("glyphhouse", &[("CN", "fonts.glyphhouse.example")], "2026-02-03 08:36:11")
    },
    Printed {
        dns: &["api.weatherglass.example"],
        ..wr2("weatherglass", &[("CN", "api.weatherglass.example")], "2026-01-26 09:02:57")
    },
    Printed {
        dns: &["*.lanternlight.example", "lanternlight.example"],
        ..wr2("lanternlight", &[("CN", "*.lanternlight.example")], "2026-02-09 08:37:20")
    },
    Printed {
        dns: &["video.lecturehall.example"],
        ..wr2("lecturehall", &[("CN", "video.lecturehall.example")], "2026-01-12 15:44:06")
    },
    Printed {
        dns: &["ejournals.tidewater-univ.example"],
        ..wr2("tidewater", &[("CN", "ejournals.tidewater-univ.example")], "2026-01-19 10:21:49")
    },
    Printed {
        dns: &["www.oakdale-journals.example", "oakdale-journals.example"],
        ..ov(
            "oakdale",
            &[
                ("C", "US"),
                ("ST", "Oregon"),
                ("L", "Portland"),
                ("O", "Oakdale, Inc."),
                ("CN", "www.oakdale-journals.example"),
            ],
            "2025-08-18 00:00:00",
        )
    },
    Printed {
        dns: &["www.bogtryk.example"],
        ..ov(
            "bogtryk",
            &[("C", "DK"), ("L", "København"), ("O", "Nørregade Bogtryk ApS"), ("CN", "www.bogtryk.example")],
            "2025-10-13 00:00:00",
        )
    },
    Printed {
        dns: &["updates.quillos.example", "dl.quillos.example"],
        ..ov(
            "quillos",
            &[
                ("C", "US"),
                ("ST", "Vermont"),
                ("L", "Burlington"),
                ("O", "Quill Systems LLC"),
                ("CN", "updates.quillos.example"),
            ],
            "2025-07-07 00:00:00",
        )
    },
    Printed {
        dns: &["cdn.paperboat.example"],
        ..ov(
            "paperboat",
            &[("C", "NL"), ("L", "Utrecht"), ("O", "Paperboat B.V."), ("CN", "cdn.paperboat.example")],
            "2025-11-03 00:00:00",
        )
    },
    Printed {
        dns: &["idp.scholarpass.example"],
        ..ov(
            "scholarpass",
            &[("C", "GB"), ("L", "Leeds"), ("O", "Scholarpass Federation"), ("CN", "idp.scholarpass.example")],
            "2025-09-22 00:00:00",
        )
    },
    // First visited late, and yet nothing new: sixty days old, and the name is from 2009.
    Printed {
        dns: &["www.oldmill-books.example", "oldmill-books.example"],
        ..dv("oldmill", &[("CN", "oldmill-books.example")], "2026-01-08 13:27:15")
    },
    // Days old, as their names are.
    Printed {
        dns: &["harbour-payments.example"],
        key: P256,
        ..dv("harbour", &[("CN", "harbour-payments.example")], "2026-03-08 16:09:30")
    },
    Printed {
        dns: &["riverton-library.example.login-portal.example"],
        key: P256,
        ..dv("login-portal", &[("CN", "riverton-library.example.login-portal.example")], "2026-03-06 02:18:44")
    },
    Printed {
        dns: &["rivert0n-library.example", "www.rivert0n-library.example"],
        ..dv("rivert0n", &[("CN", "rivert0n-library.example")], "2026-03-07 23:51:08")
    },
    Printed {
        dns: &["lantern1ight.example"],
        key: P256,
        ..dv("lantern1ight", &[("CN", "lantern1ight.example")], "2026-03-09 22:04:37")
    },
    // Renewed every day for six days.
    Printed {
        dns: &["www.tideclock.example"],
        days: 6,
        key: P256,
        ..dv("tideclock", &[("CN", "www.tideclock.example")], "2026-03-03 04:10:00")
    },
    Printed {
        dns: &["www.tideclock.example"],
        days: 6,
        key: P256,
        ..dv("tideclock-new", &[("CN", "www.tideclock.example")], "2026-03-10 04:10:00")
    },
    // Presented, but never written to x509.log: the session's reference leads nowhere.
    Printed {
        dns: &["www.saltmarsh.example"],
        ..dv("saltmarsh", &[("CN", "www.saltmarsh.example")], "2026-01-15 12:00:41")
    },
];

/// Domain-validated by Let's Encrypt for ninety days.
const fn dv(word: &'static str, subject: Name, from: &'static str) -> Printed {
    Printed { word, subject, issuer: R11, from, days: 90, key: Rsa2048, dns: &[] }
}

/// Domain-validated by Google Trust Services for 84 days.
const fn wr2(word: &'static str, subject: Name, from: &'static str) -> Printed {
    Printed { word, subject, issuer: WR2, from, days: 84, key: P256, dns: &[] }
}

/// Organisation-validated by DigiCert for a year.
const fn ov(word: &'static str, subject: Name, from: &'static str) -> Printed {
    Printed { word, subject, issuer: DIGICERT, from, days: 365, key: Rsa2048, dns: &[] }
}

/// Every server that is visited.
pub(crate) const HOSTS: &[Host] = &[
    // Inside.
    inside("intranet", "10.20.10.10", 443, Some("intranet.riverton-library.example")),
    inside("catalogue", "10.20.10.20", 443, Some("catalogue.riverton-library.example")),
    inside("ils", "10.20.10.30", 8443, Some("ils.riverton-library.example")),
    inside("nas", "10.20.10.40", 443, Some("nas-01.riverton-library.example")),
    inside("printer", "10.20.10.50", 443, None),
    inside("ubnt", "192.168.1.20", 443, None),
    // Outside, known for years.
    web("riverton-www", "192.0.2.80", "www.riverton-library.example"),
    web("inkwell", "198.51.100.11", "www.inkwell-press.example"),
    Host {
        renewed: Some(("2026-03-10 00:00:00", "morningpost-new")),
        ..web("morningpost", "198.51.100.23", "www.morningpost.example")
    },
    web("citybus", "192.0.2.31", "www.citybus.example"),
    web("gardenalmanac", "192.0.2.44", "www.gardenalmanac.example"),
    web("museumtrail", "198.51.100.52", "www.museumtrail.example"),
    web("chessclub", "198.51.100.67", "www.chessclub.example"),
    web("glyphhouse", "203.0.113.10", "fonts.glyphhouse.example"),
    web("weatherglass", "203.0.113.14", "api.weatherglass.example"),
    web("lanternlight", "203.0.113.22", "search.lanternlight.example"),
    web("lecturehall", "203.0.113.35", "video.lecturehall.example"),
    web("tidewater", "192.0.2.120", "ejournals.tidewater-univ.example"),
    web("oakdale", "198.51.100.140", "www.oakdale-journals.example"),
    web("bogtryk", "198.51.100.155", "www.bogtryk.example"),
    web("quillos", "192.0.2.161", "updates.quillos.example"),
    web("paperboat", "192.0.2.170", "cdn.paperboat.example"),
    web("scholarpass", "198.51.100.182", "idp.scholarpass.example"),
    partner("northwind-api", "198.51.100.201", "api.northwind.example"),
    partner("northwind-orders", "198.51.100.202", "orders.northwind.example"),
    partner("northwind-tracking", "198.51.100.210", "tracking.northwind-parcels.example"),
    web("oldmill", "192.0.2.188", "www.oldmill-books.example"),
    // Outside, never with a certificate that a sensor could see.
    unseen("cloudshelf", "203.0.113.71", Some("www.cloudshelf.example")),
    unseen("pigeonpost", "203.0.113.72", Some("chat.pigeonpost.example")),
    unseen("wayfinder", "203.0.113.73", Some("maps.wayfinder.example")),
    unseen("wayfinder-6", "2001:db8:2f::41", Some("maps.wayfinder.example")),
    unseen("nightbus", "192.0.2.199", Some("www.nightbus.example")),
    unseen("periwinkle", "198.51.100.93", Some("www.periwinkle.example")),
    unseen("bindery", "198.51.100.97", Some("scan.bookbindery.example")),
    web("saltmarsh", "192.0.2.211", "www.saltmarsh.example"),
    // Outside, and worth a look.
    Host { name: None, web: false, ..web("cobalt", "203.0.113.57", "") },
    Host { name: None, web: false, port: 6606, ..web("asyncrat", "198.51.100.77", "") },
    Host { web: false, port: 8443, ..web("relay", "203.0.113.166", "relay.tidepool-sync.example") },
    partner("kestrel-files", "203.0.113.140", "files.kestrel-holdings.example"),
    web("harbour", "203.0.113.205", "harbour-payments.example"),
    web("login-portal", "203.0.113.218", "riverton-library.example.login-portal.example"),
    web("rivert0n", "203.0.113.219", "rivert0n-library.example"),
    web("lantern1ight", "203.0.113.220", "lantern1ight.example"),
    Host {
        renewed: Some(("2026-03-10 00:00:00", "tideclock-new")),
        ..web("tideclock", "198.51.100.171", "www.tideclock.example")
    },
];

const fn web(word: &'static str, address: &'static str, name: &'static str) -> Host {
    Host { word, address, port: 443, name: Some(name), leaf: word, renewed: None, web: true }
}

const fn partner(word: &'static str, address: &'static str, name: &'static str) -> Host {
    Host { web: false, ..web(word, address, name) }
}

const fn inside(word: &'static str, address: &'static str, port: u16, name: Option<&'static str>) -> Host {
    Host { word, address, port, name, leaf: word, renewed: None, web: false }
}

const fn unseen(word: &'static str, address: &'static str, name: Option<&'static str>) -> Host {
    Host { word, address, port: 443, name, leaf: "", renewed: None, web: true }
}
