//! How many requests there were and how long they took: by route, method and the first digit of the status. By the
//! route's pattern, never by what a path has in it, so that there are only so many.

use crate::domain::error::Result;
use actix_web::http::{Method, StatusCode};
use foldhash::HashMap;
use prometheus::{Histogram, HistogramOpts, HistogramVec};
use std::cell::RefCell;
use std::time::Duration;

const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What the router does not know.
pub const UNMATCHED: &str = "unmatched";

pub fn durations() -> Result<HistogramVec> {
    let help = "Requests, and how long it took until the head of the answer was there.";
    let options = HistogramOpts::new("refloop_http_request_duration_seconds", help).buckets(SECONDS.to_vec());
    Ok(HistogramVec::new(options, &["method", "route", "status"])?)
}

type OfRoute = [Option<Histogram>; METHODS.len() * CLASSES.len()];

/// One thread's way to the histograms: found once, then known by their route, without a lock.
pub struct Requests {
    durations: HistogramVec,
    known: RefCell<HashMap<String, Box<OfRoute>>>,
}

/// The name that is counted and logged: the words of requests are anybody's.
pub fn method_name(method: &Method) -> &'static str {
    METHODS[place(method)]
}

fn place(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

impl Requests {
    pub fn new(durations: HistogramVec) -> Self {
        Self { durations, known: RefCell::default() }
    }

    pub fn note(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let method = place(method);
        let mut known = self.known.borrow_mut();
        if !known.contains_key(route) {
            known.insert(route.to_owned(), Box::new([const { None }; METHODS.len() * CLASSES.len()]));
        }
        let Some(of_route) = known.get_mut(route) else { return };
        let labels = || self.durations.with_label_values(&[METHODS[method], route, CLASSES[class]]);
        of_route[method * CLASSES.len() + class].get_or_insert_with(labels).observe(took.as_secs_f64());
    }
}
