use bytes::BytesMut;

use super::*;
use crate::{Entropy, entropy::Seeded};

const CHUNK: usize = CHUNK_LEN as usize;
/// Around every border.
const LENGTHS: [usize; 10] = [
    0,
    1,
    15,
    16,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK,
    2 * CHUNK + 17,
    3 * CHUNK,
];

fn key(seed: u64, path: &str) -> ObjectKey {
    let mut data_key = Zeroizing::new([0; KEY_LEN]);
    Seeded::new(seed).fill(&mut *data_key).unwrap();
    ObjectKey::new(data_key, &Owner::new("team"), path)
}

fn content(len: usize) -> Vec<u8> {
    let mut content = vec![0; len];
    Seeded::new(len as u64).fill(&mut content).unwrap();
    content
}

/// An object: its header is not looked at here.
fn seal(key: &ObjectKey, content: &[u8], pieces: &Seeded) -> Vec<u8> {
    let mut out = BytesMut::from(&[0; HEADER_LEN][..]);
    let mut sealer = Sealer::new(key).unwrap();
    let mut rest = content;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((1 + pieces.below(2 * CHUNK)).min(rest.len()));
        sealer.push(piece, &mut out).unwrap();
        rest = later;
    }
    sealer.finish(&mut out).unwrap();
    out.to_vec()
}

fn open(key: &ObjectKey, object: &[u8], pieces: &Seeded) -> Result<Vec<u8>, FormatError> {
    let layout = Layout::of_object(object.len() as u64)?;
    open_span(key, object, layout, &layout.whole(), pieces)
}

fn open_span(
    key: &ObjectKey,
    object: &[u8],
    layout: Layout,
    span: &Span,
    pieces: &Seeded,
) -> Result<Vec<u8>, FormatError> {
    let mut out = BytesMut::new();
    let mut opener = Opener::new(key, layout, span)?;
    let mut rest = &object[span.bytes.start as usize..span.bytes.end as usize];
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((1 + pieces.below(2 * CHUNK)).min(rest.len()));
        opener.push(piece, &mut out)?;
        rest = later;
    }
    opener.finish()?;
    Ok(out.to_vec())
}

#[test]
fn what_was_sealed_opens_whatever_the_pieces_it_comes_in() {
    for len in LENGTHS {
        for seed in 0..4 {
            let pieces = Seeded::new(seed);
            let (key, content) = (key(7, "a/b"), content(len));
            let object = seal(&key, &content, &pieces);
            assert_eq!(
                object.len() as u64,
                Layout::of_content(len as u64).object_len()
            );
            assert_eq!(open(&key, &object, &pieces).unwrap(), content, "{len}");
        }
    }
}

#[test]
fn lengths_of_content_and_object_tell_each_other() {
    for len in (0..200).chain(LENGTHS.map(|len| len as u64)) {
        let layout = Layout::of_content(len);
        assert_eq!(layout.content_len(), len);
        assert_eq!(Layout::of_object(layout.object_len()), Ok(layout));
    }
}

#[test]
fn no_object_has_a_length_between() {
    let header = HEADER_LEN as u64;
    for len in 0..header + 16 {
        assert_eq!(Layout::of_object(len), Err(FormatError::TooShort(len)));
    }
    // After a whole chunk, less than a tag or an empty chunk.
    let whole = Layout::of_content(CHUNK_LEN).object_len();
    for more in 1..=16 {
        let len = whole + more;
        assert_eq!(Layout::of_object(len), Err(FormatError::Length(len)));
    }
    assert!(Layout::of_object(whole + 17).is_ok());
}

#[test]
fn any_part_is_what_the_whole_has_there() {
    let pieces = Seeded::new(3);
    for len in LENGTHS {
        let (key, content) = (key(7, "a/b"), content(len));
        let object = seal(&key, &content, &pieces);
        let layout = Layout::of_object(object.len() as u64).unwrap();
        for _ in 0..40 {
            let start = pieces.below(len + 1);
            let end = start + pieces.below(len - start + 1);
            let span = layout.span(start as u64..end as u64).unwrap();
            let part = open_span(&key, &object, layout, &span, &pieces).unwrap();
            assert_eq!(part, content[start..end], "{start}..{end} of {len}");
            let chunks = (end - start).div_ceil(CHUNK) as u64 + 1;
            assert!(span.bytes.end - span.bytes.start <= chunks * (CHUNK_LEN + 16));
        }
        assert_eq!(layout.span(0..len as u64 + 1), None);
    }
}

#[test]
fn a_part_that_reaches_the_end_proves_that_it_is_the_end() {
    let (key, pieces) = (key(7, "a/b"), Seeded::new(1));
    let object = seal(&key, &content(3 * CHUNK), &pieces);
    let cut = &object[..Layout::of_content(2 * CHUNK_LEN).object_len() as usize];
    let layout = Layout::of_object(cut.len() as u64).unwrap();
    let inside = layout.span(0..10).unwrap();
    assert!(open_span(&key, cut, layout, &inside, &pieces).is_ok());
    for reaching in [CHUNK_LEN..2 * CHUNK_LEN, 2 * CHUNK_LEN..2 * CHUNK_LEN] {
        let span = layout.span(reaching).unwrap();
        assert_eq!(
            open_span(&key, cut, layout, &span, &pieces),
            Err(FormatError::Chunk(1))
        );
    }
}

