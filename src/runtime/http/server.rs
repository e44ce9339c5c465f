//! Connections of HTTP: so many at once, over TLS where there is a certificate, and none for who is too slow.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::runtime::complaints::Complaints;
use crate::runtime::http::access::From;
use crate::runtime::http::connections::{Connections, Place};
use crate::runtime::http::tls::HttpTls;
use crate::runtime::metrics::Metrics;

/// Connections at once; who comes then takes the place of one that asks for nothing, or waits in the kernel until one ends
/// where all are being answered.
const CONNECTIONS: usize = 256;
/// Within this a handshake is over, and after it each head of a request is there: also the time that a connection may
/// stay open without one. Prometheus scrapes on one connection every 15 s, and makes another where it has to.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer that its reader takes nothing of for so long is for nobody.
const UNREAD: Duration = Duration::from_secs(30);
/// Longest head of a request, bytes.
const LONGEST_HEAD: usize = 16 * 1024;
/// The system has no descriptor to give: connections that end give one back.
const PAUSE: Duration = Duration::from_secs(1);

/// Where it is answered.
#[derive(Debug)]
pub struct Server {
    /// The socket.
    pub listener: TcpListener,
    /// The certificate; without it there is no TLS.
    pub tls: Option<Arc<HttpTls>>,
    /// Where handshakes that fail are counted.
    pub metrics: Arc<Metrics>,
}

impl Server {
    /// Answers by `router` until the task is dropped, and every connection with it.
    pub async fn run(self, router: Router) {
        let complaints = Arc::new(Mutex::new(Complaints::default()));
        let places = Arc::new(Connections::default());
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let (stream, from) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "no HTTP connection can be taken");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            while places.taken() >= CONNECTIONS {
                if places.make_room() {
                    self.metrics.http.refused("crowded");
                } else {
                    connections.join_next().await;
                }
            }
            let place = places.enter(Instant::now(), from.ip());
            let number = place.number();
            // Where the system does not know it, a reader that stands still holds one connection of many.
            let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD));
            let (tls, router) = (self.tls.clone(), router.clone());
            let (metrics, complaints) = (Arc::clone(&self.metrics), Arc::clone(&complaints));
            let end = connections.spawn(async move {
                let Some(tls) = tls else { return answer(stream, from, place, router).await };
                match handshake(&tls, stream).await {
                    Ok(stream) => answer(stream, from, place, router).await,
                    Err(error) => {
                        metrics.http.handshake_failed();
                        let mut complaints =
                            complaints.lock().expect("nothing panics while it holds this lock");
                        if let Some(others) = complaints.due(Instant::now()) {
                            warn!(%from, %error, others, "no TLS with who asks over HTTP");
                        }
                    }
                }
            });
            places.ends_by(number, end);
        }
    }
}

async fn handshake(
    tls: &HttpTls,
    stream: TcpStream,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let accepted = timeout(PATIENCE, tls.acceptor().accept(stream)).await;
    accepted.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")))
}

/// Answers the requests of one connection.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    from: SocketAddr,
    place: Place,
    router: Router,
) {
    let router = TowerToHyperService::new(router);
    let place = Arc::new(place);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(From(from));
        place.asked();
        let (answer, place) = (router.call(request), Arc::clone(&place));
        async move {
            let answer = answer.await?;
            // What goes on keeps its place: there are only so many of those.
            if !is_endless(&answer) {
                place.answered(Instant::now());
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LONGEST_HEAD);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        debug!(%from, %error, "an HTTP connection broke");
    }
}

/// Whether the answer is a stream of events.
fn is_endless<B>(answer: &hyper::Response<B>) -> bool {
    let kind = answer.headers().get(hyper::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind == "text/event-stream")
}
