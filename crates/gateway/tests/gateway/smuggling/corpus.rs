//! The corpus: what clients send, byte by byte, and what has to come of it. Read from the files beside, which are
//! written like this:
//!
//! ```text
//! == the name of a case
//! | a line, to which CR LF is added        > bytes, to which nothing is added
//! ! await        for an answer, before anything more is sent
//! ! half-close   nothing more is sent        ! leave   the connection is dropped
//! = 200(body) 401 kept
//! ```
//!
//! In lines and bodies `\r`, `\n`, `\t`, `\\` and `\xff` are what they are elsewhere, `{9*x}` is nine times `x`, and
//! `{…}` a word of [`Words`]. The last line has the statuses of all answers: with a body in parentheses where the
//! model is to see the request with this body, `*` where it may see any; and how the connection ends.

/// One case.
pub struct Case {
    /// Its file and number there, which is also its `User-Agent`.
    pub id: String,
    pub name: String,
    pub steps: Vec<Step>,
    pub answers: Vec<Expected>,
    pub end: End,
}

/// What a client does.
pub enum Step {
    Send(Vec<u8>),
    Await,
    HalfClose,
    Leave,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub status: u16,
    /// Whether the model sees the request, and the body that it then sees.
    pub forwarded: Option<Body>,
}

/// A body, as the model sees it.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    Exactly(Vec<u8>),
    Any,
}

/// What becomes of the connection behind the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It serves another request.
    Kept,
    /// It is closed, with nothing more said.
    Closed,
    /// One of the two: which is a matter of time.
    Either,
    /// The client has left, and the model has seen no whole request.
    Gone,
    /// The client has left, and the model may have seen its requests.
    Left,
}

/// All cases, for a client with this credential.
pub fn all(key: &str) -> Vec<Case> {
    [
        ("lengths", include_str!("corpus/lengths.txt")),
        ("chunks", include_str!("corpus/chunks.txt")),
        ("lines", include_str!("corpus/lines.txt")),
        ("targets", include_str!("corpus/targets.txt")),
        ("headers", include_str!("corpus/headers.txt")),
        ("clients", include_str!("corpus/clients.txt")),
    ]
    .into_iter()
    .flat_map(|(file, text)| {
        let cases = text.split("\n== ").skip(1).enumerate();
        cases.map(move |(n, text)| case(format!("{file}-{}", n + 1), text, key))
    })
    .collect()
}

fn case(id: String, text: &str, key: &str) -> Case {
    let words = Words { case: &id, key };
    let mut lines = text.lines();
    let name = lines.next().expect("a name").to_owned();
    let (mut steps, mut sent) = (Vec::new(), Vec::new());
    let mut expected = None;
    for line in lines.filter(|line| !line.is_empty()) {
        let rest = line.get(2..).unwrap_or_default();
        let step = match (line.as_bytes()[0], rest) {
            (b'|', _) => {
                sent.extend(words.expanded(rest));
                sent.extend(b"\r\n");
                continue;
            }
            (b'>', _) => {
                sent.extend(words.expanded(rest));
                continue;
            }
            (b'=', _) => {
                expected = Some(words.expectation(rest));
                continue;
            }
            (b'!', "await") => Step::Await,
            (b'!', "half-close") => Step::HalfClose,
            (b'!', "leave") => Step::Leave,
            _ => panic!("{name}: {line}"),
        };
        steps.push(Step::Send(std::mem::take(&mut sent)));
        steps.push(step);
    }
    steps.push(Step::Send(sent));
    let (answers, end) = expected.unwrap_or_else(|| panic!("{name}: nothing is expected"));
    Case {
        id,
        name,
        steps,
        answers,
        end,
    }
}

/// What stands in braces.
pub struct Words<'a> {
    pub case: &'a str,
    pub key: &'a str,
}

impl Words<'_> {
    fn word(&self, word: &str) -> Vec<u8> {
        let text = match word {
            "case" => self.case,
            "key" => self.key,
            "host" => "Host: iris.example",
            "ua" => "User-Agent: {case}",
            "auth" => "x-api-key: {key}",
            // A request that may pass, without its end; and the same with nothing but LF between its lines.
            "post" => "POST /score HTTP/1.1\\r\\n{host}\\r\\n{ua}\\r\\n{auth}",
            "post-lf" => "POST /score HTTP/1.1\\n{host}\\n{ua}\\n{auth}",
            "get" => "GET /score HTTP/1.1\\r\\n{host}\\r\\n{ua}\\r\\n{auth}",
            // What is smuggled: a request that nothing would authenticate.
            "hidden" => "GET /score HTTP/1.1\\r\\n{host}\\r\\n{ua}\\r\\nX-Hidden: 1\\r\\n\\r\\n",
            "len-hidden" => return self.word("hidden").len().to_string().into(),
            "hexlen-hidden" => return format!("{:x}", self.word("hidden").len()).into(),
            _ => {
                let (times, what) = word.split_once('*').unwrap_or_else(|| panic!("{word}"));
                let times = times.parse().unwrap_or_else(|_| panic!("{word}"));
                return self.expanded(what).repeat(times);
            }
        };
        if matches!(word, "case" | "key") {
            text.into()
        } else {
            self.expanded(text)
        }
    }

    /// The bytes of a text.
    pub fn expanded(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '{']) {
            bytes.extend(&rest.as_bytes()[..at]);
            rest = &rest[at..];
            if rest.starts_with('{') {
                let end = closing(rest);
                bytes.extend(self.word(&rest[1..end]));
                rest = &rest[end + 1..];
            } else {
                let (byte, len) = match rest.as_bytes()[1] {
                    b'r' => (b'\r', 2),
                    b'n' => (b'\n', 2),
                    b't' => (b'\t', 2),
                    b'\\' => (b'\\', 2),
                    b'x' => (u8::from_str_radix(&rest[2..4], 16).expect("hexadecimal"), 4),
                    _ => panic!("{text}"),
                };
                bytes.push(byte);
                rest = &rest[len..];
            }
        }
        bytes.extend(rest.as_bytes());
        bytes
    }

    fn expectation(&self, text: &str) -> (Vec<Expected>, End) {
        let (answers, end) = text.rsplit_once(' ').unwrap_or(("", text));
        let end = match end {
            "kept" => End::Kept,
            "closed" => End::Closed,
            "either" => End::Either,
            "gone" => End::Gone,
            "left" => End::Left,
            _ => panic!("{text}"),
        };
        let mut expected = Vec::new();
        let mut rest = answers.trim_start();
        while !rest.is_empty() {
            let (status, more) = rest.split_at(3);
            let forwarded = more.strip_prefix('(').map(|more| {
                let (body, _) = more.split_once(')').expect("a parenthesis");
                match body {
                    "*" => Body::Any,
                    _ => Body::Exactly(self.expanded(body)),
                }
            });
            rest = match &forwarded {
                Some(_) => more.split_once(')').expect("a parenthesis").1,
                None => more,
            };
            rest = rest.trim_start();
            expected.push(Expected {
                status: status.parse().expect("a status"),
                forwarded,
            });
        }
        (expected, end)
    }
}

/// Where the brace closes with which the text begins.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    panic!("a brace stays open: {text}")
}
