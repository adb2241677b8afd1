//! `logs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use crate::cluster::Cluster;
use crate::kit::{Ended, run, towards};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

fn asked_for(words: &[&str]) -> String {
    let cluster = Cluster::answering("200 OK", "text/plain", "line\n");
    assert_eq!(run(&cluster, words).fine(), "line\n");
    let line = cluster.only().line;
    line.strip_prefix("GET /apis/actions.atelier.dev/v1alpha1/namespaces/vision/")
        .unwrap()
        .to_owned()
}

#[test]
fn only_what_was_said_is_asked() {
    assert_eq!(asked_for(&["logs", "digits"]), "webservices/digits/log");
    assert_eq!(
        asked_for(&["logs", "service/digits", "--tail", "-1"]),
        "webservices/digits/log"
    );
    assert_eq!(asked_for(&["logs", "run/first"]), "runs/first/log");
}

#[test]
fn every_option_is_part_of_the_query() {
    assert_eq!(
        asked_for(&[
            "logs",
            "digits",
            "-f",
            "--tail",
            "20",
            "--since",
            "1h",
            "--container",
            "gateway",
            "-p",
            "--timestamps",
        ]),
        "webservices/digits/log?follow=true&tailLines=20&sinceSeconds=3600\
         &container=gateway&previous=true&timestamps=true"
    );
    assert_eq!(
        asked_for(&["logs", "run/first", "--tail", "0"]),
        "runs/first/log?tailLines=0"
    );
}

#[test]
fn what_makes_no_sense_is_not_asked() {
    let cluster = Cluster::answering("200 OK", "text/plain", "line\n");
    for words in [
        &["logs", "run/first", "--container", "model"][..],
        &["logs", "pod/first"],
        &["logs", "../secrets"],
        &["logs", "digits", "--tail", "-2"],
        &["logs", "digits", "--since", "1d"],
        &["logs"],
    ] {
        run(&cluster, words).failed(2);
    }
    assert!(cluster.asked().is_empty());
}

#[test]
fn a_line_is_printed_when_it_comes() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let cluster = Cluster::with(move |_, stream| {
        stream.write_all(HEAD.as_bytes()).unwrap();
        chunk(stream, "first\n").unwrap();
        wait.lock().unwrap().recv().unwrap();
        chunk(stream, "second\n").unwrap();
        chunk(stream, "").unwrap();
    });
    let mut child = towards(&cluster, &["logs", "digits", "-f"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    go.send(()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    assert!(lines.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_log_that_is_cut_off_says_so() {
    let cluster = Cluster::with(|_, stream| {
        stream.write_all(HEAD.as_bytes()).unwrap();
        chunk(stream, "first\n").unwrap();
    });
    let Ended { code, out, err } = run(&cluster, &["logs", "digits"]);
    assert_eq!((code, out.as_str()), (Some(1), "first\n"));
    assert!(err.starts_with("error: the answer was cut off: "), "{err}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let cluster = Cluster::with(|_, stream| {
        let _ = stream.write_all(HEAD.as_bytes());
        // Until the other side hangs up.
        while chunk(stream, &"a line of some length\n".repeat(100)).is_ok() {}
    });
    let mut child = towards(&cluster, &["logs", "digits", "-f"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "a line of some length");
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}
