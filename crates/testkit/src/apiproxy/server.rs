//! Connections from clients.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::handle::{Inner, handle};

/// Accepts connections for ever.
pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, inner: Arc<Inner>) {
    loop {
        let (stream, _) = listener
            .accept()
            .await
            .expect("the proxy can accept connections: enough file descriptors?");
        let _ = stream.set_nodelay(true);
        let number = inner.killer.connection();
        tokio::spawn(connection(stream, tls.clone(), inner.clone(), number));
    }
}

/// Serves one connection until it ends or is to be reset.
async fn connection(stream: TcpStream, tls: TlsAcceptor, inner: Arc<Inner>, number: u64) {
    let mut broken = Box::pin(inner.killer.clone().broken(number));
    let stream = tokio::select! {
        stream = tls.accept(stream) => stream,
        () = &mut broken => return,
    };
    // A client that went away, or that does not trust us.
    let Ok(stream) = stream else { return };
    let service = service_fn(|request| handle(inner.clone(), number, request));
    let mut served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let reset = tokio::select! {
        end = &mut served => end.is_err(),
        () = &mut broken => true,
    };
    if reset {
        let (socket, _) = served.into_parts().io.into_inner().into_inner();
        // Closing it now sends a reset instead of an orderly end.
        let _ = socket.set_zero_linger();
    }
}
