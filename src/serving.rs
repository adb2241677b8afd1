//! What every replica serves over TLS, leader or not: the actions and the admission webhook.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use atelier_api::actions;
use atelier_apiserver::{FrontProxy, Limits, Server};
use atelier_pki::{
    Config, Elsewhere, Issuer, Leaf, Periods, Purpose, Reloading, Target, TargetKind,
};
use jiff::Timestamp;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::actions::score::Gateways;
use crate::archive::Archive;
use crate::args::{Certificates, ServingArgs};
use crate::kit::certificate;
use crate::kit::children::{Children, Seen};
use crate::{actions as ours, admission, web_service, workspace};

/// The Secret of the authority, and those of the certificates that the replicas serve with and show to gateways.
const AUTHORITY: &str = "atelier-ca";
const CERTIFICATE: &str = "atelier-serving";
const CLIENT: &str = "atelier-client";
/// The webhook configuration, which the chart makes.
pub const WEBHOOKS: &str = "atelier-operator";
/// The port under which gateways find the intakes: with a headless Service, that on which those listen.
const INTAKE_PORT: u16 = 8444;
/// How long others may still come while their view of our endpoints lags behind.
const LINGER: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(10);

/// The certificates and whom to believe, all as they are at any moment.
#[derive(Clone)]
pub struct Serving {
    certificate: Arc<Reloading>,
    internal: Option<Internal>,
    front_proxy: FrontProxy,
}

/// What there is where the operator keeps the certificates itself.
#[derive(Clone)]
struct Internal {
    /// Shown to gateways.
    client: Arc<Reloading>,
    /// Signs those of gateways.
    issuer: Arc<Issuer>,
}

impl Serving {
    /// Knows nothing yet. Fails if the periods of certificates cannot be kept together.
    pub fn new(args: &ServingArgs) -> anyhow::Result<Self> {
        let internal = match args.certificates {
            Certificates::Internal => Some(Internal {
                client: Reloading::new(CLIENT),
                issuer: Issuer::new(periods(args)?),
            }),
            Certificates::External => None,
        };
        Ok(Self {
            certificate: Reloading::new(CERTIFICATE),
            internal,
            front_proxy: FrontProxy::new(),
        })
    }

    /// What signs the certificates of gateways, if anything does.
    pub fn issuer(&self) -> Option<&Arc<Issuer>> {
        self.internal.as_ref().map(|internal| &internal.issuer)
    }

    /// The certificate that everything is served by.
    pub fn certificate(&self) -> &Arc<Reloading> {
        &self.certificate
    }

    /// Completes once there are certificates and it is known whom to believe.
    pub async fn ready(&self) {
        self.certificate.ready().await;
        if let Some(internal) = &self.internal {
            internal.client.ready().await;
        }
        self.front_proxy.known().await;
    }

    /// Follows the certificates until `stop`.
    pub async fn follow(&self, client: Client, namespace: &str, stop: CancellationToken) {
        let shown = async {
            if let Some(internal) = &self.internal {
                let (client, stop) = (client.clone(), stop.clone());
                internal.client.follow(client, namespace, stop).await;
            }
        };
        let served = self
            .certificate
            .follow(client.clone(), namespace, stop.clone());
        tokio::join!(served, shown);
    }

    /// Serves until `stop`, and until what has begun has ended. Handshakes fail until there is a certificate.
    pub async fn serve(
        &self,
        client: Client,
        archive: Arc<Archive>,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address} (--serve-listen)"))?;
        let gateways = self.internal.as_ref();
        let gateways = gateways.map(|internal| Gateways::new(internal.client.clone()));
        let deps = ours::Deps {
            client: client.clone(),
            gateways: gateways.transpose()?,
            archive,
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

/// By which name gateways know the operator: no service of anybody's can have it.
pub fn client_name(namespace: &str, args: &ServingArgs) -> String {
    format!("{}.{namespace}.svc", args.service_name)
}

/// Where gateways find the intakes of all replicas, as `host:port`.
pub fn intake(namespace: &str, args: &ServingArgs) -> Option<String> {
    args.intake_listen?;
    Some(format!(
        "{}.{namespace}.svc:{INTAKE_PORT}",
        args.intake_service
    ))
}

fn periods(args: &ServingArgs) -> anyhow::Result<Periods> {
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
    Ok(periods)
}

/// What certificates there are to be, `more` among them, and who is told whom to trust. A rotation waits for those of the gateways that
/// `children` has.
pub fn certificates(
    namespace: &str,
    args: &ServingArgs,
    more: Option<Leaf>,
    issuer: &Arc<Issuer>,
    children: &Arc<Children>,
) -> anyhow::Result<Config> {
    let service = &args.service_name;
    let (judge, children) = (issuer.clone(), children.clone());
    let elsewhere = Elsewhere {
        issuer: issuer.clone(),
        all_current: Arc::new(move || certificate::all_current(&children, &judge, is_certificate)),
    };
    let api = format!("{}.{}", actions::VERSION, actions::GROUP);
    Ok(Config {
        namespace: namespace.to_owned(),
        authority_secret: AUTHORITY.to_owned(),
        leaves: [
            Leaf::of_service(CERTIFICATE.to_owned(), service, namespace),
            Leaf {
                secret_name: CLIENT.to_owned(),
                common_name: service.clone(),
                dns_names: vec![client_name(namespace, args)],
                ips: vec![],
                purpose: Purpose::Client,
            },
        ]
        .into_iter()
        .chain(more)
        .collect(),
        targets: vec![
            Target::new(TargetKind::Mutating, WEBHOOKS),
            Target::new(TargetKind::ApiService, api),
        ],
        elsewhere: Some(elsewhere),
        periods: periods(args)?,
    })
}

/// Whether a Secret holds a certificate of ours in a workspace's namespace.
fn is_certificate(name: &str, seen: &Seen) -> bool {
    let Some(owner) = &seen.owner else {
        return false;
    };
    match owner.kind.as_str() {
        "WebService" => name == web_service::certificate_secret_name(&owner.name),
        "Workspace" => name == workspace::storage::certificate_secret_name(&owner.name),
        _ => false,
    }
}

/// Twice what it is used for, so that an operator that was down for a while finds it still good.
fn authority_life(args: &ServingArgs) -> Duration {
    let used = args.certificate_rotation.unsigned_abs() + args.certificate_life.unsigned_abs();
    used * 2 + args.certificate_overlap.unsigned_abs() * 4
}
