//! Inputs: those that are kept, and others made of them.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What is asked of an input. It panics where the answer is wrong.
pub type Property = Box<dyn Fn(&[u8])>;

/// The inputs in a file: one a line, with `\n` and `\xff` for what no line can hold,
/// as they are printed.
pub fn kept(file: &str) -> Vec<Vec<u8>> {
    file.lines().map(unescaped).collect()
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let (byte, len) = match (first, more.first()) {
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(other @ (b'\\' | b'"' | b'\''))) => (*other, 2),
            (b'\\', Some(b'x')) => {
                let digits = more.get(1..3).and_then(|two| str::from_utf8(two).ok());
                let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
                (byte.expect("hexadecimal"), 4)
            }
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[len..];
    }
    bytes
}

/// Inputs out of kept ones. The same seed makes the same.
pub struct Inputs {
    kept: Vec<Vec<u8>>,
    state: u64,
}

impl Inputs {
    pub fn of(kept: Vec<Vec<u8>>) -> Self {
        Self { kept, state: 1 }
    }

    /// Plays the kept ones, then so many others.
    pub fn play(&mut self, others: u32, property: impl Fn(&[u8])) {
        for input in &self.kept {
            judge(input, &property);
        }
        for _ in 0..others {
            judge(&self.made_up(), &property);
        }
    }

    /// Splitmix64: not for secrets.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (end.max(1) as u64)) as usize
    }

    fn made_up(&mut self) -> Vec<u8> {
        let first = self.below(self.kept.len());
        let mut input = self.kept[first].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        const TELLING: &[u8] = b"\0\t\n\r \"%+,-./09:;=@AZ[\\]_az{}\x7f\x80\xff";
        let at = self.below(input.len());
        let end = at + self.below((input.len() - at).min(40) + 1);
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = TELLING[self.below(TELLING.len())],
            2 => input.insert(at, TELLING[self.below(TELLING.len())]),
            3 => drop(input.drain(at..end)),
            4 => {
                let twice = input[at..end].repeat(1 + self.below(3));
                drop(input.splice(at..at, twice));
            }
            5 => {
                let other = self.below(self.kept.len());
                let from = self.below(self.kept[other].len());
                let piece = self.kept[other][from..].to_vec();
                drop(input.splice(at..end, piece));
            }
            _ => {
                let case = if self.below(2) == 0 {
                    u8::to_ascii_uppercase
                } else {
                    u8::to_ascii_lowercase
                };
                for byte in &mut input[at..end] {
                    *byte = case(byte);
                }
            }
        }
        input.truncate(64 * 1024);
    }
}

/// Says which input it was, should the property not hold.
fn judge(input: &[u8], property: &impl Fn(&[u8])) {
    struct Told<'a>(&'a [u8]);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("the input: {}", self.0.escape_ascii());
            }
        }
    }
    let _told = Told(input);
    property(input);
}

/// Plays all properties in turns, with a seed out of the time, for as many minutes as the environment says.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no command line of its own"
)]
pub fn for_long(all: Vec<(Vec<Vec<u8>>, Property)>) {
    let minutes = std::env::var("ATELIER_FUZZ_MINUTES").expect("ATELIER_FUZZ_MINUTES is not set");
    let minutes: u64 = minutes.parse().expect("a number of minutes");
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = since.expect("a clock after 1970").as_secs();
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let inputs =
        |(kept, property): (Vec<Vec<u8>>, Property)| (Inputs { kept, state: seed }, property);
    let mut all: Vec<_> = all.into_iter().map(inputs).collect();
    let mut rounds = 0_u64;
    while Instant::now() < end {
        for (inputs, property) in &mut all {
            inputs.play(1000, &*property);
        }
        rounds += 1;
    }
    println!("seed {seed}: {rounds} rounds of 1000 inputs for each property");
}
