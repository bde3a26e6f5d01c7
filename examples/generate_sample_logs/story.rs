//! The story: ten days, 2026-03-02 to 2026-03-11, of a library's TLS sessions. The everyday first, then what stands out.

use anyhow::Result;

use crate::{
    clock::{DAY, Time},
    session::{
        Note,
        Sensor::{self, Branch, Main, ReadingRoom, Uplink},
        Session,
        Shape::{self, Full, Incomplete, Mutual, NotFound, NotLogged, Quic, Resumed, Tls13, Unparsed},
    },
};

/// The first day; a Monday. The library is closed on the seventh, a Sunday.
pub(crate) const FIRST_DAY: &str = "2026-03-02";
/// How many days there are.
pub(crate) const DAYS: i64 = 10;
/// The library's name server.
pub(crate) const RESOLVER: &str = "10.20.10.2";

const STAFF: &[&str] =
    &["10.20.0.11", "10.20.0.12", "10.20.0.13", "10.20.0.14", "10.20.0.15", "10.20.0.16", "10.20.0.17", "10.20.0.18"];
const BRANCH: &[&str] = &["10.20.1.21", "10.20.1.22", "10.20.1.23", "10.20.1.24", "10.20.1.25", "10.20.1.26"];
const READERS: &[&str] = &["10.20.1.51", "10.20.1.52", "10.20.1.53", "10.20.1.54", "10.20.1.55"];

/// A sensor's everyday traffic: so many sessions a day, from these clients to these servers in turn.
struct Routine {
    sensor: Sensor,
    a_day: usize,
    clients: &'static [&'static str],
    servers: &'static [(&'static str, Shape)],
}

const ROUTINES: &[Routine] = &[
    Routine {
        sensor: Main,
        a_day: 10,
        clients: STAFF,
        servers: &[
            ("intranet", Full),
            ("riverton-www", Full),
            ("northwind-api", Full),
            ("inkwell", Full),
            ("morningpost", Full),
            ("ils", Full),
            ("oakdale", Full),
            ("citybus", Full),
            ("glyphhouse", Full),
            ("cloudshelf", Tls13),
            ("catalogue", Full),
            ("bogtryk", Full),
            ("northwind-orders", Full),
            ("weatherglass", Full),
            ("scholarpass", Full),
            ("ubnt", Full),
            ("quillos", Full),
            ("lecturehall", Full),
            ("museumtrail", Full),
            ("pigeonpost", Tls13),
            ("paperboat", Full),
            ("gardenalmanac", Full),
            ("tidewater", Full),
        ],
    },
    Routine {
        sensor: Branch,
        a_day: 5,
        clients: BRANCH,
        servers: &[
            ("catalogue", Full),
            ("nas", Full),
            ("northwind-tracking", Full),
            ("pigeonpost", Tls13),
            ("intranet", Full),
            ("printer", Full),
            ("northwind-orders", Full),
            ("cloudshelf", Tls13),
        ],
    },
    Routine {
        sensor: Uplink,
        a_day: 2,
        clients: STAFF,
        servers: &[("northwind-api", Full), ("cloudshelf", Tls13), ("northwind-orders", Full), ("wayfinder", Quic)],
    },
    Routine {
        sensor: ReadingRoom,
        a_day: 2,
        clients: READERS,
        servers: &[
            ("lanternlight", Full),
            ("chessclub", Full),
            ("citybus", Full),
            ("bogtryk", Full),
            ("inkwell", Full),
        ],
    },
];

/// All sessions, in order of time.
pub(crate) fn sessions() -> Result<Vec<Session>> {
    let mut all = Vec::new();
    for routine in ROUTINES {
        everyday(routine, &mut all)?;
    }
    first_days(&mut all)?;
    tools(&mut all)?;
    self_signed(&mut all)?;
    rare_issuer(&mut all)?;
    young_names(&mut all)?;
    absent(&mut all)?;
    recalled(&mut all)?;
    curious(&mut all)?;
    all.sort_by_key(|one| (one.at, one.sensor));
    Ok(all)
}

