//! What gateways keep in the workspace's storage: what they send to the operator, what its parts are called, and where
//! they lie. There are two kinds of it: records of requests, and what was asked and answered.
//!
//! A part is a run of lines of one day (UTC), each of JSON, compressed by gzip. The gateway gives it the part of its name
//! that makes it one of its own, so that sending it again replaces it; the operator adds whose it is.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The record of every request: no payload, no credential.
    Records,
    /// Inputs and predictions of successful calls, where somebody asked for them.
    Data,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Records, Self::Data];

    /// What the path of a part begins with where gateways send it. The [`Part`] follows.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Records => "/v1/records/",
            Self::Data => "/v1/data/",
        }
    }

    /// The folder of all of it in a workspace's storage.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Records => "requests",
            Self::Data => "modeldata",
        }
    }

    /// Bytes after which a gateway ends a part, so that it stays below [`PART_LONGEST`]: what the compressor holds back
    /// and one more line may still be added, which of data are two bodies.
    #[must_use]
    pub fn full(self) -> usize {
        match self {
            Self::Records => 512 * 1024,
            Self::Data => 256 * 1024,
        }
    }

    /// What a path stands for where gateways send parts.
    #[must_use]
    pub fn part(path: &str) -> Option<(Self, Part)> {
        Self::ALL.into_iter().find_map(|kind| {
            let part = path.strip_prefix(kind.path())?;
            Some((kind, part.parse().ok()?))
        })
    }
}

/// The longest part, in bytes.
pub const PART_LONGEST: usize = 1024 * 1024;

/// What a part's name ends with.
const SUFFIX: &str = ".jsonl.gz";

/// How a moment stands in a name: so that names sort by it.
const MOMENT: &str = "%Y%m%dT%H%M%S%.3fZ";

/// What tells a part from all others of its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The day of all its lines, by the time that each bears.
    pub day: Date,
    /// When it was begun: when the first of its lines was taken out of the queue.
    pub begun: Timestamp,
    /// Counts the parts of one process.
    pub number: u32,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.begun.strftime(MOMENT);
        write!(f, "{}/{begun}-{}", self.day, self.number)
    }
}

/// What is no name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPart;

impl FromStr for Part {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Self, NoPart> {
        let (day, rest) = text.split_once('/').ok_or(NoPart)?;
        let (begun, number) = rest.split_once('-').ok_or(NoPart)?;
        let part = Self {
            day: day.parse().map_err(|_| NoPart)?,
            begun: moment(begun).ok_or(NoPart)?,
            number: number.parse().map_err(|_| NoPart)?,
        };
        // There is one way to write it.
        match part.to_string() == text {
            true => Ok(part),
            false => Err(NoPart),
        }
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let moment = jiff::civil::DateTime::strptime(MOMENT, text).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

impl Part {
    /// Where it lies in the workspace's storage. `service` and `pod` are names of Kubernetes.
    #[must_use]
    pub fn path(&self, kind: Kind, service: &str, pod: &str) -> String {
        let begun = self.begun.strftime(MOMENT);
        let folder = folder(kind, service, self.day);
        format!("{folder}/{begun}.{pod}.{}{SUFFIX}", self.number)
    }
}

/// The folder of a service's parts of one day.
#[must_use]
pub fn folder(kind: Kind, service: &str, day: Date) -> String {
    format!("{}/{service}/{day}", kind.folder())
}

/// The folder of all of a service's parts.
#[must_use]
pub fn folder_of(kind: Kind, service: &str) -> String {
    format!("{}/{service}", kind.folder())
}

/// When a part was begun and of which day it is, by its path; `None` for what is none.
#[must_use]
pub fn of_path(path: &str) -> Option<(Date, Timestamp)> {
    let (folder, name) = path.rsplit_once('/')?;
    let (_, day) = folder.rsplit_once('/')?;
    let (begun, _) = name.strip_suffix(SUFFIX)?.split_once("Z.")?;
    Some((day.parse().ok()?, moment(&format!("{begun}Z"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        Part {
            day: "2026-11-28".parse().expect("a day"),
            begun: "2026-11-28T05:21:39.120Z".parse().expect("a time"),
            number: 7,
        }
    }

    #[test]
    fn a_part_is_written_in_one_way_and_lies_where_its_name_says() {
        let text = part().to_string();
        assert_eq!(text, "2026-11-28/20261128T052139.120Z-7");
        assert_eq!(text.parse(), Ok(part()));
        for other in [
            "",
            "2026-11-28",
            "2026-11-28/20261128T052139.120Z-07",
            "2026-11-28/20261128T052139.120Z-7/x",
            "2026-11-28/20261128T052139.1201Z-7",
            "2026-11-28/20261128T052139.120Z--7",
            "2026-11-28/../20261128T052139.120Z-7",
            "2026-13-28/20261128T052139.120Z-7",
        ] {
            assert_eq!(other.parse::<Part>(), Err(NoPart), "{other}");
        }
        for (kind, folder) in [(Kind::Records, "requests"), (Kind::Data, "modeldata")] {
            let path = part().path(kind, "digits", "digits-5d9c-x2x");
            let name = "digits/2026-11-28/20261128T052139.120Z.digits-5d9c-x2x.7.jsonl.gz";
            assert_eq!(path, format!("{folder}/{name}"));
            assert_eq!(of_path(&path), Some((part().day, part().begun)));
            let sent = format!("{}{text}", kind.path());
            assert_eq!(Kind::part(&sent), Some((kind, part())));
        }
        for other in ["/v1/records/", "/v1/load", "/v1/other/x", text.as_str()] {
            assert_eq!(Kind::part(other), None, "{other}");
        }
        for other in ["", "a/b", "requests/digits/2026-11-28/notes.txt"] {
            assert_eq!(of_path(other), None, "{other}");
        }
    }
}
