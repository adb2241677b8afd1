//! A model that can be reached around the gateway is not served.

use tokio::net::TcpListener;

use crate::{
    harness::{Gateway, PRIMARY, SECONDARY, in_pod, policy},
    http_client::{call, score},
    models,
};

/// The exit code, and what the kubelet finds.
async fn end(mut gateway: Gateway) -> (Option<i32>, String) {
    let code = gateway.exit().await.code();
    gateway.logged("ModelNotOnLoopback").await;
    (code, gateway.termination_log())
}

#[test]
fn a_model_on_all_addresses_is_found_before_anything_is_served() {
    in_pod(|| async {
        for (address, found) in [
            ("0.0.0.0:5001", "port 5001 listens on 0.0.0.0"),
            ("[::]:5001", "port 5001 listens on ::"),
            // Not the gateway's yet when it looks.
            ("0.0.0.0:8080", "port 8080 listens on 0.0.0.0"),
        ] {
            let listener = TcpListener::bind(address).await.expect("a free port");
            let gateway = Gateway::spawn(Some(&policy(Some((PRIMARY, SECONDARY)))), &[], true);
            let (code, reason) = end(gateway).await;
            assert_eq!(code, Some(86), "{address}");
            assert_eq!(
                reason,
                format!("ModelNotOnLoopback: {found}, bind it to 127.0.0.1")
            );
            drop(listener);
        }
    });
}

#[test]
fn a_model_that_opens_up_later_is_found_while_serving() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&[]).await;
        assert_eq!(call(score("{}")).await.status, 200);
        let _opened = TcpListener::bind("0.0.0.0:9999")
            .await
            .expect("a free port");
        let (code, reason) = end(gateway).await;
        assert_eq!(code, Some(86));
        assert!(reason.contains("port 9999 listens on 0.0.0.0"), "{reason}");
    });
}

#[test]
fn listeners_on_loopback_are_nobodys_business() {
    in_pod(|| async {
        models::echo().await;
        let _others = [
            TcpListener::bind("127.0.0.1:9999")
                .await
                .expect("a free port"),
            TcpListener::bind("127.3.2.1:9999")
                .await
                .expect("a free port"),
            TcpListener::bind("[::1]:9999").await.expect("a free port"),
            TcpListener::bind("[::ffff:127.0.0.1]:9998")
                .await
                .expect("a free port"),
        ];
        let _gateway = Gateway::ready(&["--listen", "[::]:8080"]).await;
        assert_eq!(call(score("{}")).await.status, 200);
    });
}
