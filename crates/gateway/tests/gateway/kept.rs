//! Connections to the model are kept between requests, closed when they rest, and driven by nobody but their request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, sink},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{GATEWAY, Gateway, PATIENCE, PRIMARY, eventually, in_pod},
    http_client::{call, request},
    models,
};

const MIB: usize = 1 << 20;

/// How often something happened.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn one_more(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn one_connection_serves_requests_one_after_the_other_and_is_closed_when_it_rests() {
    in_pod(|| async {
        let (asked, used, closed) = (Count::default(), Count::default(), Count::default());
        let counts = (asked.clone(), used.clone(), closed.clone());
        models::connections(move |mut stream| {
            let (asked, used, closed) = counts.clone();
            async move {
                let mut is_used = false;
                while models::read_head(&mut stream).await {
                    if !std::mem::replace(&mut is_used, true) {
                        used.one_more();
                    }
                    // All at once, and in two parts with the end for itself.
                    let answer: &[&str] = match asked.one_more() % 3 {
                        0 => &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],
                        1 => &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "ok"],
                        _ => &[
                            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
                            "0\r\n\r\n",
                        ],
                    };
                    for part in answer {
                        tokio::task::yield_now().await;
                        let _ = stream.write_all(part.as_bytes()).await;
                    }
                }
                if is_used {
                    closed.one_more();
                }
            }
        })
        .await;
        let _gateway = Gateway::ready(&[]).await;
        for _ in 0..30 {
            let answer = call(request("GET", "/score", &[("x-api-key", PRIMARY)], "")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text().as_str()),
                (200, "ok")
            );
        }
        assert_eq!((asked.so_far(), used.so_far()), (30, 1));
        eventually("it is closed", || async { closed.so_far() == 1 }).await;
    });
}

#[test]
fn who_reads_nothing_before_all_is_sent_is_not_held_up_by_an_answer_that_comes_early() {
    in_pod(|| async {
        let heard = Arc::new(AtomicU64::new(0));
        let hears = Arc::clone(&heard);
        models::connections(move |mut stream| {
            let heard = Arc::clone(&hears);
            async move {
                if models::read_head(&mut stream).await {
                    let (mut reader, mut writer) = stream.split();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 8 * MIB);
                    let answers = async {
                        let _ = writer.write_all(head.as_bytes()).await;
                        let _ = writer.write_all(&vec![b'.'; 8 * MIB]).await;
                    };
                    let mut nowhere = sink();
                    let (read, ()) =
                        tokio::join!(tokio::io::copy(&mut reader, &mut nowhere), answers);
                    heard.store(read.unwrap_or(0), Ordering::SeqCst);
                }
            }
        })
        .await;
        let _gateway = Gateway::ready(&["--max-body-bytes", "1073741824"]).await;
        let mut stream = TcpStream::connect(GATEWAY).await.expect("a connection");
        let head = format!(
            "POST /score HTTP/1.1\r\nhost: h\r\nx-api-key: {PRIMARY}\r\ncontent-length: {}\r\n\r\n",
            32 * MIB
        );
        let sends = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&vec![b'.'; 32 * MIB]).await
        };
        let sent = timeout(PATIENCE, sends).await;
        sent.expect("all is sent in time")
            .expect("an open connection");
        let mut answer = vec![0; 8 * MIB];
        let read = timeout(PATIENCE, stream.read_exact(&mut answer)).await;
        read.expect("an answer in time").expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        let all = || async { heard.load(Ordering::SeqCst) == 32 * MIB as u64 };
        eventually("the model has heard all", all).await;
    });
}
