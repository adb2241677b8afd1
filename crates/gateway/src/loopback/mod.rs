//! Is the gateway the only way in? Looks for sockets of the pod that listen where others reach
//! them. The decision is pure; [`gate`] acts on it.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader},
    net::SocketAddr,
};

use procfs_core::{ExplicitSystemInfo, FromBufReadSI as _, net::TcpNetEntries};

pub mod gate;

/// The kernel's tables of the TCP sockets of our network namespace, which is the pod's. All threads of the gateway are in
/// it; in tests each has its own.
const TABLES: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];

/// The state column of a socket that listens.
const LISTEN: &str = "0A";

/// Sockets, not the gateway's, that listen beyond loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    listeners: Vec<SocketAddr>,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelNotOnLoopback: ")?;
        for (n, listener) in self.listeners.iter().enumerate() {
            if n > 0 {
                f.write_str(", ")?;
            }
            write!(f, "port {} listens on {}", listener.port(), listener.ip())?;
        }
        f.write_str(", bind it to 127.0.0.1")
    }
}

/// Finds the listeners that others can reach and that are not on one of the gateway's `own` ports.
///
/// # Errors
/// All of them.
pub fn judge(listeners: &[SocketAddr], own: &[u16]) -> Result<(), Exposure> {
    // An IPv4 address in IPv6 clothes is loopback if the IPv4 address is; `::` and `0.0.0.0`
    // are every address of the pod.
    let foreign = |listener: &&SocketAddr| {
        !listener.ip().to_canonical().is_loopback() && !own.contains(&listener.port())
    };
    let mut listeners: Vec<SocketAddr> = listeners.iter().filter(foreign).copied().collect();
    listeners.sort_unstable();
    listeners.dedup();
    if listeners.is_empty() {
        Ok(())
    } else {
        Err(Exposure { listeners })
    }
}

/// Reads which sockets of this network namespace listen.
///
/// # Errors
/// A table cannot be read or understood. Only the table of IPv6 may be missing: the kernel may
/// be without.
pub fn listeners() -> io::Result<Vec<SocketAddr>> {
    let [v4, v6] = TABLES.map(File::open);
    let mut all = parse(BufReader::new(v4?))?;
    match v6 {
        Ok(table) => all.extend(parse(BufReader::new(table))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

fn parse(table: impl io::BufRead) -> io::Result<Vec<SocketAddr>> {
    const SYSTEM: ExplicitSystemInfo = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4096,
        is_little_endian: cfg!(target_endian = "little"),
    };
    // Only what listens is parsed: there may be thousands of open connections besides. The
    // parser skips one line of headings, so the real one may stay or go.
    let mut listening = String::from("headings\n");
    for line in table.lines() {
        let line = line?;
        if line.split_ascii_whitespace().nth(3) == Some(LISTEN) {
            listening.push_str(&line);
            listening.push('\n');
        }
    }
    let entries =
        TcpNetEntries::from_buf_read(listening.as_bytes(), &SYSTEM).map_err(io::Error::other)?;
    Ok(entries
        .0
        .into_iter()
        .map(|entry| entry.local_address)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(local: &str, state: &str) -> String {
        format!(
            "   0: {local} {}:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0\n",
            "0".repeat(local.len() - 5)
        )
    }

    #[test]
    fn only_listeners_are_read_from_the_table() {
        let table = [
            HEADINGS.to_owned(),
            line("0100007F:1389", "0A"),
            line("0100007F:1389", "01"),
            line("00000000:1F90", "0A"),
            line("0A00000A:ABCD", "06"),
            line("00000000000000000000000001000000:0050", "0A"),
            line("0000000000000000FFFF00000100007F:0051", "0A"),
        ]
        .concat();
        let found: Vec<String> = parse(table.as_bytes())
            .expect("a table")
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "127.0.0.1:5001",
                "0.0.0.0:8080",
                "[::1]:80",
                "[::ffff:127.0.0.1]:81"
            ]
        );
    }

    #[test]
    fn a_table_that_is_not_understood_is_an_error() {
        assert!(parse(line("0100007F:13zz", "0A").as_bytes()).is_err());
    }

    #[test]
    fn whatever_listens_beyond_loopback_and_is_not_ours_is_exposed() {
        const OWN: [u16; 2] = [8080, 8081];
        for (listener, exposed) in [
            ("127.0.0.1:5001", false),
            ("127.8.9.1:5001", false),
            ("[::1]:5001", false),
            ("[::ffff:127.0.0.1]:5001", false),
            ("0.0.0.0:8080", false),
            ("[::]:8081", false),
            ("0.0.0.0:5001", true),
            ("[::]:5001", true),
            ("[::ffff:0.0.0.0]:5001", true),
            ("[::ffff:10.0.0.1]:5001", true),
            ("10.0.0.1:5001", true),
            ("[fe80::1]:5001", true),
        ] {
            let listeners = [
                "127.0.0.1:9".parse().expect("an address"),
                listener.parse().expect("an address"),
            ];
            assert_eq!(judge(&listeners, &OWN).is_err(), exposed, "{listener}");
        }
    }

    #[test]
    fn the_message_names_the_ports_and_the_remedy() {
        let listeners = [
            "0.0.0.0:5001".parse().expect("an address"),
            "[::]:22".parse().expect("an address"),
        ];
        assert_eq!(
            judge(&listeners, &[]).expect_err("exposed").to_string(),
            "ModelNotOnLoopback: port 5001 listens on 0.0.0.0, port 22 listens on ::, bind it to 127.0.0.1"
        );
    }
}
