//! Frames of HTTP/2 as somebody writes them who checks nothing (RFC 9113, section 4; RFC 7541, section 6.2.2).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{harness::PATIENCE, tls_client::Client};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A header, in its order; names and values are any bytes.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole header.
    pub fn headers(stream: u32, last: bool, fields: &Fields) -> Self {
        let end = if last { END_STREAM } else { 0 };
        Self {
            kind: HEADERS,
            flags: END_HEADERS | end,
            stream,
            payload: block(fields),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).expect("short");
        let mut bytes = len.to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// A header block: every field as a literal that is not indexed, with a new name, and no Huffman coding.
pub fn block(fields: &Fields) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(len: usize, block: &mut Vec<u8>) {
    if len < 127 {
        block.push(u8::try_from(len).expect("short"));
        return;
    }
    block.push(127);
    let mut rest = len - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("short") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("short"));
}

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has its answer.
    Answered,
    /// It alone is broken off.
    Reset,
    /// The connection ends, or takes no more streams.
    Connection,
}

/// A connection that stands.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open(client: &Client) -> Result<Self, String> {
        let mut stream = client.stream().await?;
        let settings = Frame {
            kind: SETTINGS,
            flags: 0,
            stream: 0,
            payload: vec![],
        };
        let hello = [PREFACE, &settings.bytes()].concat();
        stream.write_all(&hello).await.map_err(|e| e.to_string())?;
        Ok(Self {
            stream,
            received: vec![],
        })
    }

    /// Sends. That the other side has closed already is seen when it is read from.
    pub async fn send(&mut self, frame: &Frame) {
        let _ = self.stream.write_all(&frame.bytes()).await;
        let _ = self.stream.flush().await;
    }

    /// Waits for what becomes of a stream.
    pub async fn end(&mut self, stream: u32) -> Result<End, String> {
        let patience = PATIENCE + Duration::from_secs(5);
        let end = timeout(patience, self.read_end(stream)).await;
        end.map_err(|_elapsed| "neither an answer nor an end".to_owned())
    }

    async fn read_end(&mut self, stream: u32) -> End {
        loop {
            while let Some(frame) = self.next() {
                match frame.kind {
                    GOAWAY => return End::Connection,
                    RESET if frame.stream == stream => return End::Reset,
                    DATA | HEADERS if frame.stream == stream && frame.flags & END_STREAM != 0 => {
                        return End::Answered;
                    }
                    _ => {}
                }
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return End::Connection,
            }
        }
    }

    fn next(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.received.get(..9)?.try_into().ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.received.get(9..9 + len)?.to_vec();
        self.received.drain(..9 + len);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 127, head[6], head[7], head[8]]),
            payload,
        })
    }
}