fn everyday(routine: &Routine, all: &mut Vec<Session>) -> Result<()> {
    let monday = Time::parse(FIRST_DAY)?;
    let mut turn = 0;
    for day in 0..DAYS {
        let closed = day == 6;
        let sessions = if closed { 1 } else { routine.a_day };
        for session in 0..sessions {
            // Between 08:20 and 18:00, a little later every day, as people are.
            let minute = 500 + session * 580 / sessions + usize::try_from(day)? * 3 + turn % 11;
            let when = monday.plus_seconds(day * DAY + i64::try_from(minute)? * 60 + i64::try_from(turn * 7 % 60)?);
            let (server, shape) = routine.servers[turn % routine.servers.len()];
            let client = routine.clients[(turn * 5 + turn / routine.servers.len()) % routine.clients.len()];
            let when = when.validity().replace('T', " ");
            all.push(Session::new(routine.sensor, &when, client, server, shape)?);
            turn += 1;
        }
    }
    Ok(())
}

/// What makes the first days count: several clients at the partner's servers, and every inside server seen early.
fn first_days(all: &mut Vec<Session>) -> Result<()> {
    let add = |all: &mut Vec<Session>, when, client, server| -> Result<()> {
        all.push(Session::new(Main, when, client, server, Full)?);
        Ok(())
    };
    add(all, "2026-03-02 08:41:10", "10.20.0.11", "northwind-orders")?;
    add(all, "2026-03-02 09:05:32", "10.20.0.13", "northwind-api")?;
    add(all, "2026-03-02 11:17:05", "10.20.0.16", "northwind-orders")?;
    add(all, "2026-03-02 15:48:29", "10.20.0.12", "ubnt")?;
    add(all, "2026-03-03 10:02:48", "10.20.0.18", "northwind-api")?;
    add(all, "2026-03-03 11:30:19", "10.20.0.15", "morningpost")?;
    Ok(())
}

fn tools(all: &mut Vec<Session>) -> Result<()> {
    const CHAPTER: &str = "A tool's own certificate";
    for (sensor, shows) in [
        (Main, "Cobalt Strike's default: serial `08BB00EE` and its subject, as strings"),
        (Uplink, "the same flow with DER: serial `08:BB:00:EE`; an alert with the same `flow_id` repeats the verdict"),
    ] {
        push(
            all,
            Session::new(sensor, "2026-03-09 02:14:07", "10.20.0.14", "cobalt", Full)?,
            CHAPTER,
            shows,
            "critical",
        )?;
    }
    for when in ["2026-03-09 02:44:09", "2026-03-10 02:14:12", "2026-03-11 02:14:03"] {
        all.push(Session::new(Main, when, "10.20.0.14", "cobalt", Full)?);
    }
    for (sensor, shows) in [
        (Main, "*twin:* serial `08BB00EF` of the library's own CA, on its own server"),
        (Uplink, "*twin* with DER: serial `08:BB:00:EF`"),
    ] {
        push(all, Session::new(sensor, "2026-03-09 10:20:41", "10.20.0.15", "ils", Full)?, CHAPTER, shows, "info")?;
    }

    const RAT: &str = "A remote-access tool, and what resumption hides";
    let first = Session::new(Branch, "2026-03-08 19:32:16", "10.20.1.24", "asyncrat", Full)?;
    push(all, first, RAT, "AsyncRAT's default `CN=AsyncRAT Server`, valid to 9999, on port 6606", "critical")?;
    let shows = "resumed: no certificate on the wire, but this server showed one before";
    for (when, shows) in [
        ("2026-03-08 20:32:18", Some(shows)),
        ("2026-03-08 23:32:21", None),
        ("2026-03-09 07:32:30", None),
        ("2026-03-10 07:32:44", None),
        ("2026-03-11 07:32:51", Some("the same three days later")),
    ] {
        let session = Session::new(Branch, when, "10.20.1.24", "asyncrat", Resumed)?;
        match shows {
            Some(shows) => push(all, session, RAT, shows, "critical, `recalled`")?,
            None => all.push(session),
        }
    }
    let session = Session::new(Branch, "2026-03-10 13:05:02", "10.20.1.26", "asyncrat", Incomplete)?;
    push(all, session, RAT, "a hello that the server never answered inherits nothing", "unknown, `incomplete`")?;
    let twin = Session::new(Main, "2026-03-09 14:11:54", "10.20.0.12", "ubnt", Full)?;
    push(all, twin, RAT, "*twin:* the factory certificate `CN=UBNT` of the access point at 192.168.1.20", "info")
}

fn self_signed(all: &mut Vec<Session>) -> Result<()> {
    const CHAPTER: &str = "Signed by itself";
    let session = Session::new(Branch, "2026-03-09 16:27:38", "10.20.1.23", "relay", Full)?;
    push(all, session, CHAPTER, "self-signed (DER says so), two days old, outside, on port 8443", "low")?;
    all.push(Session::new(Branch, "2026-03-10 16:27:40", "10.20.1.23", "relay", Full)?);
    let twin = Session::new(Branch, "2026-03-09 09:12:20", "10.20.1.25", "nas", Full)?;
    push(all, twin, CHAPTER, "*twin:* the network storage at 10.20.10.40 signs for itself, too", "info")?;
    let twin = Session::new(Branch, "2026-03-10 10:33:09", "10.20.1.22", "printer", Full)?;
    push(all, twin, CHAPTER, "*twin:* so does the printer", "info")
}