#[test]
fn cut_off_anywhere_it_does_not_open() {
    let (key, pieces) = (key(7, "a/b"), Seeded::new(1));
    let object = seal(&key, &content(2 * CHUNK + 100), &pieces);
    for len in (0..object.len()).step_by(977).chain([object.len() - 1]) {
        assert!(open(&key, &object[..len], &pieces).is_err(), "{len}");
    }
    // At the borders of chunks too, where every chunk is one that was sealed.
    for chunks in [1, 2] {
        let cut = &object[..HEADER_LEN + chunks * (CHUNK + 16)];
        assert_eq!(
            open(&key, cut, &pieces),
            Err(FormatError::Chunk(chunks as u64 - 1))
        );
    }
}

#[test]
fn a_stream_that_ends_before_its_length_is_not_all() {
    let (key, pieces) = (key(7, "a/b"), Seeded::new(1));
    let object = seal(&key, &content(2 * CHUNK), &pieces);
    let layout = Layout::of_object(object.len() as u64).unwrap();
    let mut opener = Opener::new(&key, layout, &layout.whole()).unwrap();
    let mut out = BytesMut::new();
    opener
        .push(&object[HEADER_LEN..HEADER_LEN + CHUNK + 16], &mut out)
        .unwrap();
    assert_eq!(out.len(), CHUNK);
    assert_eq!(opener.finish(), Err(FormatError::Truncated));
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let (key, pieces) = (key(7, "a/b"), Seeded::new(1));
    let object = seal(&key, &content(100), &pieces);
    let layout = Layout::of_object(object.len() as u64).unwrap();
    let mut opener = Opener::new(&key, layout, &layout.whole()).unwrap();
    let mut out = BytesMut::new();
    opener.push(&object[HEADER_LEN..], &mut out).unwrap();
    assert_eq!(opener.push(&[0], &mut out), Err(FormatError::Excess));
}

#[test]
fn chunks_cannot_change_places() {
    let (key, pieces) = (key(7, "a/b"), Seeded::new(1));
    let mut object = seal(&key, &content(3 * CHUNK), &pieces);
    let body = &mut object[HEADER_LEN..];
    let (first, rest) = body.split_at_mut(CHUNK + 16);
    first.swap_with_slice(&mut rest[..CHUNK + 16]);
    assert_eq!(open(&key, &object, &pieces), Err(FormatError::Chunk(0)));
}

#[test]
fn chunks_cannot_come_from_elsewhere() {
    let pieces = Seeded::new(1);
    let here = seal(&key(7, "a/b"), &content(2 * CHUNK), &pieces);
    for other in [key(8, "a/b"), key(7, "a/c")] {
        let other = seal(&other, &content(2 * CHUNK), &pieces);
        let mut mixed = here.clone();
        let last = HEADER_LEN + CHUNK + 16;
        mixed[last..].copy_from_slice(&other[last..]);
        assert_eq!(
            open(&key(7, "a/b"), &mixed, &pieces),
            Err(FormatError::Chunk(1))
        );
    }
}

#[test]
fn no_bit_can_be_changed() {
    let (key, pieces) = (key(7, "a/b"), Seeded::new(1));
    let object = seal(&key, &content(CHUNK + 50), &pieces);
    for _ in 0..300 {
        let mut changed = object.clone();
        let at = HEADER_LEN + pieces.below(object.len() - HEADER_LEN);
        changed[at] ^= 1 << pieces.below(8);
        assert!(matches!(
            open(&key, &changed, &pieces),
            Err(FormatError::Chunk(_))
        ));
    }
}

#[test]
fn damaged_headers_are_told_apart() {
    let header = Header {
        ring: RingId([1; 16]),
        generation: 7,
        nonce: [2; 12],
        wrapped: [3; KEY_LEN + TAG_LEN],
    };
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(header));
    assert_eq!(Header::decode(b""), Err(FormatError::TooShort(0)));
    assert_eq!(Header::decode(&bytes[..87]), Err(FormatError::TooShort(87)));
    assert_eq!(Header::decode(b"PK\x03\x04"), Err(FormatError::NotOurs));
    assert_eq!(Header::decode(b"{}"), Err(FormatError::NotOurs));
    let mut newer = bytes;
    newer[7] = 2;
    assert_eq!(Header::decode(&newer), Err(FormatError::Version(2)));
    assert_eq!(Header::decode(&newer[..9]), Err(FormatError::Version(2)));
}

#[test]
fn no_bytes_make_a_header_panic() {
    let random = Seeded::new(99);
    for _ in 0..20_000 {
        let mut bytes = vec![0; random.below(120)];
        random.fill(&mut bytes).unwrap();
        if random.below(2) == 0 {
            let magic = b"ATELOBJ\x01";
            let len = magic.len().min(bytes.len());
            bytes[..len].copy_from_slice(&magic[..len]);
        }
        if let Ok(header) = Header::decode(&bytes) {
            assert_eq!(header.encode()[..], bytes[..HEADER_LEN]);
        }
    }
}

/// Written down once: an object that exists must stay readable.
#[test]
fn the_format_is_what_it_was() {
    let object = seal(&key(7, "a/b"), b"kept for years", &Seeded::new(1));
    let hex: String = object[HEADER_LEN..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "034c5babe408fb84123e7cbbaf46232e943610bc5832f2cdaba6dbcfbffe"
    );
}
