//! `requests`.

use crate::cluster::Cluster;
use crate::kit::run;

const LOG: &str = concat!(
    r#"{"level":"INFO","fields":{"message":"the gateway serves"}}"#,
    "\n",
    r#"{"time":"2026-01-04T04:00:00.000001Z","name":"/score","HTTPMethod":"POST","StatusCode":200,"RequestId":"r-1","Duration":12.5,"subject":"rita","outcome":"Completed"}"#,
    "\n",
    r#"[digits-2] {"time":"2026-01-04T04:00:01.000001Z","name":"/score","HTTPMethod":"POST","StatusCode":401,"RequestId":"r-2","Duration":0.2,"outcome":"Unauthorized"}"#,
    "\n",
);

fn printed(words: &[&str]) -> String {
    let cluster = Cluster::answering("200 OK", "text/plain", LOG);
    let printed = run(&cluster, words).fine();
    let asked = cluster.only().line;
    assert!(
        asked.contains("/namespaces/vision/webservices/digits/log?container=gateway"),
        "{asked}"
    );
    printed
}

#[test]
fn each_request_is_a_row_and_the_gateways_own_log_is_none() {
    let table = printed(&["requests", "digits"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("TIME") && lines[0].ends_with("REQUEST-ID"));
    assert!(lines[1].contains("rita") && lines[1].ends_with("r-1"));
    assert!(lines[2].contains("Unauthorized") && lines[2].ends_with("r-2"));
}

#[test]
fn those_that_failed_alone_and_as_they_were_recorded() {
    let json = printed(&["requests", "digits", "--failed", "-o", "json"]);
    let record: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(record["RequestId"], "r-2");
}

#[test]
fn a_summary_counts_them() {
    let summary = printed(&["requests", "digits", "--summary", "--since", "1h"]);
    assert!(summary.contains("200      Completed") && summary.ends_with("\n2 requests\n"));
}

#[test]
fn a_summary_has_no_end_and_no_form_to_choose() {
    let cluster = Cluster::answering("200 OK", "text/plain", LOG);
    for words in [
        &["requests", "digits", "--summary", "-f"][..],
        &["requests", "digits", "--summary", "-o", "json"],
        &["requests"],
        &["requests", "run/first"],
    ] {
        run(&cluster, words).failed(2);
    }
    assert!(cluster.asked().is_empty());
}
