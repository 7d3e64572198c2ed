//! What Prometheus reads: on a listener of its own, so that no proxy leads strangers to it.
//!
//! What happens often is counted where it happens, by atomics. What stands somewhere is asked for when it is read.

mod moment;
mod process;
mod requests;

pub use requests::{Requests, UNMATCHED, method_name};

use super::{Context, health};
use crate::domain::error::Result;
use crate::domain::limit::LimitName;
use crate::engine::{Census, Engine, Vitals};
use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use moment::Moment;
use prometheus::{Registry, TextEncoder};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What is counted while the server runs.
pub struct Metrics {
    registry: Registry,
    requests: prometheus::HistogramVec,
    started: SystemTime,
}

impl Metrics {
    pub fn new(engine: &Engine) -> Result<Self> {
        let (registry, requests) = (Registry::new(), requests::durations()?);
        registry.register(Box::new(requests.clone()))?;
        for collector in engine.collectors() {
            registry.register(collector)?;
        }
        Ok(Self { registry, requests, started: SystemTime::now() })
    }

    /// For one thread that answers.
    pub fn requests(&self) -> Requests {
        Requests::new(self.requests.clone())
    }

    /// All of it in Prometheus' text format.
    async fn text(&self, context: &Context) -> Result<String> {
        let moment = Moment::default();
        vitals(&moment, &context.engine.vitals())?;
        // A file that cannot be read now is one thing that is to be seen; the rest of it is shown all the same.
        match context.engine.census().await {
            Ok(census) => counts(&moment, &census)?,
            Err(fault) => tracing::warn!(%fault, "the counts for the metrics"),
        }
        moment.gauge_ms(
            "refloop_sweep_lag_seconds",
            "Since the last whole sweep (expiries, old ids and clicks) ended.",
            context.engine.sweep_lag_ms(),
        )?;
        moment.counters(
            "refloop_limit_refusals_total",
            "Requests that a rate limit has refused.",
            "limit",
            LimitName::ALL.into_iter().map(|name| (name.as_str(), context.limiter.refused(name))),
        )?;
        process::add(&moment, self.started)?;
        let mut families = self.registry.gather();
        families.extend(moment.gather());
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }
}

fn vitals(moment: &Moment, vitals: &Vitals) -> Result<()> {
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    moment.gauge(
        "refloop_writer_queue_depth",
        "Units of work that wait for the writer, or that it is doing.",
        whole(vitals.queued),
    )?;
    moment.gauge(
        "refloop_writer_queue_capacity",
        "Units of work that may wait before writes are refused with 503.",
        whole(vitals.most_queued),
    )?;
    moment.gauge_ms(
        "refloop_writer_stalled_seconds",
        "For how long work has been waiting without the writer moving.",
        vitals.stalled_ms,
    )?;
    moment.gauge("refloop_database_bytes", "Size of the database file.", bytes(vitals.file_bytes))?;
    moment.gauge("refloop_wal_bytes", "Size of the write-ahead log beside it.", bytes(vitals.wal_bytes))?;
    match vitals.free_bytes {
        Some(free) => {
            let help = "What the disk with the database has left for refloop.";
            moment.gauge("refloop_disk_free_bytes", help, bytes(free))
        }
        None => Ok(()),
    }
}

fn counts(moment: &Moment, census: &Census) -> Result<()> {
    moment.gauge("refloop_lots_open", "Lots with something left or owed.", census.open_lots)?;
    moment.gauge("refloop_referrals_held", "Referrals that wait for a look at them.", census.held_referrals)?;
    let waiting = census.waiting.iter();
    moment.gauges(
        "refloop_outbox_waiting",
        "Deliveries that are still to be made.",
        "kind",
        waiting.clone().map(|of| (of.kind.as_str(), of.count)),
    )?;
    moment.gauges_ms(
        "refloop_outbox_lag_seconds",
        "For how long the delivery that was due first has been due.",
        "kind",
        waiting.map(|of| (of.kind.as_str(), of.overdue_ms)),
    )?;
    moment.gauge("refloop_outbox_parked", "Deliveries that are not tried any more.", census.parked_deliveries)?;
    moment.gauges(
        "refloop_payouts",
        "Payouts by status.",
        "status",
        census.payouts.iter().map(|(status, count)| (status.as_str(), *count)),
    )
}

/// The listener for metrics, with the health checks beside them. It runs when it is awaited, and until it is told to
/// stop.
pub fn server(context: Arc<Context>, listener: TcpListener) -> std::io::Result<Server> {
    let data = web::Data::from(context);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .configure(health::routes)
            .service(super::readable("/metrics", scrape))
            .default_service(web::to(HttpResponse::NotFound))
    });
    let server = server.workers(1).worker_max_blocking_threads(2).disable_signals().shutdown_timeout(1);
    Ok(server.client_request_timeout(Duration::from_secs(5)).listen(listener)?.run())
}

async fn scrape(context: web::Data<Context>) -> std::result::Result<HttpResponse, super::error::ApiError> {
    let text = context.metrics.text(&context).await?;
    Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text))
}
