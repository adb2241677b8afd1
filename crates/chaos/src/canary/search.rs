//! Finds many texts in a long one.

use std::collections::HashMap;

use super::needles::Needle;

/// So much of a needle is looked for first.
const HEAD: usize = 8;
const FILTER: usize = 1 << 16;

/// Needles that are ready to be looked for.
pub struct Search<'a> {
    heads: HashMap<u64, Vec<&'a Needle>>,
    /// Whether a head may end like this: most places are dismissed by it alone.
    filter: Vec<bool>,
}

/// A needle that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where the needle is from.
    pub what: String,
    /// Line in the text, from 1.
    pub line: usize,
}

impl<'a> Search<'a> {
    /// Prepares.
    pub fn new(needles: &'a [Needle]) -> Self {
        let mut heads: HashMap<u64, Vec<&Needle>> = HashMap::new();
        let mut filter = vec![false; FILTER];
        for needle in needles {
            let Some(first) = needle.text.as_bytes().first_chunk::<HEAD>() else {
                continue;
            };
            let head = u64::from_be_bytes(*first);
            filter[head as usize % FILTER] = true;
            heads.entry(head).or_default().push(needle);
        }
        Self { heads, filter }
    }

    /// All that is found in a text, each once.
    pub fn find(&self, text: &str) -> Vec<Hit> {
        let bytes = text.as_bytes();
        let (mut window, mut line) = (0_u64, 1);
        let mut hits: Vec<Hit> = vec![];
        for (end, byte) in bytes.iter().enumerate() {
            window = window << 8 | u64::from(*byte);
            line += usize::from(*byte == b'\n');
            if end + 1 < HEAD || !self.filter[window as usize % FILTER] {
                continue;
            }
            for needle in self.heads.get(&window).into_iter().flatten() {
                let here = &bytes[end + 1 - HEAD..];
                let known = || hits.iter().any(|hit| hit.what == needle.from);
                if here.starts_with(needle.text.as_bytes()) && !known() {
                    hits.push(Hit {
                        what: needle.from.clone(),
                        line,
                    });
                }
            }
        }
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needle(text: &str) -> Needle {
        Needle {
            from: format!("the {text}"),
            text: text.into(),
        }
    }

    #[test]
    fn needles_are_found_wherever_they_stand() {
        let needles = [
            needle("abcdefgh1"),
            needle("abcdefgh2"),
            needle("zzzzzzzzz"),
        ];
        let search = Search::new(&needles);
        let hit = |text: &str, line| Hit {
            what: format!("the {text}"),
            line,
        };
        assert_eq!(search.find("abcdefgh1"), [hit("abcdefgh1", 1)]);
        assert_eq!(
            search.find("\nxxabcdefgh2\nabcdefgh2"),
            [hit("abcdefgh2", 2)]
        );
        assert_eq!(search.find("abcdefgh zzzzzzzz"), []);
    }
}
