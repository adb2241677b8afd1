//! Which addresses may be talked to.

use url::{Host, Url};

use super::ConfigError;

/// A URL of a server, and nothing more: TLS, or loopback.
pub(super) fn check(endpoint: &str) -> Result<Url, ConfigError> {
    check_with(endpoint, |path| matches!(path, "" | "/"))
}

/// The same, or a URL whose path is the name of an account.
pub(super) fn check_of_account(endpoint: &str, account: &str) -> Result<Url, ConfigError> {
    check_with(endpoint, |path| {
        let path = path.trim_matches('/');
        path.is_empty() || path == account
    })
}

fn check_with(endpoint: &str, is_path: impl Fn(&str) -> bool) -> Result<Url, ConfigError> {
    let url = Url::parse(endpoint).map_err(|_| ConfigError::NoUrl(redact(endpoint)))?;
    let Some(host) = url.host() else {
        return Err(ConfigError::NoUrl(redact(endpoint)));
    };
    let more = !is_path(url.path()) || url.query().is_some() || url.fragment().is_some();
    if more || !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::TooMuch(shown(&url)));
    }
    if is_link_local(&host) {
        return Err(ConfigError::LinkLocal(shown(&url)));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&host) => Ok(url),
        _ => Err(ConfigError::Plain(shown(&url))),
    }
}

/// Without a password, should somebody have written one.
fn shown(url: &Url) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

fn redact(endpoint: &str) -> String {
    match endpoint.rsplit_once('@') {
        Some((_, after)) => format!("…@{after}"),
        None => endpoint.to_owned(),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        // As a URL; what a resolver says of other names is not to be relied on.
        Host::Domain(name) => *name == "localhost",
    }
}

/// The address of a cloud's metadata, and its neighbours.
fn is_link_local(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_link_local(),
        Host::Ipv6(address) => {
            address.is_unicast_link_local()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_link_local())
        }
        Host::Domain(_) => false,
    }
}
