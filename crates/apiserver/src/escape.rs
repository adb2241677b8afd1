//! Percent-encoding, read as Kubernetes reads it.

/// Text without its percent-encoding; nothing if an encoding is broken or what comes out is no UTF-8.
pub(crate) fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        // from_str_radix would take a sign.
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(out).ok()
}

/// The first value of a name in a query.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = |part: &str| unescape(&part.replace('+', " "));
        (text(key)? == name).then(|| text(value)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_encodings_are_read_and_broken_ones_are_not() {
        assert_eq!(unescape("a%2Fb%c3%a4+").as_deref(), Some("a/bä+"));
        for broken in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(unescape(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_query_gives_the_first_value_of_a_name() {
        let query = "follow&since=1h%2B&since=2h&name=a+b&%=x";
        assert_eq!(query_value(query, "since").as_deref(), Some("1h+"));
        assert_eq!(query_value(query, "name").as_deref(), Some("a b"));
        assert_eq!(query_value(query, "follow").as_deref(), Some(""));
        assert_eq!(query_value(query, "none"), None);
    }
}
