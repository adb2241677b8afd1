use std::time::Duration;

use super::*;

fn decision(desired: u32, utilization: Option<u32>) -> Decision {
    Decision {
        desired,
        utilization,
        standing: Standing::Following,
        changes_at: None,
    }
}

#[test]
fn the_status_is_written_for_another_number_or_quite_another_utilisation_only() {
    let now = Instant::now();
    let before = Some(AutoscaleStatus {
        desired_replicas: 2,
        utilization: Some(50),
    });
    let told = |percent| {
        Some(Told {
            utilization: percent,
            at: now,
        })
    };
    let second = Duration::from_secs(1);
    for (what, after, since, tells) in [
        ("a little more", decision(2, Some(64)), 600, Some(50)),
        ("much more, just after", decision(2, Some(80)), 59, Some(50)),
        ("much more, later", decision(2, Some(80)), 60, Some(80)),
        ("another number", decision(3, Some(51)), 1, Some(51)),
        ("nothing is known", decision(2, None), 600, Some(50)),
    ] {
        let then = now + second * since;
        let tells_now = tell(before, &after, told(Some(50)), then);
        assert_eq!(tells_now.and_then(|told| told.utilization), tells, "{what}");
    }
    let first = tell(before, &decision(2, Some(3)), told(None), now);
    assert_eq!(first.and_then(|told| told.utilization), Some(3));
}

#[test]
fn who_was_not_heard_of_is_waited_for_and_then_silent() {
    let (begin, second) = (Instant::now(), Duration::from_secs(1));
    let one = |uid: &str| Answering {
        uid: uid.into(),
        name: format!("pod-{uid}"),
        since: None,
    };
    let mut loads = Loads::default();
    let both = Waiting::default().since(vec![one("a"), one("b")], begin);
    loads.hear("a", Load::default(), begin);
    let load = decide::Heard::Load(Load::default());
    let at = |seconds| loads.heard(&both, begin + second * seconds);
    assert_eq!(at(1), [load, decide::Heard::NotYet]);
    assert_eq!(at(15), [load, decide::Heard::NotYet]);
    assert_eq!(at(16), [decide::Heard::Silent; 2]);
    assert_eq!(loads.silent(&both, begin + second * 16), ["pod-a", "pod-b"]);
    let next = loads.falls_silent(&both, begin + second);
    assert_eq!(next, Some(begin + second * 16));
    // It is known since when it answers.
    let again = Waiting::of(both).since(vec![one("b"), one("c")], begin + second * 9);
    let since: Vec<_> = again.iter().map(|one| one.since).collect();
    assert_eq!(since, [Some(begin), Some(begin + second * 9)]);
}
