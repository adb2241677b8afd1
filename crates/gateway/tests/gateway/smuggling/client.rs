//! A client that sends the bytes of a case, reads what comes back, and then asks something harmless on the same
//! connection.

use std::{io::ErrorKind, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};

use super::corpus::{Case, End, Step};
use crate::harness::{GATEWAY, PATIENCE};

/// How the bytes of a case are sent.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// All that can be sent at once, at once.
    Whole,
    /// In pieces of this many, or more if there would be hundreds of pieces.
    Pieces(usize),
}

/// What a client saw.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The request id in the answer's header.
    pub id: String,
    pub body: Vec<u8>,
}

/// One connection to the gateway.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open() -> Self {
        let stream = TcpStream::connect(GATEWAY).await;
        let stream = stream.expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends. That the gateway has closed already is seen when it is read from.
    pub async fn send(&mut self, bytes: &[u8], manner: Manner) {
        let size = match manner {
            Manner::Whole => bytes.len(),
            Manner::Pieces(size) => size.max(bytes.len() / 200),
        };
        for piece in bytes.chunks(size.max(1)) {
            if self.stream.write_all(piece).await.is_err() {
                return;
            }
            yield_now().await;
        }
    }

    /// The next answer, or none if the connection ends.
    ///
    /// # Errors
    /// There is neither in time, or half an answer.
    pub async fn answer(&mut self, to_head: bool) -> Result<Option<Answer>, String> {
        let patience = PATIENCE + Duration::from_secs(5);
        match timeout(patience, self.read_answer(to_head)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err("neither an answer nor an end".to_owned()),
        }
    }

    async fn read_answer(&mut self, to_head: bool) -> Result<Option<Answer>, String> {
        loop {
            if let Some((answer, len)) = parse(&self.received, to_head)? {
                self.received.drain(..len);
                return Ok(Some(answer));
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(1..) => {}
                Ok(0) if self.received.is_empty() => return Ok(None),
                // Closed on what was not read of us any more.
                Err(error)
                    if self.received.is_empty() && error.kind() == ErrorKind::ConnectionReset =>
                {
                    return Ok(None);
                }
                ended => {
                    let half = String::from_utf8_lossy(&self.received);
                    return Err(format!("{ended:?} in the middle of {half:?}"));
                }
            }
        }
    }
}

/// An answer and its length, if it is there.
fn parse(bytes: &[u8], to_head: bool) -> Result<Option<(Answer, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(found, value)| (found == name).then(|| value.to_owned()))
    };
    let status = head
        .strip_prefix("http/1.1 ")
        .or(head.strip_prefix("http/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("no answer: {head:?}"))?;
    let length = match field("content-length") {
        Some(length) if !to_head => length.parse().map_err(|_| head.clone())?,
        None if status != 100 && !to_head => return Err(format!("no length: {head:?}")),
        _ => 0,
    };
    let total = end + 4 + length;
    if bytes.len() < total {
        return Ok(None);
    }
    let answer = Answer {
        status,
        id: field("x-request-id").unwrap_or_default(),
        body: bytes[end + 4..total].to_vec(),
    };
    Ok(Some((answer, total)))
}

/// A request that may pass and has nothing special about it, by which others are tried.
pub fn harmless(key: &str, id: &str) -> Vec<u8> {
    let (agent, len) = ("harmless", id.len());
    format!(
        "POST /score HTTP/1.1\r\nHost: iris.example\r\nUser-Agent: {agent}\r\nx-api-key: {key}\r\nx-request-id: {id}\r\nContent-Length: {len}\r\n\r\n{id}"
    )
    .into_bytes()
}

/// Whether this is the answer to the harmless request of this id: the models answer with the id.
pub fn answers(answer: &Answer, id: &str) -> Result<(), String> {
    if (answer.status, answer.id.as_str(), answer.body.as_slice()) == (200, id, id.as_bytes()) {
        Ok(())
    } else {
        Err(format!("somebody else's answer to {id}: {answer:?}"))
    }
}

/// Plays a case, and says what was answered, and whether the harmless request behind it was.
///
/// # Errors
/// Something else was answered than has to be.
pub async fn play(case: &Case, key: &str, manner: Manner) -> Result<(Vec<Answer>, bool), String> {
    let mut connection = Connection::open().await;
    let mut answers_seen = Vec::new();
    let mut may_send = true;
    let to_head =
        matches!(case.steps.first(), Some(Step::Send(bytes)) if bytes.starts_with(b"HEAD "));
    for step in &case.steps {
        match step {
            Step::Send(bytes) => connection.send(bytes, manner).await,
            Step::Await => match connection.answer(to_head).await? {
                Some(answer) => answers_seen.push(answer),
                None => return Err("the connection ends before an answer".to_owned()),
            },
            Step::HalfClose => {
                // Fails where the gateway has closed already.
                let _ = connection.stream.shutdown().await;
                may_send = false;
            }
            Step::Leave => return Ok((answers_seen, false)),
        }
    }
    if case.end == End::Left {
        while connection.answer(to_head).await?.is_some() {}
        return Ok((Vec::new(), false));
    }
    while answers_seen.len() < case.answers.len() {
        match connection.answer(to_head).await? {
            Some(answer) => answers_seen.push(answer),
            None => return Err(format!("the connection ends behind {answers_seen:?}")),
        }
    }
    let statuses = answers_seen.iter().map(|answer| answer.status);
    if !statuses.eq(case.answers.iter().map(|expected| expected.status)) {
        return Err(format!("answered with {answers_seen:?}"));
    }
    let id = format!("behind-{}", case.id);
    if may_send {
        connection.send(&harmless(key, &id), Manner::Whole).await;
    }
    match (connection.answer(false).await?, case.end) {
        (Some(answer), End::Kept | End::Either) => {
            answers(&answer, &id)?;
            Ok((answers_seen, true))
        }
        (None, End::Closed | End::Either) => Ok((answers_seen, false)),
        (found, _) => Err(format!("in the end: {found:?}")),
    }
}
