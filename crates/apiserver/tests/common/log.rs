//! A log that is followed, for the actions of both test programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atelier_apiserver::Body;
use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

/// Counts as a follower until it is dropped.
struct Following(Arc<AtomicUsize>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// So many lines, or as many as somebody reads. `followers` counts the streams that have not been dropped.
pub fn follow(followers: &Arc<AtomicUsize>, lines: Option<usize>) -> Response<Body> {
    followers.fetch_add(1, Ordering::SeqCst);
    let following = Following(followers.clone());
    let lines = futures::stream::unfold((following, 0), move |(following, n)| async move {
        if lines == Some(n) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let line = Bytes::from(format!("line {n}\n"));
        Some((Ok(Frame::data(line)), (following, n + 1)))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    let text = "text/plain".parse().unwrap();
    response.headers_mut().insert("content-type", text);
    response
}
