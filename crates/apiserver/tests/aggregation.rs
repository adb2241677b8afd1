//! The server behind a real API server, asked by the real kubectl.
//!
//! There is one APIService of the group in a cluster, so this needs one on which Atelier is not installed; the
//! control-plane profile is enough. It is named by the environment as for all tests on a cluster; without, nothing is
//! tried.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "aggregation/actions.rs"]
mod actions;
#[path = "aggregation/asking.rs"]
mod asking;
#[path = "aggregation/cluster.rs"]
mod cluster;
#[path = "common/log.rs"]
mod log;
#[path = "aggregation/rights.rs"]
mod rights;
#[path = "aggregation/setup.rs"]
mod setup;

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods)]
async fn an_aggregated_api_server() {
    if std::env::var_os("ATELIER_TEST_KUBECONFIG").is_none() {
        eprintln!("ATELIER_TEST_KUBECONFIG is not set: skipped");
        return;
    }
    let set = setup::Setup::new().await;
    cluster::discovery(&set);
    cluster::openapi(&set).await;
    asking::only_who_may(&set).await;
    asking::extras(&set).await;
    asking::bodies_and_tables(&set);
    asking::streams(&set).await;
    cluster::collector_and_namespaces(&set).await;
    cluster::webhook(&set).await;
    cluster::absence(set).await;
}
