//! The way to the API server.

use std::path::Path;

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::ConfigExt as _;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};

/// What belongs to one connection, or would make the answer unreadable to us.
const OURS: [HeaderName; 7] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    TE,
    UPGRADE,
    ACCEPT_ENCODING,
];

/// Sends requests to the API server, with the credentials of whoever made them.
pub(super) struct Upstream {
    base: Uri,
    send: Box<dyn Send_>,
}

/// Hides the type of the connector, which belongs to a crate that we do not name.
trait Send_: Send + Sync {
    fn send(&self, request: Request<Full<Bytes>>) -> Answer;
}

type Answer = hyper_util::client::legacy::ResponseFuture;

impl<C: Connect + Clone + Send + Sync + 'static> Send_ for Client<C, Full<Bytes>> {
    fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.request(request)
    }
}

impl Upstream {
    /// The API server that a kubeconfig leads to.
    pub async fn new(kubeconfig: &Path) -> Self {
        let read = Kubeconfig::read_from(kubeconfig)
            .unwrap_or_else(|error| panic!("{}: {error}", kubeconfig.display()));
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", kubeconfig.display()));
        // Nobody acts as the administrator by going through the proxy.
        config.auth_info = AuthInfo::default();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = config
            .rustls_https_connector_with_connector(tcp)
            .expect("the kubeconfig's certificates are of use");
        Self {
            base: config.cluster_url,
            send: Box::new(Client::builder(TokioExecutor::new()).build(connector)),
        }
    }

    /// Sends a request. Nothing is returned if there is no answer.
    pub async fn send(&self, client: &Parts, body: Bytes) -> Option<Response<Incoming>> {
        let mut uri = self.base.clone().into_parts();
        let path = client.uri.path_and_query();
        uri.path_and_query = path.cloned().or(Some(PathAndQuery::from_static("/")));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = client.method.clone();
        *request.uri_mut() = Uri::from_parts(uri).expect("the base and a path make an address");
        *request.headers_mut() = without_ours(client.headers.clone());
        let mut answer = self.send.send(request).await.ok()?;
        *answer.headers_mut() = without_ours(std::mem::take(answer.headers_mut()));
        Some(answer)
    }
}

fn without_ours(mut headers: HeaderMap) -> HeaderMap {
    for ours in &OURS {
        headers.remove(ours);
    }
    headers
}
