//! The faces. Each is a few resources; none imports another. Handlers extract, make one engine call, and render.

mod arrival;
mod audit_body;
mod auth;
mod billstack;
mod body;
mod chart;
mod console;
mod console_api;
mod csv_download;
mod day;
mod developers;
mod error;
mod health;
mod ledger_csv;
mod limit;
mod limits_view;
mod metrics;
mod own_password;
mod page;
mod pages;
mod query;
mod referral;
mod session;
mod stripe;
mod tls;
mod unread;
mod watch;

pub use limit::{Limits, Quota, TrustedProxies};
pub use metrics::server as metrics_server;
pub use tls::{Tls, TlsFiles};

use crate::domain::error::{Error, Result};
use crate::domain::sharing::base_url;
use crate::engine::{ConnectLinks, Engine};
use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Handler, HttpResponse, HttpServer, Resource, Responder, web};
use limit::Limiter;
use metrics::Metrics;
use std::future::ready;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use watch::{Watch, Watched};

/// What the faces need to know beside the engine.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// Where links in answers point, without a slash at the end.
    pub public_url: String,
    pub workers: usize,
    pub limits: Limits,
    pub trusted_proxies: TrustedProxies,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Whether TLS ends here: then browsers are told to come by it only.
    pub tls: bool,
}

/// What every handler can reach.
pub struct Context {
    pub engine: Arc<Engine>,
    pub settings: WebSettings,
    pub limiter: Limiter,
    metrics: Metrics,
}

impl Context {
    pub fn new(engine: Arc<Engine>, settings: WebSettings) -> Result<Self> {
        let (limiter, metrics) = (Limiter::new(&settings.limits), Metrics::new(&engine)?);
        let context = Self { engine, settings, limiter, metrics };
        match context.engine.kept_limits() {
            Ok(kept) => {
                for (name, count) in kept {
                    context.limiter.set(name, limits_view::quota(&context, name, Some(count)));
                }
            }
            Err(fault) => tracing::error!(%fault, "the kept rate limits cannot be read"),
        }
        Ok(context)
    }

    /// Where the pages of the project with this host are, without a slash at the end.
    fn url_of(&self, host: Option<&str>) -> String {
        base_url(&self.settings.public_url, host)
    }

    /// Where Stripe leads back to: the partner's page.
    fn connect_links(&self) -> ConnectLinks {
        ConnectLinks {
            public_url: self.settings.public_url.clone(),
            return_to: "/dashboard/partner?stripe=return",
            refresh_at: "/dashboard/partner?stripe=refresh",
        }
    }

    /// Whether browsers reach this server over TLS: then cookies are bound to it.
    fn is_https(&self) -> bool {
        self.settings.public_url.starts_with("https://")
    }
}

/// What is listened on.
pub struct Doors {
    pub main: TcpListener,
    /// What the main one speaks, when it is TLS.
    pub tls: Option<Tls>,
    pub metrics: Option<TcpListener>,
}

/// Serves on this thread until SIGTERM, which lets what was accepted be answered, or SIGINT, which does not.
pub fn serve(context: Arc<Context>, doors: Doors) -> Result<()> {
    let fault = |fault: std::io::Error| Error::conflict("cannot_serve", format!("the server stopped: {fault}"));
    let Doors { main, tls, metrics } = doors;
    let config = tls.as_ref().map(Tls::config).transpose()?;
    actix_web::rt::System::new().block_on(async {
        let metrics = match metrics {
            Some(listener) => Some(metrics::server(Arc::clone(&context), listener).map_err(fault)?),
            None => None,
        };
        let handle = metrics.map(|server| {
            let handle = server.handle();
            actix_web::rt::spawn(server);
            handle
        });
        let served = server_with(context, main, config).map_err(fault)?.await.map_err(fault);
        if let Some(handle) = handle {
            handle.stop(false).await;
        }
        served
    })
}

/// The HTTP server on a listener that is already bound. It runs when it is awaited.
///
/// The router asks one resource after the other. Paths with a part to be filled in stand in scopes, so that all others
/// are told apart by comparing text, and none is run through a regular expression in vain.
pub fn server(context: Arc<Context>, listener: TcpListener) -> std::io::Result<Server> {
    server_with(context, listener, None)
}

/// [`server`] with TLS, or without.
pub fn server_with(
    context: Arc<Context>,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Server> {
    let workers = context.settings.workers;
    let data = web::Data::from(context);
    let server = HttpServer::new(move || {
        let context = data.clone();
        App::new()
            .app_data(data.clone())
            .app_data(Watch::new(&context))
            .data_factory(move || ready(context.engine.reader()))
            .wrap(from_fn(pages::notice))
            .wrap(from_fn(finish))
            .configure(health::routes)
            .configure(developers::routes)
            .configure(billstack::routes)
            .configure(referral::routes)
            .configure(stripe::routes)
            .configure(pages::routes)
            .configure(console_api::routes)
            .configure(console::routes)
            .default_service(web::to(pages::not_found))
    });
    let server = server
        .workers(workers)
        // More would only wait for one of the readers.
        .worker_max_blocking_threads(16)
        .client_request_timeout(Duration::from_secs(10))
        .client_disconnect_timeout(Duration::from_secs(2))
        .shutdown_timeout(10);
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listener, config)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// A resource that answers GET and HEAD.
fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler))
}

/// Headers that every answer carries, a problem body for what the router refused, and what is seen of each request.
async fn finish<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> std::result::Result<ServiceResponse, actix_web::Error> {
    let watched = Watched::begin(&request);
    let https = request.app_data::<web::Data<Context>>().is_some_and(|context| context.settings.tls);
    let request_body = unread::share(&mut request);
    let response = next.call(request).await?;
    let status = response.status();
    let mut response = match status {
        // The router's own refusal has no body; a face that words it itself has given it one.
        StatusCode::METHOD_NOT_ALLOWED if response.response().body().size().is_eof() => {
            let allow = response.headers().get(header::ALLOW).cloned();
            let mut refusal =
                error::problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Not with this method.");
            if let Some(allow) = allow {
                refusal.headers_mut().insert(header::ALLOW, allow);
            }
            response.into_response(refusal)
        }
        _ => response.map_into_boxed_body(),
    };
    if let Some(watched) = watched {
        watched.end(&mut response);
    }
    let headers = response.headers_mut();
    if https {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, a_year);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    Ok(unread::keep(response, request_body))
}

/// A JSON answer.
fn json(status: StatusCode, body: impl serde::Serialize) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
