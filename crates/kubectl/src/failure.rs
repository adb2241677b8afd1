//! What can go wrong, as people read it, and the exit code that scripts read.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use http::StatusCode;
use kube::core::Status;

use crate::output;
use crate::table::plain;

/// Why a command ended without doing what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line makes no sense as a whole.
    #[error("error: {0}")]
    Usage(String),
    /// There is no way to the cluster in the kubeconfig.
    #[error("error: cannot use the kubeconfig: {0}")]
    Config(String),
    /// A TLS provider was there before ours.
    #[error("error: a TLS provider was installed before main")]
    Provider,
    /// A request could not be built.
    #[error("error: cannot build the request: {0}")]
    Request(#[from] http::Error),
    /// The cluster did not answer.
    #[error("Unable to connect to the server: {0}")]
    Unreachable(String),
    /// No complete answer in the time given.
    #[error("error: no complete answer within {0:?} (--request-timeout)")]
    TimedOut(std::time::Duration),
    /// The server refused, as Kubernetes does.
    #[error("{}", sentence(.0))]
    Refused(Box<Status>),
    /// The API group is unknown to the cluster.
    #[error("error: this cluster does not serve {0}: is the operator installed and up?")]
    NotServed(String),
    /// The API group is known, and nobody answers for it.
    #[error("error: nobody answers for {group} in this cluster: is the operator up? ({message})")]
    NotUp {
        /// The API group.
        group: String,
        /// What the cluster says.
        message: String,
    },
    /// An error that is not said as Kubernetes says them.
    #[error("Error from server: {code}: {message}")]
    Strange {
        /// HTTP status.
        code: StatusCode,
        /// What was said.
        message: String,
    },
    /// The answer is not what was agreed.
    #[error("error: cannot understand the server's answer: {0}")]
    Answer(String),
    /// The answer ended before its end.
    #[error("error: the answer was cut off: {0}")]
    CutOff(String),
    /// A file or standard input cannot be read.
    #[error("error: cannot read {what}: {error}")]
    Input {
        /// What was read.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// Standard output cannot be written.
    #[error("error: cannot write the output: {0}")]
    Output(io::Error),
    /// There is nothing, or more than one, of what was not named.
    #[error("error: {0}")]
    Ambiguous(String),
    /// Parts of the archive are missing from what was printed; each has been complained about.
    #[error("error: {0} parts of the archive cannot be read")]
    Incomplete(u64),
    /// The service's refusal has been printed as it came.
    #[error("the service refused")]
    Printed,
}

impl Failure {
    /// A value that cannot be written in the form asked for.
    pub fn unprintable(error: impl Error) -> Self {
        Self::Answer(error.to_string())
    }

    /// Says it, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            // Whoever read the output has read enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Printed => {}
            _ => output::aside(&self.to_string()),
        }
        match self {
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// A refusal as kubectl prints it.
fn sentence(status: &Status) -> String {
    // Names that others chose may be in it: lines are kept, what steers a terminal is not.
    let lines: Vec<_> = status.message.lines().map(plain).collect();
    let message = lines.join("\n");
    match (status.code, status.reason.as_str()) {
        (401, _) | (_, "Unauthorized") => {
            format!("error: You must be logged in to the server ({message})")
        }
        (_, "") => format!("Error from server: {message}"),
        (_, reason) => format!("Error from server ({}): {message}", plain(reason)),
    }
}

/// An error with its causes, each said once.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, reason: &str) -> String {
        let status = Status::failure("no", reason).with_code(code);
        Failure::Refused(status.boxed()).to_string()
    }

    #[test]
    fn refusals_read_as_in_kubectl() {
        assert_eq!(
            refusal(403, "Forbidden"),
            "Error from server (Forbidden): no"
        );
        assert_eq!(refusal(500, ""), "Error from server: no");
        assert_eq!(
            refusal(401, "Unauthorized"),
            "error: You must be logged in to the server (no)"
        );
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("inner"));
        assert_eq!(causes(&error), "outer: inner");
    }
}
