//! `data`.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cluster::Cluster;
use crate::kit::run;

const FIRST: &str = concat!(
    r#"{"time":"2026-01-04T04:00:00.000001Z","requestId":"r-1","service":"digits","input":[1],"prediction":7}"#,
    "\n",
);
const SECOND: &str = concat!(
    r#"{"time":"2026-01-04T04:00:01.000001Z","requestId":"r-2","service":"digits","input":null,"inputSkipped":"TooLong"}"#,
    "\n",
);
const DAMAGED: &str = concat!(
    r#"{"level":"ERROR","message":"modeldata/digits/x cannot be read: it is damaged"}"#,
    "\n",
);
const CURSOR: &str = "2026-01-04/20260104T040000.000Z.digits-x.1.jsonl.gz";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A cluster that has these pages.
fn paged(pages: [&'static str; 2]) -> Cluster {
    Cluster::with(move |asked, stream| {
        let is_second = asked.line.contains("continue=");
        let body = gzip(pages[usize::from(is_second)]);
        let more = match is_second {
            true => String::new(),
            false => format!("x-atelier-continue: {CURSOR}\r\n"),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/gzip\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let bytes = [head.as_bytes(), &body].concat();
        stream.write_all(&bytes).unwrap();
    })
}

#[test]
fn calls_are_printed_as_they_were_collected_page_by_page() {
    let cluster = paged([FIRST, SECOND]);
    let printed = run(&cluster, &["data", "digits"]).fine();
    assert_eq!(printed, [FIRST, SECOND].concat());
    let asked: Vec<_> = cluster
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .collect();
    let path = "GET /apis/actions.atelier.dev/v1alpha1/namespaces/vision/webservices/digits/data";
    assert_eq!(
        asked,
        [path.to_owned(), format!("{path}?continue={CURSOR}")]
    );
}

#[test]
fn only_those_of_a_span_are_printed_and_asked_for() {
    let cluster = paged([FIRST, SECOND]);
    let words = [
        "data", "digits", "--since", "1h", "--until", "1m", "-o", "json",
    ];
    assert_eq!(run(&cluster, &words).fine(), "");
    for asked in cluster.asked() {
        let line = asked.line;
        assert!(
            line.contains("?sinceTime=") && line.contains("&untilTime="),
            "{line}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_complained_about_and_the_rest_is_printed() {
    let ended = run(&paged([DAMAGED, SECOND]), &["data", "digits"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), SECOND));
    assert!(
        ended.err.contains("it is damaged") && ended.err.contains("1 parts"),
        "{ended:?}"
    );
}

#[test]
fn who_may_not_is_told_so() {
    let cluster = Cluster::refusing("403 Forbidden", "Forbidden", "rita may not");
    let why = run(&cluster, &["data", "digits"]).failed(1);
    assert_eq!(why, "Error from server (Forbidden): rita may not\n");
}
