//! Parts of the archive in the making: one for each day that lines bear, compressed as they come.

use std::{collections::BTreeMap, io::Write as _, time::Duration};

use atelier_api::archive::{Kind, Part};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jiff::{Timestamp, civil::Date};
use tokio::time::Instant;

use super::Lines;

/// A part that is complete.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it is called.
    pub part: Part,
    /// Its lines, compressed.
    pub body: Bytes,
    /// How many.
    pub count: u64,
}

/// A part that grows.
#[derive(Debug)]
struct Growing {
    part: Part,
    since: Instant,
    encoder: GzEncoder<Vec<u8>>,
    count: u64,
}

// A Vec takes every byte.
impl Growing {
    fn take(&mut self, line: &[u8]) {
        let _ = self.encoder.write_all(line);
        self.count += 1;
    }

    fn finish(self) -> Finished {
        Finished {
            part: self.part,
            body: self.encoder.finish().unwrap_or_default().into(),
            count: self.count,
        }
    }
}

/// All that grow.
#[derive(Debug)]
pub struct Parts {
    /// After so many bytes one ends.
    full: usize,
    growing: BTreeMap<Date, Growing>,
    begun: u32,
}

/// What came of taking lines in.
#[derive(Debug, Default)]
pub struct Added {
    /// Parts that are long enough by them.
    pub full: Vec<Finished>,
    /// How many have no time, which none has that is a gateway's.
    pub unreadable: u64,
}

impl Parts {
    /// None yet, of this kind.
    pub fn new(kind: Kind) -> Self {
        Self {
            full: kind.full(),
            growing: BTreeMap::new(),
            begun: 0,
        }
    }

    /// Takes lines in.
    pub fn add(&mut self, lines: impl Lines, now: Timestamp, at: Instant) -> Added {
        let mut added = Added::default();
        lines.each(|line| match day(line) {
            Some(day) => {
                let full = self.full;
                let part = self.part(day, now, at);
                part.take(line);
                if part.encoder.get_ref().len() >= full {
                    added
                        .full
                        .extend(self.growing.remove(&day).map(Growing::finish));
                }
            }
            None => added.unreadable += 1,
        });
        added
    }

    fn part(&mut self, day: Date, now: Timestamp, at: Instant) -> &mut Growing {
        self.growing.entry(day).or_insert_with(|| {
            self.begun = self.begun.wrapping_add(1);
            Growing {
                part: Part {
                    day,
                    begun: now,
                    number: self.begun,
                },
                since: at,
                encoder: GzEncoder::new(Vec::new(), Compression::default()),
                count: 0,
            }
        })
    }

    /// How many lines are in them.
    pub fn lines(&self) -> u64 {
        self.growing.values().map(|part| part.count).sum()
    }

    /// When the oldest is over, if a part may grow for so long.
    pub fn due(&self, after: Duration) -> Option<Instant> {
        let since = self.growing.values().map(|part| part.since).min();
        since.map(|since| since + after)
    }

    /// Those that have grown for so long.
    pub fn over(&mut self, at: Instant, after: Duration) -> Vec<Finished> {
        self.take_if(|part| part.since + after <= at)
    }

    /// All of them.
    pub fn all(&mut self) -> Vec<Finished> {
        self.take_if(|_| true)
    }

    fn take_if(&mut self, mut is_it: impl FnMut(&Growing) -> bool) -> Vec<Finished> {
        let taken = self.growing.extract_if(.., |_, part| is_it(part));
        taken.map(|(_, part)| part.finish()).collect()
    }
}

/// The day that a line bears. Its time is its first member, in UTC.
fn day(line: &[u8]) -> Option<Date> {
    let day = line.strip_prefix(br#"{"time":""#)?.get(..10)?;
    std::str::from_utf8(day).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use atelier_api::archive::PART_LONGEST;
    use flate2::read::GzDecoder;

    use super::*;
    use crate::telemetry::queue::{Batch, Queue};

    fn batch(lines: &[&str]) -> Batch {
        let queue = Queue::default();
        for line in lines {
            assert!(queue.push(format!("{line}\n").as_bytes(), None));
        }
        queue.take(true).expect("lines")
    }

    fn text(part: &Finished) -> String {
        let mut text = String::new();
        let read = GzDecoder::new(&part.body[..]).read_to_string(&mut text);
        assert_eq!(read.expect("gzip"), text.len());
        text
    }

    #[test]
    fn records_come_to_lie_with_those_of_their_day_and_parts_end_in_time() {
        let (begin, now) = (
            Instant::now(),
            "2026-11-29T00:00:03Z".parse().expect("a time"),
        );
        let mut parts = Parts::new(Kind::Records);
        let (yesterday, today) = (
            r#"{"time":"2026-11-28T23:59:59.999999Z","name":"/score"}"#,
            r#"{"time":"2026-11-29T00:00:00.000001Z","name":"/score"}"#,
        );
        let added = parts.add(batch(&[yesterday, today, "{}", yesterday]), now, begin);
        assert_eq!((added.unreadable, parts.lines()), (1, 3));
        let minute = Duration::from_secs(60);
        assert_eq!(parts.due(minute), Some(begin + minute));
        assert!(added.full.is_empty());
        assert!(parts.over(begin + minute / 2, minute).is_empty());
        let over = parts.over(begin + minute, minute);
        let told: Vec<_> = over
            .iter()
            .map(|one| (one.part.to_string(), one.count, text(one)))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "2026-11-28/20261129T000003.000Z-1".to_owned(),
                    2,
                    format!("{yesterday}\n{yesterday}\n")
                ),
                (
                    "2026-11-29/20261129T000003.000Z-2".to_owned(),
                    1,
                    format!("{today}\n")
                ),
            ]
        );
        assert_eq!((parts.lines(), parts.due(minute)), (0, None));
        // No two of a process are called the same.
        parts.add(batch(&[today]), now, begin);
        assert_eq!(parts.all()[0].part.number, 3);
    }

    /// As little to compress as text can have.
    fn noise(length: usize, random: &mut u64) -> String {
        let mut noise = String::with_capacity(length);
        while noise.len() < length {
            *random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Visible, and none that JSON escapes.
            let letter = b'#' + (*random >> 33) as u8 % 57;
            noise.push(letter.into());
        }
        noise
    }

    #[test]
    fn a_part_is_full_before_it_is_too_long() {
        // Records have a few hundred bytes; data two bodies, each as long as a spec allows.
        for (kind, length) in [(Kind::Records, 2000), (Kind::Data, 2 * 262_144)] {
            let (mut parts, mut random) = (Parts::new(kind), 1);
            let (now, begin) = (Timestamp::UNIX_EPOCH, Instant::now());
            for _ in 0..5 {
                let full = loop {
                    let noise = noise(length, &mut random);
                    let line = format!(r#"{{"time":"1970-01-01T00:00:00Z","name":"{noise}"}}"#);
                    let added = parts.add(batch(&[&line]), now, begin);
                    if let Some(full) = added.full.into_iter().next() {
                        break full;
                    }
                };
                let length = full.body.len();
                assert!(length >= kind.full() && length <= PART_LONGEST, "{length}");
            }
        }
    }
}
