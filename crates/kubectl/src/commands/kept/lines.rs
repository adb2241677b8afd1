//! What comes, line by line.

/// Cuts what comes into lines, wherever the pieces end.
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    rest: Vec<u8>,
    /// The line is too long: what is left of it is passed over.
    skipping: bool,
}

impl Lines {
    /// None yet, and none that is longer than this: such lines are none of a gateway's.
    pub fn new(longest: usize) -> Self {
        Self {
            longest,
            rest: vec![],
            skipping: false,
        }
    }

    /// The lines that are whole now.
    pub fn take(&mut self, piece: &[u8]) -> Vec<String> {
        let mut whole = vec![];
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            if !self.skipping {
                self.rest.extend_from_slice(part);
            }
            self.skipping |= self.rest.len() > self.longest;
            if ends {
                let line = std::mem::take(&mut self.rest);
                if !std::mem::take(&mut self.skipping) {
                    whole.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            } else if self.skipping {
                self.rest.clear();
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 64 * 1024;

    #[test]
    fn lines_are_whole_wherever_pieces_end() {
        let mut lines = Lines::new(LONGEST);
        assert!(lines.take(b"on").is_empty());
        assert_eq!(lines.take(b"e\ntwo\nthr"), ["one", "two"]);
        assert_eq!(lines.take(b"ee\n"), ["three"]);
        // One without an end costs no more than it may.
        for _ in 0..1000 {
            assert!(lines.take(&[b'x'; 1000]).is_empty());
        }
        assert!(lines.rest.len() <= LONGEST + 1000);
        assert_eq!(lines.take(b"\nfour\n"), ["four"]);
    }
}
