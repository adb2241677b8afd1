use super::*;

fn embedded(endpoint: &str) -> Connection {
    Connection {
        place: Place::Embedded {
            endpoint: endpoint.to_owned(),
            bucket: "workspace".to_owned(),
        },
        credential: access_key(),
        trust: Trust::Public,
        limits: Limits::default(),
    }
}

fn access_key() -> Credential {
    Credential::AccessKey {
        id: "id".to_owned(),
        secret: "hidden".to_owned().into(),
    }
}

#[test]
fn tls_or_loopback() {
    for good in [
        "https://storage.team.svc:9000",
        "https://storage.team.svc:9000/",
        "https://10.0.0.1",
        "http://127.0.0.1:9000",
        "http://127.9.9.9:9000",
        "http://[::1]:9000",
        "http://localhost:9000",
    ] {
        assert!(build(&embedded(good)).is_ok(), "{good}");
    }
    for plain in [
        "http://storage.team.svc:9000",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://[::ffff:7f00:1]",
        "ftp://127.0.0.1",
    ] {
        let refused = build(&embedded(plain)).unwrap_err();
        assert!(
            matches!(refused, ConfigError::Plain(_)),
            "{plain}: {refused}"
        );
    }
}

#[test]
fn an_endpoint_is_an_address_and_no_more() {
    for more in [
        "https://s3.example.com/bucket",
        "https://s3.example.com?x=y",
        "https://user:secret@s3.example.com",
    ] {
        let refused = build(&embedded(more)).unwrap_err();
        assert_eq!(
            refused,
            ConfigError::TooMuch("https://s3.example.com".to_owned())
        );
    }
    for none in ["", "s3.example.com", "https://"] {
        let refused = build(&embedded(none)).unwrap_err();
        assert_eq!(refused, ConfigError::NoUrl(none.to_owned()));
    }
}

#[test]
fn the_addresses_of_a_machines_own_credentials_are_refused() {
    for metadata in [
        "https://169.254.169.254",
        "http://169.254.169.254",
        "https://2852039166",
        "https://[fe80::1]",
        "https://[::ffff:169.254.169.254]",
    ] {
        let refused = build(&embedded(metadata)).unwrap_err();
        assert!(
            matches!(refused, ConfigError::LinkLocal(_)),
            "{metadata}: {refused}"
        );
    }
}

#[test]
fn each_kind_of_place_says_which_credential_it_needs() {
    let mut connection = embedded("https://s3.example.com");
    connection.credential = Credential::AccountKey("c2VjcmV0".to_owned().into());
    let refused = build(&connection).unwrap_err().to_string();
    assert!(refused.contains("secretAccessKey"), "{refused}");

    connection.place = Place::AzureBlob {
        endpoint: None,
        account: "account".to_owned(),
        container: "container".to_owned(),
        prefix: None,
    };
    assert!(build(&connection).is_ok());
    connection.credential = access_key();
    assert!(build(&connection).is_err());

    connection.place = google(None);
    assert!(build(&connection).is_err());
}

fn google(endpoint: Option<&str>) -> Place {
    Place::Gcs {
        endpoint: endpoint.map(Into::into),
        bucket: "bucket".to_owned(),
        prefix: None,
    }
}

#[test]
fn a_key_file_leads_nobody_to_another_server() {
    let mut connection = embedded("https://s3.example.com");
    let file = r#"{"private_key": "k", "private_key_id": "i", "client_email": "e", "disable_oauth": true,
        "gcs_base_url": "https://elsewhere.example.com"}"#;
    connection.credential = Credential::ServiceAccount(file.to_owned().into());
    for (endpoint, shown) in [
        (None, "https://storage.googleapis.com"),
        (
            Some("https://private.example.com"),
            "https://private.example.com",
        ),
    ] {
        connection.place = google(endpoint);
        let backend = build(&connection).unwrap();
        assert_eq!(backend.endpoint, shown);
        let client = format!("{:?}", backend.objects);
        assert!(client.contains(shown), "{client}");
        let used = client.contains("base_url: \"https://elsewhere");
        assert!(!used, "{client}");
    }
    connection.place = google(Some("http://private.example.com"));
    assert!(build(&connection).is_err());
}

#[test]
fn an_account_may_be_the_path_of_its_endpoint_and_nothing_else_may() {
    let mut connection = embedded("https://s3.example.com");
    connection.credential = Credential::AccountKey("c2VjcmV0".to_owned().into());
    for (endpoint, good) in [
        ("https://edge.example.com:11002/account", true),
        ("https://edge.example.com:11002/account/", true),
        ("https://edge.example.com:11002", true),
        ("https://edge.example.com:11002/other", false),
        ("https://edge.example.com:11002/account/more", false),
        ("https://edge.example.com:11002/account?sas", false),
    ] {
        connection.place = Place::AzureBlob {
            endpoint: Some(endpoint.to_owned()),
            account: "account".to_owned(),
            container: "container".to_owned(),
            prefix: None,
        };
        assert_eq!(build(&connection).is_ok(), good, "{endpoint}");
    }
}

#[test]
fn a_key_file_that_cannot_be_read_is_not_repeated() {
    let mut connection = embedded("https://s3.example.com");
    connection.place = google(None);
    connection.credential =
        Credential::ServiceAccount(r#"{"private_key": "hidden"#.to_owned().into());
    let refused = build(&connection).unwrap_err().to_string();
    assert!(!refused.contains("hidden"), "{refused}");
}

#[test]
fn a_bundle_has_certificates() {
    for none in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let mut connection = embedded("https://s3.example.com");
        connection.trust = Trust::Bundle(none.to_owned());
        assert!(build(&connection).is_err(), "{none:?}");
    }
}

#[test]
fn nothing_shows_a_credential() {
    let shown = format!("{:?}", embedded("https://s3.example.com"));
    assert!(!shown.contains("hidden"), "{shown}");
}