fn rare_issuer(all: &mut Vec<Session>) -> Result<()> {
    const CHAPTER: &str = "An issuer that nobody else meets";
    let session = Session::new(Branch, "2026-03-09 11:02:55", "10.20.1.22", "kestrel-files", Full)?;
    let shows = "`CN=Kestrel Issuing CA 1`: private, never seen before, one client, one name";
    push(all, session, CHAPTER, shows, "info: rare alone is not grave")?;
    all.push(Session::new(Branch, "2026-03-10 11:03:12", "10.20.1.22", "kestrel-files", Full)?);
    all.push(Session::new(Branch, "2026-03-11 11:02:47", "10.20.1.22", "kestrel-files", Full)?);
    let twin = Session::new(Branch, "2026-03-09 11:44:31", "10.20.1.21", "northwind-tracking", Full)?;
    let shows = "*twin:* `CN=Northwind Partner CA`: private as well, but known since day 1 to many";
    push(all, twin, CHAPTER, shows, "info")
}

fn young_names(all: &mut Vec<Session>) -> Result<()> {
    const YOUNG: &str = "A name registered last week";
    let session = Session::new(Main, "2026-03-09 15:36:24", "10.20.0.17", "harbour", Full)?;
    let shows = "`harbour-payments.example`, registered three days ago, certificate a day old";
    push(all, session, YOUNG, shows, "low")?;
    let twin = Session::new(Main, "2026-03-09 12:09:13", "10.20.0.16", "oldmill", Full)?;
    push(all, twin, YOUNG, "*twin:* as new to us, but registered in 2009, certificate 60 days old", "info")?;
    let twin = Session::new(Main, "2026-03-10 08:52:37", "10.20.0.11", "morningpost", Full)?;
    push(all, twin, YOUNG, "*twin:* certificate a day old, renewed in time for a name known for ten days", "info")?;
    all.push(Session::new(Main, "2026-03-11 09:14:22", "10.20.0.15", "morningpost", Full)?);
    all.push(Session::new(Main, "2026-03-03 13:07:40", "10.20.0.12", "tideclock", Full)?);
    let twin = Session::new(Main, "2026-03-10 13:31:58", "10.20.0.12", "tideclock", Full)?;
    push(all, twin, YOUNG, "*twin:* a certificate for six days, renewed every day, for a name known for long", "info")?;

    const ALIKE: &str = "Somebody else's name";
    let session = Session::new(Main, "2026-03-10 14:22:46", "10.20.0.13", "login-portal", Full)?;
    let shows = "`riverton-library.example.login-portal.example`: ours on the left, theirs on the right";
    push(all, session, ALIKE, shows, "high")?;
    let session = Session::new(ReadingRoom, "2026-03-10 16:48:51", "10.20.1.53", "rivert0n", Full)?;
    push(
        all,
        session,
        ALIKE,
        "`rivert0n-library.example`, a zero for an o, registered three days ago, its free certificate as old",
        "high",
    )?;
    let session = Session::new(Uplink, "2026-03-11 09:20:15", "10.20.0.13", "rivert0n", Quic)?;
    push(all, session, ALIKE, "the same over QUIC: no certificate, the name is enough", "high, `quic`")?;
    let session = Session::new(Main, "2026-03-10 17:22:09", "10.20.0.18", "lantern1ight", Full)?;
    let shows = "`lantern1ight.example`, a one for an l: nobody watches the search engine, but everybody knows it";
    push(all, session, ALIKE, shows, "medium")?;
    let twin = Session::new(Main, "2026-03-10 09:41:03", "10.20.0.13", "riverton-www", Full)?;
    push(all, twin, ALIKE, "*twin:* `www.riverton-library.example` itself", "info")
}

