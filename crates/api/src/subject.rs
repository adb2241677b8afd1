//! How a caller's name stands in a header.

/// The longest name of a caller in a header, in bytes.
pub const LONGEST: usize = 1024;

/// A caller's name in the form in which it can be a header: percent-encoded beyond visible ASCII, and so is `%`.
#[must_use]
pub fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            byte if byte.is_ascii_graphic() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_visible_ascii_whatever_it_was() {
        for (name, expected) in [
            ("rita@example.com", "rita@example.com"),
            ("system:serviceaccount:n:ci", "system:serviceaccount:n:ci"),
            ("jürgen 50%", "j%C3%BCrgen%2050%25"),
            ("a\r\nx: y", "a%0D%0Ax:%20y"),
        ] {
            assert_eq!(encoded(name), expected);
        }
    }
}
