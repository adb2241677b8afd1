//! Logging: to stderr, as JSON or for people.

use anyhow::Context as _;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, registry};

use crate::args::{LogArgs, LogFormat};

/// Starts logging.
pub fn start(args: &LogArgs) -> anyhow::Result<()> {
    subscriber(args, std::io::stderr)?.init();
    Ok(())
}

fn subscriber<W>(args: &LogArgs, writer: W) -> anyhow::Result<impl Subscriber>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(&args.filter).with_context(|| format!("--log {}", args.filter))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match args.log_format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    Ok(registry().with(layer.with_filter(filter.and(filter_fn(is_harmless)))))
}

/// Whether something may be logged, whatever the filter says. kube's client (5.0, `client/mod.rs`) writes down, as a
/// warning, the whole of an answer that it cannot read, and that may be a Secret. Its errors come to us as values too,
/// without the text, and are logged there.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() || metadata.target() != "kube_client::client"
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_never_written_down() {
        for log_format in [LogFormat::Json, LogFormat::Text] {
            let filter = "trace,kube_client::client=trace".to_owned();
            let args = LogArgs { log_format, filter };
            let log = Log::default();
            let to = log.clone();
            let subscriber = subscriber(&args, move || to.clone()).expect("a valid filter");
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "kube_client::client", "{{\"data\": {{\"primary\": \"c2VjcmV0\"");
                tracing::warn!(target: "kube_runtime::watcher", "plain");
            });
            let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let text = String::from_utf8(bytes).expect("a log is text");
            assert!(
                text.contains("plain") && !text.contains("c2VjcmV0"),
                "{text}"
            );
        }
    }
}
