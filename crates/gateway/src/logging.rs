//! The gateway's own log, on stderr: stdout belongs to the records.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
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
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(targets.clone()))
        .try_init();
}
