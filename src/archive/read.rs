//! Out of the archive again: the parts of a span of time, one after the other, as they are. Compressed parts in a row are
//! a compressed file.

use std::collections::VecDeque;
use std::future::ready;
use std::io::{self, Write as _};
use std::time::Duration;

use atelier_api::WebService;
use atelier_api::archive::{Kind, PART_LONGEST, folder, of_path};
use atelier_storage::{Entry, Error as StorageError, Store};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{Stream, TryStreamExt as _};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use kube::ResourceExt as _;
use serde_json::json;

use super::{Archive, day};
use crate::workspace::storage::Trouble;

/// How far clocks of gateways and storages may be apart.
const CLOCKS: Duration = Duration::from_secs(600);

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub since: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

impl Span {
    /// Whether it touches a day.
    pub(super) fn has(self, date: Date) -> bool {
        (day(self.since)..=day(self.until)).contains(&date)
    }

    /// The days that it touches, the first one first.
    fn days(self) -> impl Iterator<Item = Date> + Send {
        let last = day(self.until);
        day(self.since)
            .series(1.day())
            .take_while(move |day| *day <= last)
    }

    /// Whether a part may hold lines of it: what was written before it began, holds none.
    pub(super) fn touches(self, entry: &Entry) -> bool {
        of_path(&entry.path).is_some()
            && entry
                .modified
                .saturating_add(CLOCKS)
                .unwrap_or(entry.modified)
                >= self.since
    }
}

impl Archive {
    /// The parts with a service's records of a span of time: gzip, of a line of JSON for each record. They may hold
    /// records from shortly before and after it. In place of a part that cannot be read stands a line that says why.
    pub async fn read(
        &self,
        service: &WebService,
        span: Span,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Trouble> {
        let namespace = service.namespace().unwrap_or_default();
        let (workspace, store) = self.open(&namespace).await?;
        let mut reading = Reading {
            store,
            kind: Kind::Records,
            service: service.name_any(),
            span,
            days: span.days().collect(),
            parts: vec![],
        };
        // Whether the storage answers at all is found out while it can be said properly.
        let listed = reading.list().await;
        listed.map_err(|error| self.stores.explain(&workspace, &error))?;
        Ok(futures::stream::try_unfold(reading, Reading::next))
    }
}

/// What is still to be read.
pub(super) struct Reading {
    pub store: Store,
    pub kind: Kind,
    pub service: String,
    pub span: Span,
    /// Days whose parts have not been looked for.
    pub days: VecDeque<Date>,
    /// Parts that were found, the next one last.
    pub parts: Vec<Entry>,
}

impl Reading {
    pub async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            if let Some(entry) = self.parts.pop() {
                let read = self.part(&entry).await;
                let bytes = read.or_else(|why| said(&entry.path, &why))?;
                return Ok(Some((bytes, self)));
            }
            let Some(day) = self.days.front().copied() else {
                return Ok(None);
            };
            if let Err(error) = self.list().await {
                // What comes after it would not fare better.
                self.days.clear();
                let bytes = said(&folder(self.kind, &self.service, day), &error.to_string())?;
                return Ok(Some((bytes, self)));
            }
        }
    }

    /// Finds the parts of the next day.
    async fn list(&mut self) -> Result<(), StorageError> {
        let Some(day) = self.days.pop_front() else {
            return Ok(());
        };
        self.parts = self.of_day(day).await?;
        Ok(())
    }

    /// The parts of a day, the first one last.
    pub async fn of_day(&self, day: Date) -> Result<Vec<Entry>, StorageError> {
        let folder = folder(self.kind, &self.service, day);
        let found = self.store.list(Some(&folder));
        let of_span = found.try_filter(|entry| ready(self.span.touches(entry)));
        let mut parts: Vec<_> = of_span.try_collect().await?;
        parts.sort_by(|one, other| other.path.cmp(&one.path));
        Ok(parts)
    }

    async fn part(&self, entry: &Entry) -> Result<Bytes, String> {
        // Whatever lies there: no more of it comes into memory than a part has.
        if entry.len.is_none_or(|len| len > PART_LONGEST as u64) {
            return Err("it is none that a gateway wrote".into());
        }
        let content = self.store.get(&entry.path).await;
        let bytes = content.map_err(|error| error.to_string())?.bytes().await;
        bytes.map_err(|error| error.to_string())
    }
}

/// A line in place of a part, compressed as parts are.
fn said(path: &str, why: &str) -> io::Result<Bytes> {
    let line = json!({"level": "ERROR", "message": format!("{path} cannot be read: {why}")});
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    writeln!(encoder, "{line}")?;
    Ok(encoder.finish()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    #[test]
    fn a_span_touches_its_days_and_the_parts_that_were_written_since() {
        let span = Span {
            since: at("2026-11-27T23:00:00Z"),
            until: at("2026-11-29T00:00:00Z"),
        };
        let days: Vec<_> = span.days().map(|day| day.to_string()).collect();
        assert_eq!(days, ["2026-11-27", "2026-11-28", "2026-11-29"]);
        let has = |day: &str| span.has(day.parse().expect("a day"));
        assert!(days.iter().all(|day| has(day)) && !has("2026-11-26") && !has("2026-11-30"));
        let path = "requests/s/2026-11-27/20261127T220000.000Z.p.1.jsonl.gz";
        for (path, modified, touched) in [
            (path, "2026-11-27T23:00:30Z", true),
            (path, "2026-11-27T22:50:00Z", true),
            (path, "2026-11-27T22:49:59Z", false),
            ("requests/s/2026-11-27/other", "2026-11-27T23:00:30Z", false),
        ] {
            let entry = Entry {
                path: path.into(),
                len: Some(1),
                modified: at(modified),
            };
            assert_eq!(span.touches(&entry), touched, "{path} {modified}");
        }
    }
}
