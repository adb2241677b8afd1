//! Out of the archive page by page, for what has to be told within the minute that the API server leaves an action: the
//! parts that come next, and where to go on.

use std::collections::VecDeque;
use std::io;
use std::str::FromStr;

use atelier_api::WebService;
use atelier_api::archive::{Kind, folder_of, of_path};
use atelier_storage::{Entry, Error as StorageError};
use bytes::Bytes;
use futures::Stream;
use kube::ResourceExt as _;

use super::read::{Reading, Span};
use super::{Archive, day_of};
use crate::workspace::storage::Trouble;

/// Bytes of a page, beside the part with which it is full. Whoever takes 280 KB a second gets it in time.
const PAGE: u64 = 16 * 1024 * 1024;
/// Parts of a page: each is asked for, and a store may be far away.
const PARTS: usize = 256;

/// The longest cursor: a day, and the name of a part.
const LONGEST: usize = 512;

/// Where to go on: behind this part of the service, as its day and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // It is compared with, and leads nowhere.
        let is_one = text.len() <= LONGEST && of_path(&format!("/{text}")).is_some();
        match is_one {
            true => Ok(Self(text.to_owned())),
            false => Err("it is none that an answer gave"),
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Archive {
    /// The next parts of a kind with a service's lines of a span of time, as [`Archive::read`] gives them, and where to
    /// go on if there are more.
    pub async fn page(
        &self,
        kind: Kind,
        service: &WebService,
        span: Span,
        after: Option<Cursor>,
    ) -> Result<
        (
            impl Stream<Item = io::Result<Bytes>> + Send + use<>,
            Option<Cursor>,
        ),
        Trouble,
    > {
        let namespace = service.namespace().unwrap_or_default();
        let (workspace, store) = self.open(&namespace).await?;
        let mut reading = Reading {
            store,
            kind,
            service: service.name_any(),
            span,
            days: VecDeque::new(),
            parts: vec![],
        };
        let next = reading.turn_to(after).await;
        let next = next.map_err(|error| self.stores.explain(&workspace, &error))?;
        Ok((futures::stream::try_unfold(reading, Reading::next), next))
    }
}

impl Reading {
    /// Finds the parts of a page, and where the next one begins.
    async fn turn_to(&mut self, after: Option<Cursor>) -> Result<Option<Cursor>, StorageError> {
        let folder = folder_of(self.kind, &self.service);
        let after = after.map(|Cursor(after)| format!("{folder}/{after}"));
        // Only days that are there, so that a year of them is one question.
        let mut days: Vec<_> = self.store.folders(&folder).await?;
        days.retain(|day| day_of(day).is_some());
        days.sort();
        let mut page = Page::default();
        for path in days {
            let day = day_of(&path).filter(|day| self.span.has(*day));
            // Those of a day that is over by the cursor come before it.
            let over = after.as_ref().is_some_and(|after| {
                !after.starts_with(&format!("{path}/")) && path.as_str() < after.as_str()
            });
            let Some(day) = day.filter(|_| !over) else {
                continue;
            };
            let mut parts = self.of_day(day).await?;
            while let Some(part) = parts.pop() {
                let is_over = after.as_ref().is_some_and(|after| part.path <= *after);
                if !is_over && !page.take(part) {
                    return Ok(self.is_read(page, &folder));
                }
            }
        }
        self.is_read(page, &folder);
        Ok(None)
    }

    /// Reads this page, and says how far it goes.
    fn is_read(&mut self, page: Page, folder: &str) -> Option<Cursor> {
        self.parts = page.parts;
        let last = self.parts.last()?.path.strip_prefix(folder)?;
        let cursor = Cursor(last.strip_prefix('/')?.to_owned());
        // The next one is taken from the end.
        self.parts.reverse();
        Some(cursor)
    }
}

/// Parts that go together, in their order.
#[derive(Debug, Default)]
struct Page {
    parts: Vec<Entry>,
    bytes: u64,
}

impl Page {
    /// Takes a part in, if there is room for another one.
    fn take(&mut self, part: Entry) -> bool {
        let has_room = self.bytes < PAGE && self.parts.len() < PARTS;
        if has_room {
            // One whose length is not known is not read, and told of in a line.
            self.bytes += part.len.unwrap_or_default();
            self.parts.push(part);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_part_of_a_day_and_nothing_else() {
        let good = "2026-11-28/20261128T052139.120Z.digits-5d9c-x2x.7.jsonl.gz";
        let cursor: Cursor = good.parse().expect("a cursor");
        assert_eq!(cursor.to_string(), good);
        for bad in [
            "",
            "2026-11-28",
            "2026-11-28/x",
            "x/20261128T052139.120Z.p.7.jsonl.gz",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
        assert!(
            format!(
                "2026-11-28/20261128T052139.120Z.{}.7.jsonl.gz",
                "p".repeat(600)
            )
            .parse::<Cursor>()
            .is_err()
        );
    }

    #[test]
    fn a_page_ends_with_the_part_that_fills_it() {
        let part = |len| Entry {
            path: "p".into(),
            len: Some(len),
            modified: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut page = Page::default();
        assert!(page.take(part(PAGE - 1)) && page.take(part(PAGE)) && !page.take(part(1)));
        assert_eq!(page.parts.len(), 2);
        let mut small = Page::default();
        while small.take(part(1)) {}
        assert_eq!(small.parts.len(), PARTS);
    }
}
