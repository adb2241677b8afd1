//! Leader election on a Lease, with a claim that is asked at the moment of every write.
//!
//! All replicas watch and keep their views warm; one writes. A claim runs out by the monotonic clock well before
//! another replica may take the lease, so a leader that was stopped and continued finds its claim gone.

use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::kit::Error;
use crate::kit::backoff::WatchBackoff;
use crate::kit::error::status_code;

/// How long a lease is good for after its last renewal.
const LEASE: Duration = Duration::from_secs(15);
/// How long a claim is good for after the renewal was *sent*: less than the lease, so that there are never two.
const CLAIM: Duration = Duration::from_secs(10);
/// How often the leader renews.
const RENEW: Duration = Duration::from_secs(5);
/// How soon to try again where there is nothing to wait for.
const RETRY: Duration = Duration::from_secs(1);

/// Proof of leadership.
#[derive(Clone)]
pub struct Claim(watch::Receiver<Option<Instant>>);

impl Claim {
    /// Fails unless we lead at this moment.
    pub fn check(&self) -> Result<(), Error> {
        let until = *self.0.borrow();
        if until.is_some_and(|until| Instant::now() < until) {
            Ok(())
        } else {
            Err(Error::NotLeader)
        }
    }

    /// Yields each time leadership begins.
    pub fn became_leader(&self) -> impl Stream<Item = ()> + Send + Sync + 'static {
        let held = tokio_stream(self.0.clone());
        held.scan(false, |led, leads| {
            let began = leads && !*led;
            *led = leads;
            futures::future::ready(Some(began))
        })
        .filter_map(|began| futures::future::ready(began.then_some(())))
    }
}

fn tokio_stream(
    receiver: watch::Receiver<Option<Instant>>,
) -> impl Stream<Item = bool> + Send + Sync + 'static {
    futures::stream::unfold((receiver, true), |(mut receiver, first)| async move {
        if !first {
            receiver.changed().await.ok()?;
        }
        let leads = receiver.borrow_and_update().is_some();
        Some((leads, (receiver, false)))
    })
}

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody has it: take it.
    Acquire,
    /// It is ours: renew it.
    Renew,
    /// It is somebody else's, who still renews it.
    Wait,
}

/// Decides by the lease as it stands. `unchanged_for` is how long this replica has seen this very version of it: the
/// holder's clock is not trusted.
pub fn decide(lease: Option<&LeaseSpec>, me: &str, unchanged_for: Duration) -> Step {
    let Some(lease) = lease else {
        return Step::Acquire;
    };
    match lease.holder_identity.as_deref() {
        None | Some("") => Step::Acquire,
        Some(holder) if holder == me => Step::Renew,
        Some(_) if unchanged_for > lasts(lease) => Step::Acquire,
        Some(_) => Step::Wait,
    }
}

/// How long a lease is good for after its last renewal.
fn lasts(lease: &LeaseSpec) -> Duration {
    let seconds = lease
        .lease_duration_seconds
        .and_then(|s| u64::try_from(s).ok());
    seconds.map_or(LEASE, Duration::from_secs)
}

/// Competes for the lease.
pub struct Election {
    api: Api<Lease>,
    name: String,
    me: String,
    claim: watch::Sender<Option<Instant>>,
    /// The lease as last seen, and since when it has had that version. `None` until it was looked at.
    seen: Option<Seen>,
    /// Until when another may still believe that it leads, whatever became of the lease.
    others_until: Option<Instant>,
}

struct Seen {
    /// `None` if there is no lease.
    lease: Option<Lease>,
    since: Instant,
}

impl Seen {
    fn version(&self) -> Option<&str> {
        let lease = self.lease.as_ref()?;
        lease.metadata.resource_version.as_deref()
    }
}

impl Election {
    /// Competes for the lease `name` in `namespace` as `me`.
    pub fn new(client: Client, namespace: &str, name: &str, me: String) -> (Self, Claim) {
        let (sender, receiver) = watch::channel(None);
        let api = Api::namespaced(client, namespace);
        (
            Self {
                api,
                name: name.into(),
                me,
                claim: sender,
                seen: None,
                others_until: None,
            },
            Claim(receiver),
        )
    }

    /// Competes until `stop`, then gives the lease back. Ends early when leadership is lost: the process is then to
    /// end too, so that nothing begun under the old claim goes on.
    pub async fn run(mut self, stop: CancellationToken, on_change: impl Fn(bool)) {
        // Who waits for the lease watches it, and has it milliseconds after it was given back.
        let lease = watch_object(self.api.clone(), &self.name).backoff(WatchBackoff::default());
        let mut watched = Some(Box::pin(lease));
        let mut led = false;
        loop {
            let sent = Instant::now();
            match tokio::time::timeout(RENEW, self.round()).await {
                Ok(Ok(true)) => {
                    if !led {
                        info!(me = self.me, "leading");
                    }
                    led = true;
                    watched = None;
                    self.claim.send_replace(Some(sent + CLAIM));
                }
                Ok(Ok(false)) => {
                    if led {
                        warn!("another replica leads");
                        break;
                    }
                }
                Ok(Err(error)) => warn!(%error, "cannot renew or read the lease; trying again"),
                Err(_) => warn!("the API server does not answer in time; trying again"),
            }
            let expired = self
                .claim
                .borrow()
                .is_some_and(|until| Instant::now() >= until);
            if expired {
                warn!("the claim to lead ran out");
                break;
            }
            on_change(led);
            tokio::select! {
                () = tokio::time::sleep(if led { RENEW } else { self.patience() }) => {}
                () = self.changes(&mut watched) => {}
                () = stop.cancelled() => break,
            }
        }
        self.claim.send_replace(None);
        on_change(false);
        if led && let Err(error) = tokio::time::timeout(RENEW, self.release()).await {
            warn!(%error, "could not give the lease back; it runs out by itself");
        }
    }

