//! What every replica serves over TLS, leader or not: the actions and the admission webhook.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use atelier_api::actions;
use atelier_apiserver::{FrontProxy, Limits, Server};
use atelier_pki::{Config, Leaf, Periods, Purpose, Reloading, Target, TargetKind};
use jiff::Timestamp;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::ServingArgs;
use crate::{actions as ours, admission};

/// The Secret of the authority, and that of the certificate that the replicas serve with.
const AUTHORITY: &str = "atelier-ca";
const CERTIFICATE: &str = "atelier-serving";
/// The webhook configuration, which the chart makes.
pub const WEBHOOKS: &str = "atelier-operator";
/// How long others may still come while their view of our endpoints lags behind.
const LINGER: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(10);

/// The certificate and whom to believe, both as they are at any moment.
#[derive(Clone)]
pub struct Serving {
    certificate: Arc<Reloading>,
    front_proxy: FrontProxy,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            certificate: Reloading::new(CERTIFICATE),
            front_proxy: FrontProxy::new(),
        }
    }
}

impl Serving {
    /// Completes once there is a certificate and it is known whom to believe.
    pub async fn ready(&self) {
        self.certificate.ready().await;
        self.front_proxy.known().await;
    }

    /// Follows the certificate until `stop`.
    pub async fn follow(&self, client: Client, namespace: &str, stop: CancellationToken) {
        self.certificate.follow(client, namespace, stop).await;
    }

    /// Serves until `stop`, and until what has begun has ended. Handshakes fail until there is a certificate.
    pub async fn serve(
        &self,
        client: Client,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address} (--serve-listen)"))?;
        let deps = ours::Deps {
            client: client.clone(),
            clock: Timestamp::now,
        };
        let server = Server {
            listener,
            certificate: self.certificate.server_identity(),
            front_proxy: self.front_proxy.clone(),
            actions: ours::all(&deps),
            admission: admission::all(),
            client,
            limits: Limits {
                linger: LINGER,
                grace: GRACE,
                ..Limits::default()
            },
        };
        Ok(server.run(stop).await?)
    }
}

/// What certificates there are to be, and who is told whom to trust.
pub fn certificates(namespace: &str, args: &ServingArgs) -> anyhow::Result<Config> {
    let service = &args.service_name;
    let names = ["", ".svc", ".svc.cluster.local"];
    let periods = Periods {
        rotate_every: args.certificate_rotation.unsigned_abs(),
        overlap: args.certificate_overlap.unsigned_abs(),
        leaf_life: args.certificate_life.unsigned_abs(),
        authority_life: authority_life(args),
        ..Periods::default()
    };
    periods
        .check()
        .context("the periods of certificates cannot be kept together")?;
    let api = format!("{}.{}", actions::VERSION, actions::GROUP);
    Ok(Config {
        namespace: namespace.to_owned(),
        authority_secret: AUTHORITY.to_owned(),
        leaves: vec![Leaf {
            secret_name: CERTIFICATE.to_owned(),
            common_name: service.clone(),
            dns_names: names
                .map(|end| format!("{service}.{namespace}{end}"))
                .to_vec(),
            ips: vec![],
            purpose: Purpose::Server,
        }],
        targets: vec![
            Target::new(TargetKind::Mutating, WEBHOOKS),
            Target::new(TargetKind::ApiService, api),
        ],
        periods,
    })
}

/// Twice what it is used for, so that an operator that was down for a while finds it still good.
fn authority_life(args: &ServingArgs) -> Duration {
    let used = args.certificate_rotation.unsigned_abs() + args.certificate_life.unsigned_abs();
    used * 2 + args.certificate_overlap.unsigned_abs() * 4
}
