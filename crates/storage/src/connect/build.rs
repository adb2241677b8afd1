//! From a connection to a client.

use std::sync::Arc;

use object_store::{
    Certificate, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, path::Path, signer::Signer,
};

use super::{ConfigError, Connection, Credential, Limits, Place, Trust, endpoint};

/// The region that the embedded server takes.
const EMBEDDED_REGION: &str = "us-east-1";

/// A client, and what its errors are told with.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) signer: Arc<dyn Signer>,
    /// What all names begin with.
    pub(crate) prefix: Path,
    /// Whom one talks to.
    pub(crate) endpoint: String,
    /// Bucket or container.
    pub(crate) bucket: String,
}

/// Makes a client. Talks to nobody yet.
pub(crate) fn build(connection: &Connection) -> Result<Backend, ConfigError> {
    let options = options(&connection.limits, &connection.trust)?;
    let retry = retry(&connection.limits);
    let place = &connection.place;
    match (place, &connection.credential) {
        (Place::Embedded { endpoint, .. }, Credential::AccessKey { id, secret }) => {
            let builder = AmazonS3Builder::new()
                .with_region(EMBEDDED_REGION)
                .with_access_key_id(id)
                .with_secret_access_key(secret.as_str());
            s3(builder, place, Some(endpoint), None, options, retry)
        }
        (
            Place::S3 {
                endpoint,
                region,
                prefix,
                ..
            },
            Credential::AccessKey { id, secret },
        ) => {
            let builder = AmazonS3Builder::new()
                .with_region(region)
                .with_access_key_id(id)
                .with_secret_access_key(secret.as_str());
            let prefix = prefix.as_deref();
            s3(builder, place, endpoint.as_ref(), prefix, options, retry)
        }
        (
            Place::AzureBlob {
                endpoint,
                account,
                container,
                prefix,
            },
            Credential::AccountKey(key),
        ) => {
            let mut builder = MicrosoftAzureBuilder::new()
                .with_account(account)
                .with_container_name(container)
                .with_access_key(key.as_str())
                .with_retry(retry);
            let mut shown = place.endpoint();
            let mut options = options;
            if let Some(endpoint) = endpoint {
                let url = endpoint::check_of_account(endpoint, account)?;
                options = options.with_allow_http(url.scheme() == "http");
                shown = trimmed(&url);
                builder = builder.with_endpoint(shown.clone());
            }
            let client = builder
                .with_client_options(options)
                .build()
                .map_err(refused)?;
            finish(Arc::new(client), prefix.as_deref(), shown, container)
        }
        (Place::Gcs { bucket, prefix, .. }, Credential::ServiceAccount(json)) => {
            let url = endpoint::check(&place.endpoint())?;
            let options = options.with_allow_http(url.scheme() == "http");
            let shown = trimmed(&url);
            let client = GoogleCloudStorageBuilder::new()
                .with_bucket_name(bucket)
                .with_service_account_key(json.as_str())
                // Said always: else a key file may say it, and lead us anywhere.
                .with_base_url(&shown)
                .with_retry(retry)
                .with_client_options(options)
                .build()
                .map_err(refused)?;
            finish(Arc::new(client), prefix.as_deref(), shown, bucket)
        }
        (Place::Embedded { .. } | Place::S3 { .. }, _) => Err(ConfigError::Credential {
            place: "S3",
            needed: "an access key: accessKeyId and secretAccessKey",
        }),
        (Place::AzureBlob { .. }, _) => Err(ConfigError::Credential {
            place: "AzureBlob",
            needed: "the account's key: accountKey",
        }),
        (Place::Gcs { .. }, _) => Err(ConfigError::Credential {
            place: "Gcs",
            needed: "a service account's key file: serviceAccount.json",
        }),
    }
}

fn s3(
    builder: AmazonS3Builder,
    place: &Place,
    endpoint: Option<&String>,
    prefix: Option<&str>,
    mut options: ClientOptions,
    retry: RetryConfig,
) -> Result<Backend, ConfigError> {
    let bucket = place.bucket();
    let mut builder = builder.with_bucket_name(bucket).with_retry(retry);
    let mut shown = place.endpoint();
    if let Some(endpoint) = endpoint {
        let url = endpoint::check(endpoint)?;
        options = options.with_allow_http(url.scheme() == "http");
        shown = trimmed(&url);
        builder = builder.with_endpoint(&shown);
    }
    let client = builder
        .with_client_options(options)
        .build()
        .map_err(refused)?;
    finish(Arc::new(client), prefix, shown, bucket)
}

fn finish<C: ObjectStore + Signer>(
    client: Arc<C>,
    prefix: Option<&str>,
    endpoint: String,
    bucket: &str,
) -> Result<Backend, ConfigError> {
    let prefix = prefix.unwrap_or_default();
    Ok(Backend {
        prefix: Path::parse(prefix)
            .map_err(|error| ConfigError::Prefix(prefix.to_owned(), error.to_string()))?,
        objects: client.clone(),
        signer: client,
        endpoint,
        bucket: bucket.to_owned(),
    })
}

fn options(limits: &Limits, trust: &Trust) -> Result<ClientOptions, ConfigError> {
    let certificates = match trust {
        Trust::Public => webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|certificate| Certificate::from_der(certificate).ok())
            .collect(),
        Trust::Bundle(pem) => {
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| ConfigError::Bundle)?
        }
    };
    if certificates.is_empty() {
        return Err(ConfigError::Bundle);
    }
    let options = ClientOptions::new()
        .with_allow_http(false)
        .with_connect_timeout(limits.connect)
        // Of a whole transfer, which may take long: what counts is whether it goes on.
        .with_timeout_disabled()
        .with_read_timeout(limits.idle)
        .with_no_system_certificates(true);
    Ok(certificates
        .into_iter()
        .fold(options, ClientOptions::with_root_certificate))
}

fn retry(limits: &Limits) -> RetryConfig {
    RetryConfig {
        max_retries: limits.retries,
        retry_timeout: limits.give_up,
        ..RetryConfig::default()
    }
}

fn trimmed(url: &url::Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn refused(error: object_store::Error) -> ConfigError {
    // A key file that does not parse is not repeated.
    ConfigError::Client(match error {
        object_store::Error::Generic { store, .. } => {
            format!("the credential or the settings of {store} cannot be read")
        }
        other => other.to_string(),
    })
}