    /// Returns when the watch has something new to say; never, once there is no watch.
    async fn changes<S>(&mut self, watched: &mut Option<S>)
    where
        S: Stream<Item = watcher::Result<Option<Lease>>> + Unpin,
    {
        if let Some(stream) = watched {
            while let Some(event) = stream.next().await {
                match event {
                    Ok(lease) => return self.see(lease),
                    Err(error) => debug!(%error, "the watch of the lease failed; trying again"),
                }
            }
        }
        std::future::pending().await
    }

    /// How long to leave somebody else's lease alone, should no watch tell of it.
    fn patience(&self) -> Duration {
        let spec = |seen: &Seen| seen.lease.as_ref().and_then(|l| l.spec.as_ref().map(lasts));
        let left = |seen: &Seen| Some((spec(seen)? + RETRY).saturating_sub(seen.since.elapsed()));
        self.seen
            .as_ref()
            .and_then(left)
            .unwrap_or(RETRY)
            .max(RETRY)
    }

    fn see(&mut self, lease: Option<Lease>) {
        if let Some(spec) = lease.as_ref().and_then(|l| l.spec.as_ref()) {
            let holder = spec.holder_identity.as_deref().unwrap_or_default();
            let other = !holder.is_empty() && holder != self.me;
            self.others_until = other.then(|| Instant::now() + lasts(spec));
        }
        let mut now = Seen {
            lease,
            since: Instant::now(),
        };
        if let Some(before) = self.seen.as_ref().filter(|s| s.version() == now.version()) {
            now.since = before.since;
        }
        self.seen = Some(now);
    }

    /// Writes the lease if that is due. Says whether it is ours. Where the lease is no longer what was last seen, it
    /// is looked at again, once.
    async fn round(&mut self) -> Result<bool, kube::Error> {
        for _ in 0..2 {
            let (lease, since) = match &self.seen {
                Some(seen) => (seen.lease.clone(), seen.since),
                None => {
                    let lease = self.api.get_opt(&self.name).await?;
                    self.see(lease.clone());
                    (lease, Instant::now())
                }
            };
            let spec = lease.as_ref().and_then(|l| l.spec.as_ref());
            let step = decide(spec, &self.me, since.elapsed());
            // A lease that somebody deleted was not given back.
            let deleted = lease.is_none() && self.others_until.is_some_and(|t| Instant::now() < t);
            if step == Step::Wait || deleted {
                return Ok(false);
            }
            match self.write(lease, step).await {
                Ok(lease) => {
                    self.see(Some(lease));
                    return Ok(true);
                }
                Err(error) if matches!(status_code(&error), Some(404 | 409)) => self.seen = None,
                // It may have been written all the same.
                Err(error) => {
                    self.seen = None;
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    /// Carries the resourceVersion of what was seen: of two that try, one gets 409.
    async fn write(&self, lease: Option<Lease>, step: Step) -> Result<Lease, kube::Error> {
        let now = Timestamp::now();
        let params = PostParams::default();
        let Some(mut lease) = lease else {
            return self.api.create(&params, &self.fresh(now)).await;
        };
        let spec = lease.spec.get_or_insert_default();
        if step == Step::Acquire {
            spec.acquire_time = Some(MicroTime(now));
            let before = spec.lease_transitions.unwrap_or_default();
            spec.lease_transitions = Some(before.saturating_add(1));
        }
        spec.holder_identity = Some(self.me.clone());
        spec.renew_time = Some(MicroTime(now));
        spec.lease_duration_seconds = i32::try_from(LEASE.as_secs()).ok();
        self.api.replace(&self.name, &params, &lease).await
    }

    fn fresh(&self, now: Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                acquire_time: Some(MicroTime(now)),
                renew_time: Some(MicroTime(now)),
                lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let mut lease = self.api.get(&self.name).await?;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(self.me.as_str()) {
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(
                Timestamp::now() - SignedDuration::try_from(LEASE).unwrap_or_default(),
            ));
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_free_lease_is_taken_and_our_own_renewed() {
        assert_eq!(decide(None, "me", Duration::ZERO), Step::Acquire);
        assert_eq!(
            decide(Some(&held_by("")), "me", Duration::ZERO),
            Step::Acquire
        );
        assert_eq!(
            decide(Some(&held_by("me")), "me", Duration::ZERO),
            Step::Renew
        );
    }

    #[test]
    fn anothers_lease_is_left_alone_until_it_has_not_changed_for_its_whole_length() {
        assert_eq!(
            decide(Some(&held_by("other")), "me", Duration::from_secs(15)),
            Step::Wait
        );
        assert_eq!(
            decide(Some(&held_by("other")), "me", Duration::from_millis(15_001)),
            Step::Acquire
        );
    }

    #[test]
    fn a_claim_that_ran_out_is_no_claim() {
        let (sender, receiver) = watch::channel(None);
        let claim = Claim(receiver);
        assert!(claim.check().is_err());
        sender.send_replace(Some(Instant::now() + Duration::from_secs(60)));
        assert!(claim.check().is_ok());
        sender.send_replace(Some(Instant::now()));
        assert!(claim.check().is_err());
    }

    #[tokio::test]
    async fn leadership_is_told_once_each_time_it_begins() {
        let (sender, receiver) = watch::channel(None);
        let mut began = Box::pin(Claim(receiver).became_leader());
        let later = || Some(Instant::now() + Duration::from_secs(60));
        sender.send_replace(later());
        assert_eq!(began.next().await, Some(()));
        sender.send_replace(later());
        drop(sender);
        assert_eq!(began.next().await, None);
    }
}
