//! Times given on the command line, as kubectl takes them: `10s`, `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// A time that is waited at most; plain digits are seconds, 0 is no limit.
pub fn timeout(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    positive(text)
}

/// Whole seconds to look back, rounded up: the server knows no fractions.
pub fn seconds_back(text: &str) -> Result<u64, String> {
    let time = positive(text)?;
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    if seconds == 0 {
        return Err("must be more than 0".into());
    }
    Ok(seconds)
}

/// The same, and whole days as `7d`.
pub fn far_back(text: &str) -> Result<u64, String> {
    match text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u64>().ok())
    {
        Some(0) => Err("must be more than 0".into()),
        Some(days) => Ok(days.saturating_mul(24 * 3600)),
        None => seconds_back(text)
            .map_err(|why| why.replace("30s, 5m or 1h30m", "30s, 5m, 1h30m or 7d")),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|time| Duration::try_from(time).ok())
        .ok_or_else(|| "not a time such as 30s, 5m or 1h30m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_kubectl_reads_them() {
        for (text, seconds) in [
            ("10s", 10),
            ("5m", 300),
            ("1h30m", 5400),
            ("1.5h", 5400),
            ("1500ms", 2),
        ] {
            assert_eq!(seconds_back(text), Ok(seconds), "{text}");
        }
        for text in ["", "0s", "-5m", "5", "1d", "soon", "5 parsecs"] {
            assert!(seconds_back(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_far_back_is_counted_in_days() {
        assert_eq!(far_back("7d"), Ok(604_800));
        assert_eq!(far_back("2h"), Ok(7200));
        for text in ["0d", "d", "-1d", "1d2h", "1.5d"] {
            assert!(far_back(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_may_be_plain_seconds_or_none() {
        for (text, seconds) in [("0", 0), ("30", 30), ("0s", 0), ("2m", 120)] {
            assert_eq!(timeout(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(timeout("-1").is_err());
    }
}
