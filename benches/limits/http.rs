//! The HTTP set-up of `src/web/mod.rs` without the product behind it.

use super::Outcome;
use super::raw::Naive;
use actix_web::error::{ErrorBadRequest, ErrorInternalServerError};
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// As long as the product's answer to one event.
const ANSWER: &str = r#"{"id":"usage-1-1000000001","developer_id":"dev_0000000000001","status":"recorded","charged":1,"uncovered":0,"available":999999999}"#;

/// Serves until SIGTERM. With a database, a POST is a usage event that is kept before the answer.
pub fn serve(listen: SocketAddr, workers: usize, naive: Option<Naive>) -> Outcome {
    let listener = TcpListener::bind(listen)?;
    let naive = web::Data::new(naive);
    let server = HttpServer::new(move || {
        let any_path = web::resource("/{path:.*}").route(web::post().to(post)).route(web::get().to(get));
        App::new().app_data(naive.clone()).service(any_path)
    });
    // The same as the product's, one by one.
    let server = server
        .workers(workers)
        .worker_max_blocking_threads(16)
        .client_request_timeout(Duration::from_secs(10))
        .client_disconnect_timeout(Duration::from_secs(2))
        .shutdown_timeout(10)
        .listen(listener)?;
    actix_web::rt::System::new().block_on(async { server.run().await })?;
    Ok(())
}

async fn post(naive: web::Data<Option<Naive>>, body: web::Json<Value>) -> actix_web::Result<HttpResponse> {
    if naive.is_some() {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(id), Some(developer)) = (text("id"), text("developer_id")) else {
            return Err(ErrorBadRequest("an event has an id and a developer_id"));
        };
        let recorded = web::block(move || naive.as_ref().as_ref().map(|naive| naive.record(&id, &developer))).await?;
        recorded.transpose().map_err(ErrorInternalServerError)?;
    }
    Ok(HttpResponse::Ok().content_type("application/json").body(ANSWER))
}

async fn get() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"status":"ok"}"#)
}
