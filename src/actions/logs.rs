//! `webservices/log` and `runs/log`: what the kubelets keep, as it comes.

use atelier_api::{Run, WebService, labels};
use atelier_apiserver::{Body, BoxError, Call, Reason, Refusal, empty};
use bytes::Bytes;
use futures::io::{AsyncBufRead, AsyncBufReadExt as _};
use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};

use super::object::get;
use super::{Deps, kept};
use crate::run::outcome::MAIN;
use crate::web_service::{GATEWAY, MODEL};

/// How many pods are followed at a time: each is a connection to the API server.
const MOST_PODS: usize = 16;

/// The output of a service's pods, by default of their models; with more than one pod each line says which. Or, if
/// asked for, what the archive has of its requests.
pub async fn service(deps: Deps, call: Call, _: Request<Body>) -> Result<Response<Body>, Refusal> {
    let service: WebService = get(&deps.client, &call).await?;
    if flag(&call, "archive")? {
        return kept::records(&deps, &call, &service).await;
    }
    let container = match call.query_value("container").as_deref() {
        None | Some("") | Some("model") => MODEL,
        Some("gateway") => GATEWAY,
        Some(other) => {
            let message = format!("there is no container {other:?}: it is model or gateway");
            return Err(Refusal::bad_request(message));
        }
    };
    let params = params(&call, container)?;
    let pods: Api<Pod> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let selector = format!(
        "app.kubernetes.io/component=webservice,app.kubernetes.io/instance={},{}={}",
        service.name_any(),
        labels::MANAGED_BY,
        labels::MANAGER
    );
    let found = pods.list(&ListParams::default().labels(&selector)).await;
    let found = found.map_err(|error| Refusal::from_api("list the service's pods", &error))?;
    let mut names: Vec<_> = found
        .iter()
        .filter(|pod| has_begun(pod))
        .map(ResourceExt::name_any)
        .collect();
    names.sort();
    if let Some(pod) = call.query_value("pod").filter(|pod| !pod.is_empty()) {
        names.retain(|name| *name == pod);
    }
    if names.is_empty() {
        return Err(nothing("the service has no pod that has begun"));
    }
    if names.len() > MOST_PODS {
        let message = format!(
            "{} pods are too many at a time: name one (pod=NAME)",
            names.len()
        );
        return Err(Refusal::bad_request(message));
    }
    let mut streams = Vec::new();
    let several = names.len() > 1;
    for name in names {
        let lines = open(&pods, &name, &params).await?;
        let prefix = several.then(|| format!("[{name}] "));
        streams.push(
            lines
                .map_ok(move |line| prefixed(prefix.as_deref(), line))
                .boxed(),
        );
    }
    Ok(answer(select_all(streams).boxed()))
}

/// The output of a run's command, in its last attempt.
pub async fn run(deps: Deps, call: Call, _: Request<Body>) -> Result<Response<Body>, Refusal> {
    let run: Run = get(&deps.client, &call).await?;
    let params = params(&call, MAIN)?;
    let name = run.status.as_ref().and_then(|status| status.pod.clone());
    let name = name.ok_or_else(|| nothing("the run has not begun: see runs/why"))?;
    let pods: Api<Pod> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let pod = pods.get_opt(&name).await;
    let pod = pod.map_err(|error| Refusal::from_api("look for the run's pod", &error))?;
    // A pod of that name is the run's only if the run owns it.
    let owned = |pod: &Pod| {
        pod.owner_references()
            .iter()
            .any(|o| Some(&o.uid) == run.metadata.uid.as_ref())
    };
    let pod = pod
        .filter(owned)
        .ok_or_else(|| nothing("the run's pod is gone, and its output with it"))?;
    if !has_begun(&pod) {
        return Err(nothing("the run's command has not begun: see runs/why"));
    }
    Ok(answer(open(&pods, &name, &params).await?))
}

fn has_begun(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase.is_some_and(|phase| phase != "Pending")
}

fn nothing(message: &str) -> Refusal {
    Refusal::new(Reason::NotFound, message)
}

fn flag(call: &Call, name: &str) -> Result<bool, Refusal> {
    match call.query_value(name).as_deref() {
        None | Some("" | "false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(Refusal::bad_request(format!("{name} is true or false"))),
    }
}

pub(super) fn number(call: &Call, name: &str) -> Result<Option<i64>, Refusal> {
    match call.query_value(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(number) if number >= 0 => Ok(Some(number)),
            _ => Err(Refusal::bad_request(format!(
                "{name} is a whole number from 0"
            ))),
        },
    }
}

/// What was asked for, as kubectl writes it.
fn params(call: &Call, container: &str) -> Result<LogParams, Refusal> {
    Ok(LogParams {
        container: Some(container.to_owned()),
        follow: flag(call, "follow")?,
        previous: flag(call, "previous")?,
        timestamps: flag(call, "timestamps")?,
        tail_lines: number(call, "tailLines")?,
        since_seconds: number(call, "sinceSeconds")?.filter(|seconds| *seconds > 0),
        ..LogParams::default()
    })
}

type Lines = BoxStream<'static, std::io::Result<Vec<u8>>>;

async fn open(pods: &Api<Pod>, name: &str, params: &LogParams) -> Result<Lines, Refusal> {
    let opened = pods.log_stream(name, params).await;
    match opened {
        Ok(reader) => Ok(lines(reader).boxed()),
        // The kubelet's own words: no such earlier container, not started yet.
        Err(kube::Error::Api(status)) if status.code == 400 => {
            Err(Refusal::bad_request(status.message.clone()))
        }
        Err(error) => Err(Refusal::from_api(
            &format!("read the log of pod {name}"),
            &error,
        )),
    }
}

/// Whole lines with their ends, so that those of several pods do not mix.
fn lines(
    reader: impl AsyncBufRead + Send + 'static,
) -> impl Stream<Item = std::io::Result<Vec<u8>>> + Send {
    futures::stream::try_unfold(Box::pin(reader), async |mut reader| {
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line).await?;
        Ok((read > 0).then_some((line, reader)))
    })
}

fn prefixed(prefix: Option<&str>, mut line: Vec<u8>) -> Vec<u8> {
    let Some(prefix) = prefix else { return line };
    line.splice(0..0, prefix.bytes());
    // The last line of a pod may lack its end, and another pod's would follow on it.
    if line.last() != Some(&b'\n') {
        line.push(b'\n');
    }
    line
}

fn answer(lines: Lines) -> Response<Body> {
    streamed(lines.map_ok(Bytes::from), "text/plain; charset=utf-8")
}

pub(super) fn streamed(
    pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    content_type: &'static str,
) -> Response<Body> {
    let frames = pieces.map_ok(Frame::data).map_err(BoxError::from);
    let mut response = Response::new(empty());
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn lines_keep_their_ends_and_say_whose_they_are() {
        let read: Vec<_> = lines(Cursor::new(b"a\nb"))
            .try_collect()
            .await
            .expect("readable");
        assert_eq!(read, [b"a\n".to_vec(), b"b".to_vec()]);
        assert_eq!(prefixed(Some("[p] "), b"b".to_vec()), b"[p] b\n");
        assert_eq!(prefixed(None, b"b".to_vec()), b"b");
    }
}
