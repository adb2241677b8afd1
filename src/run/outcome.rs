//! How a run's pod ended: pure. Shared with the compute target, which has to know whether a slot is free.

use atelier_api::conditions::reasons;
use jiff::Timestamp;

use crate::kit::pod::{PodView, Terminated};

/// Name of the container that executes the command.
pub const MAIN: &str = "main";

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ended by itself, or its time was up.
    Ended {
        /// Why it failed: code and message; `None` if it did not.
        error: Option<(&'static str, String)>,
        /// The command's exit code.
        exit_code: Option<i32>,
        /// When it began.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Option<Timestamp>,
    },
    /// The pod was taken away; the run starts again.
    Lost(String),
}

/// When the command ended, if it did.
pub fn ended(pod: &PodView) -> Option<Timestamp> {
    let main = pod.container(MAIN).and_then(|c| c.terminated.as_ref());
    main.and_then(|t| t.finished)
        .or_else(|| pod.is_finished().then_some(pod.created).flatten())
}

/// How the attempt that this pod is ended; `None` while it has not.
pub fn outcome(pod: &PodView) -> Option<Outcome> {
    let main = pod.container(MAIN).and_then(|c| c.terminated.as_ref());
    if pod.disrupted || pod.reason.as_deref().is_some_and(is_loss) {
        let reason = pod.reason.clone().unwrap_or_else(|| "disrupted".into());
        return pod.is_finished().then_some(Outcome::Lost(reason));
    }
    if pod.reason.as_deref() == Some("DeadlineExceeded") {
        let error = Some((
            reasons::MAX_DURATION_EXCEEDED,
            "the command took longer than maxDurationSeconds".to_owned(),
        ));
        let finished = main.and_then(|t| t.finished);
        return Some(Outcome::Ended {
            error,
            exit_code: None,
            started: main.and_then(|t| t.started),
            finished,
        });
    }
    match main {
        // What was told to stop and then ended says nothing about the command: it may even look like a success. Without
        // a time of its end it never ran.
        Some(end)
            if pod
                .deletion_requested
                .is_some_and(|asked| end.finished.is_none_or(|finished| finished >= asked)) =>
        {
            None
        }
        // The kubelet lost sight of it.
        Some(end) if end.finished.is_none() => Some(Outcome::Lost(end.reason.clone())),
        Some(end) => Some(Outcome::Ended {
            error: error(end),
            exit_code: Some(end.exit_code),
            started: end.started,
            finished: end.finished,
        }),
        None if pod.is_finished() => Some(Outcome::Lost(
            pod.reason
                .clone()
                .unwrap_or_else(|| "no container ran".into()),
        )),
        None => None,
    }
}

/// Reasons of a pod that the cluster, not the command, is behind.
fn is_loss(reason: &str) -> bool {
    matches!(
        reason,
        "Evicted"
            | "Preempting"
            | "NodeLost"
            | "NodeShutdown"
            | "Shutdown"
            | "Terminated"
            | "UnexpectedAdmissionError"
    ) || reason.starts_with("OutOf")
}

fn error(end: &Terminated) -> Option<(&'static str, String)> {
    match (end.exit_code, end.reason.as_str()) {
        (_, "OOMKilled") => Some((
            reasons::OUT_OF_MEMORY,
            "the command used more memory than its node has; use a compute target with larger nodes".into(),
        )),
        (_, "StartError" | "ContainerCannotRun") => {
            Some((reasons::START_FAILED, format!("the command could not be started: {}", end.message)))
        }
        (0, _) => None,
        (code, _) => match code.checked_sub(128).and_then(signal) {
            Some(name) => Some((reasons::SIGNALED, format!("the command was ended by {name} (exit code {code})"))),
            None => Some((reasons::NON_ZERO_EXIT, format!("the command ended with exit code {code}"))),
        },
    }
}

/// Names of the signals that end processes, as Linux numbers them (signal(7), x86 and arm).
fn signal(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::pod::ContainerView;

    fn pod(exit_code: i32, reason: &str) -> PodView {
        let end = Terminated {
            exit_code,
            reason: reason.into(),
            finished: Timestamp::from_second(100).ok(),
            ..Terminated::default()
        };
        let main = ContainerView {
            name: MAIN.into(),
            terminated: Some(end),
            ..ContainerView::default()
        };
        PodView {
            phase: "Failed".into(),
            containers: vec![main],
            ..PodView::default()
        }
    }

    fn code(pod: &PodView) -> Option<&'static str> {
        match outcome(pod) {
            Some(Outcome::Ended { error, .. }) => Some(error.map_or("ok", |(code, _)| code)),
            Some(Outcome::Lost(_)) => Some("lost"),
            None => None,
        }
    }

    #[test]
    fn exit_code_memory_and_signal_are_told_apart() {
        assert_eq!(code(&pod(0, "Completed")), Some("ok"));
        assert_eq!(code(&pod(3, "Error")), Some(reasons::NON_ZERO_EXIT));
        assert_eq!(code(&pod(137, "OOMKilled")), Some(reasons::OUT_OF_MEMORY));
        assert_eq!(code(&pod(137, "Error")), Some(reasons::SIGNALED));
        assert_eq!(code(&pod(128, "StartError")), Some(reasons::START_FAILED));
        assert_eq!(code(&pod(200, "Error")), Some(reasons::NON_ZERO_EXIT));
    }

    #[test]
    fn a_pod_that_was_told_to_stop_has_no_outcome() {
        let asked = |second| PodView {
            deletion_requested: Timestamp::from_second(second).ok(),
            ..pod(0, "Completed")
        };
        assert_eq!(code(&asked(99)), None);
        assert_eq!(code(&asked(101)), Some("ok"));
        // A container that never ran is reported as killed, at no time.
        let mut never_ran = PodView {
            deletion_requested: Timestamp::from_second(99).ok(),
            ..pod(137, "Error")
        };
        never_ran.containers[0].terminated = Some(Terminated {
            exit_code: 137,
            ..Terminated::default()
        });
        assert_eq!(code(&never_ran), None);
    }

    #[test]
    fn a_container_that_the_kubelet_knows_nothing_of_has_no_exit_code() {
        let mut unknown = pod(137, "ContainerStatusUnknown");
        for container in &mut unknown.containers {
            container.terminated.as_mut().expect("terminated").finished = None;
        }
        assert_eq!(code(&unknown), Some("lost"));
        unknown.deletion_requested = Timestamp::from_second(1).ok();
        assert_eq!(code(&unknown), None);
    }

    #[test]
    fn a_pod_that_the_cluster_took_away_is_lost() {
        assert_eq!(
            code(&PodView {
                reason: Some("Evicted".into()),
                ..pod(137, "Error")
            }),
            Some("lost")
        );
        assert_eq!(
            code(&PodView {
                disrupted: true,
                ..pod(137, "Error")
            }),
            Some("lost")
        );
        assert_eq!(
            code(&PodView {
                containers: vec![],
                ..pod(0, "")
            }),
            Some("lost")
        );
    }

    #[test]
    fn a_pod_whose_time_was_up_failed_by_its_limit() {
        let late = PodView {
            reason: Some("DeadlineExceeded".into()),
            ..pod(143, "Error")
        };
        assert_eq!(code(&late), Some(reasons::MAX_DURATION_EXCEEDED));
    }
}
