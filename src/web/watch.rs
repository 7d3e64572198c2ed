//! What is seen of every request: its id, a line in the log, and its part in the metrics. Nothing of what it says: the
//! route's pattern instead of its path, no query, no address, no key.

use super::Context;
use super::metrics::{Requests, UNMATCHED, method_name};
use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use std::cell::Cell;
use std::fmt::Write;
use std::rc::Rc;
use std::time::Instant;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One answering thread's.
pub struct Watch {
    requests: Requests,
    /// Random, and then counted on.
    next_id: Cell<u128>,
}

impl Watch {
    pub fn new(context: &Context) -> Rc<Self> {
        // Without randomness ids come twice, which is no reason not to serve.
        let mut random = [0; 16];
        let _ = getrandom::fill(&mut random);
        Rc::new(Self { requests: context.metrics.requests(), next_id: Cell::new(u128::from_le_bytes(random)) })
    }

    fn make_id(&self) -> HeaderValue {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let mut text = String::with_capacity(32);
        let _ = write!(text, "{id:032x}");
        HeaderValue::from_maybe_shared(actix_web::web::Bytes::from(text)).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// Whether an id that a caller gives can stand in a log as it is: what is not plain is replaced.
fn is_sane(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (8..=64).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A fault of ours, on its way from where it was met to the request's line in the log.
struct Fault(String);

/// Has an answer's line in the log say what went wrong.
pub fn note_fault(response: &mut HttpResponse, message: &str) {
    response.extensions_mut().insert(Fault(message.to_owned()));
}

/// A request that is being answered.
pub struct Watched {
    watch: Rc<Watch>,
    id: HeaderValue,
    method: Method,
    began: Instant,
}

impl Watched {
    /// `None` where nobody watches.
    pub fn begin(request: &ServiceRequest) -> Option<Self> {
        let watch = Rc::clone(request.app_data::<Rc<Watch>>()?);
        let given = request.headers().get(REQUEST_ID).filter(|id| is_sane(id));
        let id = given.cloned().unwrap_or_else(|| watch.make_id());
        Some(Self { watch, id, method: request.method().clone(), began: Instant::now() })
    }

    /// Counts it, logs it, and has the answer say its id.
    pub fn end<B>(self, response: &mut ServiceResponse<B>) {
        let (took, status) = (self.began.elapsed(), response.status());
        let pattern = response.request().match_pattern();
        let route = pattern.as_deref().unwrap_or(UNMATCHED);
        self.watch.requests.note(route, &self.method, status, took);
        let (id, method) = (self.id.to_str().unwrap_or_default(), method_name(&self.method));
        let (status, micros) = (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let fault = response.response().extensions().get::<Fault>().map(|Fault(message)| message.clone());
        match (fault, status) {
            (Some(fault), _) => {
                tracing::error!(target: "refloop::request", id, method, route, status, micros, fault, "internal error");
            }
            (None, 500..) => tracing::warn!(target: "refloop::request", id, method, route, status, micros, "request"),
            _ => tracing::info!(target: "refloop::request", id, method, route, status, micros, "request"),
        }
        response.headers_mut().insert(REQUEST_ID, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_can_be_logged() {
        for (id, sane) in [
            ("01890a5d-ac96-774b-bcce-b302099a8057", true),
            ("req_12345", true),
            ("short", false),
            ("alice@private.example", false),
            ("with a blank", false),
            ("a/b/c/d/e/f", false),
            ("", false),
        ] {
            assert_eq!(is_sane(&HeaderValue::from_static(id)), sane, "{id:?}");
        }
        assert!(!is_sane(&HeaderValue::from_str(&"x".repeat(65)).unwrap()));
    }
}
