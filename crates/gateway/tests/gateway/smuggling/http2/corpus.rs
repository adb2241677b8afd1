//! The corpus of HTTP/2, read from the file beside it, which is written like this:
//!
//! ```text
//! == the name of a case
//! * post | get       the header of a request that may pass, without its end
//! - name             takes a field out of it again
//! : name=value       another field; a name may begin with a colon
//! @ bytes            a body, or a part of it, in a frame
//! / name=value       a trailer
//! # kind flags stream bytes      any other frame, in its place, numbers in hexadecimal
//! ! open             nothing ends the stream        ! split N  the header comes in pieces of N bytes
//! = 200(body) | 401 | refused | either(body)
//! ```
//!
//! Words and escapes are those of the corpus of HTTP/1.1.

use super::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, Fields, Frame, HEADERS, block};
use crate::smuggling::corpus::Words;

/// One case.
pub struct Case {
    /// Its number, which is also its `User-Agent`.
    pub id: String,
    pub name: String,
    pub frames: Vec<Frame>,
    pub expected: Expected,
}

/// What has to come of it.
#[derive(Debug)]
pub enum Expected {
    /// The model sees it, with this body, and it is answered.
    Passed(Vec<u8>),
    /// It is answered with this status, and the model does not see it.
    Status(u64),
    /// The model does not see it.
    Refused,
    /// The model sees it, with this body, or does not: which is a matter of time.
    Either(Vec<u8>),
}

/// All cases, for a client with this credential.
pub fn all(key: &str) -> Vec<Case> {
    let text = include_str!("../corpus/http2.txt");
    let cases = text.split("\n== ").skip(1).enumerate();
    cases
        .map(|(n, text)| case(format!("http2-{}", n + 1), text, key))
        .collect()
}

/// A request that may pass, for whoever comes behind a case.
pub fn harmless(id: &str, key: &str) -> Fields {
    let id = format!("behind-{id}");
    let words = Words { case: &id, key };
    request(&words, "GET")
}

fn request(words: &Words, method: &str) -> Fields {
    [
        (":method", method),
        (":scheme", "https"),
        (":authority", "iris.example"),
        (":path", "/score"),
        ("user-agent", "{case}"),
        ("x-api-key", "{key}"),
    ]
    .map(|(name, value)| (name.into(), words.expanded(value)))
    .into()
}

/// What a case is made of, in the making.
struct Script<'a> {
    words: Words<'a>,
    fields: Fields,
    trailers: Fields,
    bodies: Vec<Frame>,
    before: Vec<Frame>,
    open: bool,
    split: Option<usize>,
}

fn case(id: String, text: &str, key: &str) -> Case {
    let mut script = Script {
        words: Words { case: &id, key },
        fields: vec![],
        trailers: vec![],
        bodies: vec![],
        before: vec![],
        open: false,
        split: None,
    };
    let mut lines = text.lines();
    let name = lines.next().expect("a name").to_owned();
    let mut expected = None;
    for line in lines.filter(|line| !line.is_empty()) {
        let rest = line.get(2..).unwrap_or_default();
        match line.as_bytes()[0] {
            b'=' => expected = Some(expectation(&script.words, rest)),
            _ => script.line(line, rest),
        }
    }
    let frames = script.frames();
    Case {
        frames,
        name,
        expected: expected.expect("an expectation"),
        id,
    }
}

impl Script<'_> {
    fn line(&mut self, line: &str, rest: &str) {
        match (line.as_bytes()[0], rest) {
            (b'*', "post") => self.fields = request(&self.words, "POST"),
            (b'*', "get") => self.fields = request(&self.words, "GET"),
            (b'-', name) => self.fields.retain(|(found, _)| found != name.as_bytes()),
            (b':', _) => self.fields.push(self.field(rest)),
            (b'/', _) => self.trailers.push(self.field(rest)),
            (b'@', _) => self.bodies.push(Frame {
                kind: DATA,
                flags: 0,
                stream: 1,
                payload: self.words.expanded(rest),
            }),
            (b'#', _) => {
                let frame = self.frame(rest);
                match self.fields.is_empty() {
                    true => self.before.push(frame),
                    false => self.bodies.push(frame),
                }
            }
            (b'!', "open") => self.open = true,
            (b'!', _) => {
                let size = rest
                    .strip_prefix("split ")
                    .and_then(|size| size.parse().ok());
                self.split = Some(size.unwrap_or_else(|| panic!("{line}")));
            }
            _ => panic!("{line}"),
        }
    }

    fn field(&self, text: &str) -> (Vec<u8>, Vec<u8>) {
        let (name, value) = text.split_once('=').expect("a value");
        (self.words.expanded(name), self.words.expanded(value))
    }

    fn frame(&self, text: &str) -> Frame {
        let mut words = text.splitn(4, ' ');
        let mut number = || {
            let word = words.next().expect("a number");
            u32::from_str_radix(word, 16).expect("hexadecimal")
        };
        let (kind, flags, stream) = (number(), number(), number());
        Frame {
            kind: u8::try_from(kind).expect("a byte"),
            flags: u8::try_from(flags).expect("a byte"),
            stream,
            payload: self.words.expanded(words.next().unwrap_or_default()),
        }
    }

    fn frames(self) -> Vec<Frame> {
        let mut frames = self.before;
        let header = frames.len();
        if !self.fields.is_empty() {
            frames.push(Frame::headers(1, false, &self.fields));
        }
        frames.extend(self.bodies);
        if !self.trailers.is_empty() {
            frames.push(Frame::headers(1, false, &self.trailers));
        }
        // The last of what the request consists of says that it is the last.
        let of_it = |frame: &&mut Frame| frame.stream == 1 && matches!(frame.kind, DATA | HEADERS);
        if !self.open
            && let Some(last) = frames.iter_mut().rev().find(of_it)
        {
            last.flags |= END_STREAM;
        }
        if let Some(size) = self.split {
            let whole = frames.remove(header);
            let pieces = block(&self.fields);
            let pieces: Vec<_> = pieces.chunks(size).collect();
            for (n, piece) in pieces.iter().enumerate().rev() {
                let (first, last) = (n == 0, n == pieces.len() - 1);
                let frame = Frame {
                    kind: if first { HEADERS } else { CONTINUATION },
                    flags: if first { whole.flags & END_STREAM } else { 0 }
                        | if last { END_HEADERS } else { 0 },
                    stream: 1,
                    payload: piece.to_vec(),
                };
                frames.insert(header, frame);
            }
        }
        frames
    }
}

fn expectation(words: &Words, text: &str) -> Expected {
    if text == "refused" {
        return Expected::Refused;
    }
    let body = |rest: &str| words.expanded(rest.strip_suffix(')').expect("a body"));
    match text.split_once('(') {
        Some(("200", rest)) => Expected::Passed(body(rest)),
        Some((_, rest)) => Expected::Either(body(rest)),
        None => Expected::Status(text.parse().expect("a status")),
    }
}
