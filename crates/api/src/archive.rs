//! The archive of records: what a gateway sends to the operator, what its parts are called, and where they lie in the
//! workspace's storage.
//!
//! A part is a run of records of one day (UTC), one line of JSON each, compressed by gzip. The gateway gives it the part
//! of its name that makes it one of its own, so that sending it again replaces it; the operator adds whose it is.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What the path of a part begins with where gateways send it. The [`Part`] follows.
pub const RECORDS_PATH: &str = "/v1/records/";

/// The longest part, in bytes.
pub const PART_LONGEST: usize = 1024 * 1024;

/// Bytes after which a gateway ends a part. One more batch may still go in.
pub const PART_FULL: usize = 512 * 1024;

/// The folder of all archived records of a workspace.
const FOLDER: &str = "requests";

/// What a part's name ends with.
const SUFFIX: &str = ".jsonl.gz";

/// How a moment stands in a name: so that names sort by it.
const MOMENT: &str = "%Y%m%dT%H%M%S%.3fZ";

/// What tells a part from all others of its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The day of all its records, by the time that each bears.
    pub day: Date,
    /// When it was begun: when the first of its records was taken out of the queue.
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
    pub fn path(&self, service: &str, pod: &str) -> String {
        let begun = self.begun.strftime(MOMENT);
        let folder = folder(service, self.day);
        format!("{folder}/{begun}.{pod}.{}{SUFFIX}", self.number)
    }
}

/// The folder of a service's parts of one day.
#[must_use]
pub fn folder(service: &str, day: Date) -> String {
    format!("{FOLDER}/{service}/{day}")
}

/// The folder of all of a service's parts.
#[must_use]
pub fn folder_of(service: &str) -> String {
    format!("{FOLDER}/{service}")
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
        let path = part().path("digits", "digits-5d9c-x2x");
        assert_eq!(
            path,
            "requests/digits/2026-11-28/20261128T052139.120Z.digits-5d9c-x2x.7.jsonl.gz"
        );
        assert_eq!(of_path(&path), Some((part().day, part().begun)));
        for other in ["", "a/b", "requests/digits/2026-11-28/notes.txt"] {
            assert_eq!(of_path(other), None, "{other}");
        }
    }
}
