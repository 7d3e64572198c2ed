//! Bodies that nobody reads to their end: refused for their size, their pace or their sender.
//!
//! The HTTP layer reads on and on what is left of a chunked body once its reader is dropped, without a limit in size
//! or time, before it closes the connection. While the reader is there, it closes after a moment, as it does for a
//! body of an announced length. So the answer holds on to the reader until it has been sent.

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A request's body, shared by its reader and its answer.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Payload>>);

/// Shares the body of a request; `None` when it has none.
pub fn share(request: &mut ServiceRequest) -> Option<Shared> {
    match request.take_payload() {
        Payload::None => None,
        payload => {
            let shared = Shared(Rc::new(RefCell::new(payload)));
            request.set_payload(Payload::Stream { payload: Box::pin(shared.clone()) });
            Some(shared)
        }
    }
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

/// Keeps the request's body until its answer has been sent.
pub fn keep(response: ServiceResponse<BoxBody>, request_body: Option<Shared>) -> ServiceResponse<BoxBody> {
    match request_body {
        None => response,
        Some(request_body) => response.map_body(|_, body| BoxBody::new(Keeping { body, _request_body: request_body })),
    }
}

struct Keeping {
    body: BoxBody,
    _request_body: Shared,
}

impl MessageBody for Keeping {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
