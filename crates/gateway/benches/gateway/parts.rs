//! The checks by themselves.

use std::{hint::black_box, time::Instant};

use atelier_gateway::{
    args::ComputeType,
    authn::authenticate,
    policy::InForce,
    record::Identity,
    telemetry::{
        otlp::{Source, encode},
        queue::Queue,
        trace::Trace,
    },
};
use atelier_token::SigningKey;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde_json::json;
use stats_alloc::Region;

use crate::{ALLOCATIONS, Failure, tokens};

/// How often a figure is taken. Each sample is short, and the least disturbed one counts: others use the machine too.
const SAMPLES: usize = 250;

/// More tokens than a gateway remembers, so that none is there when its turn comes again.
const MORE_THAN_REMEMBERED: usize = 5000;

/// The headers of a request with this bearer credential, as a client sends them.
fn headers(credential: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("bench/1"));
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("28"));
    headers.insert(
        header::AUTHORIZATION,
        format!("Bearer {credential}").parse()?,
    );
    Ok(headers)
}

/// Microseconds and allocations of one call, which is told how many came before it.
fn cost(calls: usize, mut call: impl FnMut(usize)) -> (f64, f64) {
    let mut done = 0;
    let mut many = || {
        (done..done + calls).for_each(&mut call);
        done += calls;
    };
    many();
    let counted = Region::new(ALLOCATIONS);
    many();
    let allocations = counted.change().allocations;
    let mut least = f64::INFINITY;
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        many();
        least = least.min(begun.elapsed().as_secs_f64());
    }
    (
        least * 1e6 / calls as f64,
        allocations as f64 / calls as f64,
    )
}

/// A record of an ordinary request, as it stands on stdout.
const LINE: &str = concat!(
    r#"{"time":"2026-01-02T03:04:05.123456Z","name":"/score","HTTPMethod":"POST","UserAgent":"bench/1","#,
    r#""RequestUrl":"/score","StatusCode":200,"RequestId":"0198f0c2-0000-7000-8000-00000000abcd","Duration":1.5,"#,
    r#""authMode":"Key","bytesIn":28,"bytesOut":17,"modelMs":1.25,"queueMs":0.0,"outcome":"Completed","#,
    r#""ComputeType":"Cluster","service":"iris","workspace":"ws","namespace":"ml","replica":"iris-0"}"#,
    "\n"
);

/// Records in a batch.
const BATCH: usize = 400;

/// Microseconds and allocations of one record on its way to a collector: handed in, and written as a log record and as
/// a span, beside the requests.
fn export() -> [(f64, f64); 2] {
    let identity = Identity {
        compute_type: ComputeType::Cluster,
        service: "iris".into(),
        workspace: "ws".into(),
        namespace: "ml".into(),
        replica: "iris-0".into(),
    };
    let source = Source::new(&identity, false);
    let trace = Trace::of(&HeaderMap::new(), "", uuid::Uuid::new_v4);
    let queue = Queue::default();
    let fill =
        |queue: &Queue| (0..BATCH).for_each(|_| assert!(queue.push(LINE.as_bytes(), Some(trace))));
    let (us, allocations) = cost(10, |_| {
        fill(&queue);
        while queue.take(true).is_some() {}
    });
    let handed_in = (us / BATCH as f64, allocations / BATCH as f64);
    fill(&queue);
    let batch = queue.take(true).unwrap_or_default();
    let (us, allocations) = cost(10, |_| {
        assert!(black_box(encode(&batch, &source)).spans == BATCH as u64);
    });
    [handed_in, (us / BATCH as f64, allocations / BATCH as f64)]
}

/// Prints `{"key": …, "cached": …, "uncached": …, "handed_in": …, "written": …}`, each with `us` and `allocations`.
pub fn measure() -> Result<(), Failure> {
    let now = Timestamp::now();
    let judge = |in_force: &InForce, headers: &HeaderMap| {
        assert!(black_box(authenticate(in_force, black_box(headers), now)).is_ok());
    };

    let keyed = InForce::new(tokens::key_policy());
    let with_key = headers(&tokens::keys()[1])?;
    let key = cost(2000, |_| judge(&keyed, &with_key));

    let signer = SigningKey::generate()?;
    let with_tokens: Vec<HeaderMap> = (0..MORE_THAN_REMEMBERED)
        .map(|n| headers(&tokens::token(&signer, n)?))
        .collect::<Result<_, _>>()?;
    let tokened = InForce::new(tokens::token_policy(&signer));
    let cached = cost(1000, |_| judge(&tokened, &with_tokens[0]));
    let uncached = cost(20, |n| {
        judge(&tokened, &with_tokens[n % MORE_THAN_REMEMBERED])
    });

    let [handed_in, written] = export();

    let row = |(us, allocations)| json!({"us": us, "allocations": allocations});
    println!(
        "{}",
        json!({"key": row(key), "cached": row(cached), "uncached": row(uncached),
               "handed_in": row(handed_in), "written": row(written)})
    );
    Ok(())
}