fn absent(all: &mut Vec<Session>) -> Result<()> {
    const CHAPTER: &str = "No certificate, for seven reasons";
    let mut add = |when, client, server, shape, shows, expect| -> Result<()> {
        let sensor = if shape == Quic { Uplink } else { Main };
        push(all, Session::new(sensor, when, client, server, shape)?, CHAPTER, shows, expect)
    };
    add("2026-03-05 10:15:27", "10.20.0.14", "wayfinder", Tls13, "TLS 1.3 encrypts it", "unknown, `tls13`")?;
    add("2026-03-05 11:24:50", "10.20.0.16", "nightbus", Resumed, "resumed, first met this way", "unknown, `resumed`")?;
    add("2026-03-05 12:03:08", "fd20:0:0:1::15", "wayfinder-6", Quic, "QUIC, over IPv6", "unknown, `quic`")?;
    add(
        "2026-03-05 13:37:42",
        "10.20.0.12",
        "citybus",
        Incomplete,
        "a hello without an answer",
        "unknown, `incomplete`",
    )?;
    let shows = "the leaf did not parse: the chain holds only the intermediate";
    add("2026-03-05 14:20:11", "10.20.0.18", "periwinkle", Unparsed("inkwell"), shows, "unknown, `unparsed`")?;
    add(
        "2026-03-05 15:08:36",
        "10.20.0.17",
        "bindery",
        NotLogged,
        "complete, but no chain logged",
        "unknown, `not_logged`",
    )?;
    let shows = "the chain refers to a row that x509.log lacks";
    add("2026-03-05 16:16:59", "10.20.0.11", "saltmarsh", NotFound, shows, "unknown, `not_found`")
}

fn recalled(all: &mut Vec<Session>) -> Result<()> {
    const CHAPTER: &str = "No certificate, but one remembered";
    let session = Session::new(Main, "2026-03-06 09:31:18", "10.20.0.12", "inkwell", Full)?;
    push(all, session, CHAPTER, "shows its certificate", "info")?;
    let session = Session::new(Main, "2026-03-06 09:58:02", "10.20.0.12", "inkwell", Resumed)?;
    push(all, session, CHAPTER, "resumes, half an hour later", "info, `recalled`")?;
    let session = Session::new(Main, "2026-03-06 15:12:46", "10.20.0.17", "inkwell", Tls13)?;
    push(all, session, CHAPTER, "TLS 1.3, same server and name, the same day", "info, `recalled`")?;
    all.push(Session::new(ReadingRoom, "2026-03-06 17:21:33", "10.20.1.52", "lanternlight", Full)?);
    let session = Session::new(ReadingRoom, "2026-03-06 17:40:08", "10.20.1.52", "lanternlight", Resumed)?;
    push(all, session, CHAPTER, "Suricata says `session_resumed`", "info, `recalled`")
}

fn curious(all: &mut Vec<Session>) -> Result<()> {
    const CHAPTER: &str = "Worth knowing";
    let session = Session::new(Main, "2026-03-04 10:47:23", "10.20.0.16", "northwind-api", Mutual("northwind-client"))?;
    push(all, session, CHAPTER, "both sides show a certificate", "info, `client_certificate`")?;
    let session =
        Session::new(Uplink, "2026-03-05 10:47:20", "10.20.0.16", "northwind-api", Mutual("northwind-client"))?;
    push(all, session, CHAPTER, "the same habit, seen by Suricata", "info, `client_certificate`")?;
    let session = Session::new(Main, "2026-03-06 10:28:45", "10.20.0.14", "oakdale", Full)?;
    push(all, session, CHAPTER, r"a comma in a name: `O=Oakdale\\, Inc.` in TSV", "info")?;
    let session = Session::new(Main, "2026-03-06 11:09:57", "10.20.0.18", "bogtryk", Full)?;
    push(all, session, CHAPTER, r"a letter beyond ASCII: `L=K\\C3\\B8benhavn` in TSV", "info")?;
    let session = Session::new(ReadingRoom, "2026-03-06 14:02:31", "10.20.1.54", "bogtryk", Full)?;
    push(all, session, CHAPTER, "the same certificate in EVE: `L=København`", "info")?;
    let session = Session::new(Main, "2026-03-03 08:31:04", "10.20.0.17", "riverton-www", Full)?;
    push(
        all,
        session,
        CHAPTER,
        "its x509 row is in the day before's archive: Zeek logs a certificate once a day",
        "info",
    )
}

fn push(
    all: &mut Vec<Session>,
    session: Session,
    chapter: &'static str,
    shows: &'static str,
    expect: &'static str,
) -> Result<()> {
    all.push(Session { note: Some(Note { chapter, shows, expect }), ..session });
    Ok(())
}

/// Addresses of hosts inside, which is what known_certs.log is about.
pub(crate) fn is_inside(address: &str) -> bool {
    address.starts_with("10.") || address.starts_with("192.168.")
}
