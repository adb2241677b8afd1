//! What is kept as it comes: compressed parts, one after the other.

use std::io::Write as _;

use flate2::write::MultiGzDecoder;

use crate::failure::Failure;

/// So much is decompressed at a time: it may become a thousand times as much.
const STEP: usize = 4 * 1024;

/// Decompresses what comes.
pub struct Unpacked {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// No part is no broken part.
    any: bool,
}

impl Unpacked {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            decoder: MultiGzDecoder::new(Vec::new()),
            any: false,
        }
    }

    /// What a piece holds, step by step.
    pub fn add(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for step in piece.chunks(STEP) {
            self.any = true;
            self.decoder.write_all(step).map_err(broken)?;
            each(&std::mem::take(self.decoder.get_mut()))?;
        }
        Ok(())
    }

    /// The rest, once all has come.
    pub fn end(self) -> Result<Vec<u8>, Failure> {
        match self.any {
            true => self.decoder.finish().map_err(broken),
            false => Ok(vec![]),
        }
    }
}

fn broken(error: std::io::Error) -> Failure {
    Failure::Answer(format!("a part of the archive is not gzip: {error}"))
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn part(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn parts_in_a_row_are_one_text_wherever_the_pieces_end() {
        let all = [part("one\n"), part(""), part("two\nthree\n")].concat();
        for size in [1, 7, all.len()] {
            let (mut unpacked, mut text) = (Unpacked::new(), Vec::new());
            for piece in all.chunks(size) {
                let each = |got: &[u8]| {
                    text.extend_from_slice(got);
                    Ok(())
                };
                unpacked.add(piece, each).unwrap();
            }
            text.extend(unpacked.end().unwrap());
            assert_eq!(text, b"one\ntwo\nthree\n");
        }
        let mut cut = Unpacked::new();
        cut.add(&all[..all.len() - 3], |_| Ok(())).unwrap();
        assert!(cut.end().is_err());
        assert!(
            Unpacked::new()
                .add(b"no gzip, but long enough", |_| Ok(()))
                .is_err()
        );
    }

    #[test]
    fn an_archive_without_parts_is_empty() {
        assert!(Unpacked::new().end().unwrap().is_empty());
    }
}
