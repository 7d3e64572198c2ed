//! `refloop serve`: the composition root.

use super::{print, read_file};
use crate::config::ServeSettings;
use crate::domain::email::DisposableDomains;
use crate::domain::error::{Error, Result};
use crate::engine::{Engine, StripeCaller};
use crate::store::{Ack, Clock, Replication, Store};
use crate::web::{self, Context, Doors, Tls};
use crate::work::{Backups, Couriers, Mailer, RdapClient, Receiver, SmtpServer, StripeClient, Worker};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

/// How long Litestream may take to find a new file and copy it.
const FIRST_WORD: std::time::Duration = std::time::Duration::from_secs(60);

/// Serves until it is told to stop.
pub fn serve(db: &Path, settings: &ServeSettings, as_json: bool) -> Result<()> {
    let (main, listening) = listen(settings.listen)?;
    let metrics = settings.metrics_listen.map(listen).transpose()?;
    let tls = settings.tls().map(Tls::start).transpose()?;
    if tls.is_some() && settings.public_url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
        return Err(Error::field("public_url", "invalid", "With --tls-cert, --public-url has to begin with https://."));
    }
    let disposable_domains = match &settings.disposable_domains {
        Some(file) => DisposableDomains::parse(&read_file(file)?)?,
        None => DisposableDomains::default(),
    };
    let replication = settings.replication()?;
    let store = Arc::new(Store::serve_replicated(db, Clock::System, settings.capacity(), &replication)?);
    if matches!(replication, Replication::Litestream(Ack::Replica(_))) {
        store.wait_for_replica(FIRST_WORD)?;
    }
    let stripe = StripeClient::new(&settings.stripe_api_url);
    let for_engine = stripe.clone();
    let stripe_caller = StripeCaller::new(move |call, api_key| for_engine.call(call, api_key));
    let engine = Arc::new(Engine::new(store, settings.engine(disposable_domains, stripe_caller)));
    let context = Arc::new(Context::new(Arc::clone(&engine), settings.web(listening))?);
    let receivers = receivers(settings, &context.settings.public_url, stripe)?;
    if let Some(exposure) = settings.exposure() {
        tracing::warn!("{exposure}");
    }
    let metrics_url = metrics.as_ref().map(|(_, listening)| format!("http://{listening}/metrics"));
    greet(&engine, db, &context.settings.public_url, metrics_url, as_json)?;
    let for_worker = Arc::clone(&context);
    let worker = Worker::start(engine, move || for_worker.limiter.forget_idle())?;
    let couriers = Couriers::start(&context.engine, receivers)?;
    let backups = Backups::start(&context.engine)?;
    let served = web::serve(context, Doors { main, tls, metrics: metrics.map(|(listener, _)| listener) });
    drop(backups);
    drop(couriers);
    drop(worker);
    served
}

/// A bound listener, and where it is: the system may have chosen the port.
fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let fault = |fault: std::io::Error| Error::conflict("cannot_serve", format!("cannot listen on {address}: {fault}"));
    let listener = TcpListener::bind(address).map_err(fault)?;
    let listening = listener.local_addr().map_err(fault)?;
    Ok((listener, listening))
}

/// Who tells other systems what the outbox holds for them.
fn receivers(settings: &ServeSettings, public_url: &str, stripe: StripeClient) -> Result<Vec<Box<dyn Receiver>>> {
    let mut receivers: Vec<Box<dyn Receiver>> = vec![Box::new(stripe)];
    receivers.extend(settings.rdap_url.as_ref().map(|url| Box::new(RdapClient::new(url)) as Box<dyn Receiver>));
    if let Some(url) = settings.mail_server() {
        let url = match url.strip_prefix('@') {
            Some(file) => read_file(Path::new(file))?,
            None => url.to_owned(),
        };
        let from = settings.mail_from.as_deref().ok_or_else(|| {
            Error::field("mail_from", "required", "With a mail server, set REFLOOP_MAIL_FROM too: who mail comes from.")
        })?;
        receivers.push(Box::new(Mailer::new(&SmtpServer::parse(&url)?, from, public_url)?));
    }
    Ok(receivers)
}

/// Says where everything is. The secrets of a first start are shown now and never again.
fn greet(engine: &Engine, db: &Path, url: &str, metrics_url: Option<String>, as_json: bool) -> Result<()> {
    let first = engine.first_start()?;
    if as_json {
        let mut document = json!({ "url": url, "signup_url": format!("{url}/signup"), "db": db });
        if let Some(metrics_url) = metrics_url {
            document["metrics_url"] = metrics_url.into();
        }
        if let Some(first) = first {
            if let Some(token) = first.operator_token {
                document["operator_url"] = format!("{url}/admin/setup?token={token}").into();
            }
            document["gateway_key"] = first.gateway_key.into();
        }
        print(&document.to_string());
        return Ok(());
    }
    print(&format!("refloop is serving {} on {url}\n", db.display()));
    print(&format!("  Signup page      {url}/signup"));
    if let Some(metrics_url) = metrics_url {
        print(&format!("  Metrics          {metrics_url}"));
    }
    if let Some(first) = first {
        if let Some(token) = &first.operator_token {
            print(&format!("  Operator link    {url}/admin/setup?token={token}"));
        }
        print(&format!("  Gateway key      {}", first.gateway_key));
        print("\n  This is shown this one time: keep it.");
    }
    print("");
    Ok(())
}
