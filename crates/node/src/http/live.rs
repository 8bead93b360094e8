//! The log as it moves on: server-sent events (WHATWG HTML, "Server-sent events") at `GET /v1/log/events`, so that a page that shows the log
//! need not ask again and again.
//!
//! A stream takes a place for as long as somebody looks. So there are few places in all and fewer for one network, a stream ends after some
//! minutes (browsers come again by themselves), and all end when the node stops. What is told is public, unsigned, and holds nothing of
//! persons: two sizes. Who hears it fetches the checkpoint and checks that; who gets no place asks now and then instead.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::api::LogEvent;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::limits::network;
use super::problem::Failure;
use super::{Api, whose};

/// Streams at one time, in all and of one network. Loopback, where a reverse proxy speaks for everybody, may have all.
const MOST: u32 = 256;
const EACH: u32 = 4;
/// Life of a stream.
const LIFE: Duration = Duration::from_secs(300);
/// A line that says nothing, so that proxies do not cut a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Between two events at least: many batches in a row are one piece of news.
const PAUSE: Duration = Duration::from_millis(300);
/// Before a browser whose stream ended comes again.
const AGAIN: Duration = Duration::from_secs(2);

/// Places for streams.
#[derive(Clone)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
    end: CancellationToken,
    most: u32,
    each: u32,
    life: Duration,
}

impl Streams {
    /// At most an eighth of all `connections`.
    pub(super) fn new(connections: u32) -> Self {
        let most = (connections / 8).clamp(1, MOST);
        Self { open: Arc::default(), end: CancellationToken::new(), most, each: EACH.min(most), life: LIFE }
    }

    /// Ends all streams, for good.
    pub(crate) fn close(&self) {
        self.end.cancel();
    }

    fn take(&self, address: IpAddr) -> Option<Place> {
        let key = network(address);
        let share = if key.is_loopback() { self.most } else { self.each };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u32 = open.values().sum();
        let own = open.get(&key).copied().unwrap_or(0);
        if self.end.is_cancelled() || total >= self.most || own >= share {
            return None;
        }
        open.insert(key, own + 1);
        Some(Place { streams: self.clone(), key })
    }
}

struct Place {
    streams: Streams,
    key: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// The call of this module.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(log_events))
}

/// The log as it moves on
///
/// Server-sent events named `log`, each with a `LogEvent` as JSON: one at once, then one whenever another checkpoint is served. A stream ends
/// after five minutes, or when the node stops; connect again. Where all places are taken, ask `GET /v1/log` now and then instead.
#[utoipa::path(get, path = "/v1/log/events", tag = "log",
    responses((status = 200, description = "A stream of events", body = LogEvent, content_type = "text/event-stream")))]
async fn log_events(
    State(api): State<Arc<Api>>,
    address: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let connection = address.map_or(IpAddr::from([127, 0, 0, 1]), |axum::Extension(ConnectInfo(address))| address.ip());
    let place = api.streams.take(whose(connection, &headers, api.forwarded_for)).ok_or_else(|| {
        let what = "this node tells as many listeners as it can already; ask GET /v1/log now and then instead";
        Failure::new("busy", what).retry_after(60)
    })?;
    let news = api.app.log_news();
    let told =
        Telling { until: Instant::now() + api.streams.life, end: api.streams.end.clone(), api, news, begun: false, place };
    let events = Sse::new(events(told)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Reverse proxies that gather answers (nginx) pass this one on as it comes.
    Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], events).into_response())
}

struct Telling {
    api: Arc<Api>,
    news: watch::Receiver<(u64, usize)>,
    begun: bool,
    until: Instant,
    end: CancellationToken,
    /// Held for as long as the stream lives.
    #[expect(dead_code, reason = "counts while it is here")]
    place: Place,
}

fn events(told: Telling) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(told, async |mut told| {
        if told.begun && !more(&mut told).await {
            return None;
        }
        told.news.mark_unchanged();
        let log = told.api.app.log();
        let event = LogEvent { published_size: log.published_size, cosigned_size: log.cosigned_size };
        let mut line = Event::default().event("log").json_data(event).ok()?;
        if !told.begun {
            (line, told.begun) = (line.retry(AGAIN), true);
        }
        Some((Ok(line), told))
    })
}

/// Waits for news. No more comes when the node stops or the stream has lived its time.
async fn more(told: &mut Telling) -> bool {
    let wait = async {
        tokio::time::sleep(PAUSE).await;
        told.news.changed().await.is_ok()
    };
    tokio::select! {
        more = wait => more,
        () = tokio::time::sleep_until(told.until) => false,
        () = told.end.cancelled() => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_in_all_and_fewer_for_one_network() {
        let streams = Streams::new(64);
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let held: Vec<Place> = (0..4).map(|_| streams.take(one).unwrap()).collect();
        assert!(streams.take(one).is_none());
        let more: Vec<Place> = (0..4).map(|_| streams.take(two).unwrap()).collect();
        assert!(streams.take("192.0.2.3".parse().unwrap()).is_none(), "eight of 64 connections in all");
        drop((held, more));
        assert!(streams.open.lock().unwrap().is_empty(), "places that nobody holds are free");
        assert!((0..8).map(|_| streams.take("127.0.0.1".parse().unwrap())).all(|place| place.is_some()));
        streams.close();
        assert!(streams.take(one).is_none(), "none begins when the node stops");
    }
}
