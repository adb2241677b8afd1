//! The gateway's own log, on stderr: stdout belongs to the records.

use std::{
    error::Error,
    io::{self, IsTerminal as _},
};

use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::args::LogFormat;

/// Starts the log. A second call changes nothing.
pub fn init(format: LogFormat, targets: &Targets) {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    // kube's client (5.0) writes down, as a warning, the whole of an answer that it cannot read: the gateway's Secret.
    // Its errors come to us as values too, without the text.
    let targets = targets
        .clone()
        .with_target("kube_client::client", LevelFilter::OFF);
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(targets))
        .try_init();
}

/// An error with everything that caused it, on one line of bounded length.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors already end with their cause.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no {0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = Step(
            "policy",
            Some(Box::new(Step(
                "watch",
                Some(Box::new(Step("server", None))),
            ))),
        );
        assert_eq!(chain(&error), "no policy: no watch: no server");
    }
}
