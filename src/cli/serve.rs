//! `refloop serve`: the composition root.

use super::{print, read_file};
use crate::config::ServeSettings;
use crate::domain::email::DisposableDomains;
use crate::domain::error::{Error, Result};
use crate::engine::{Engine, StripeCaller};
use crate::store::{Clock, Store};
use crate::web::{self, Context};
use crate::work::{Couriers, Mailer, RdapClient, Receiver, SmtpServer, StripeClient, Worker};
use serde_json::json;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

/// Serves until it is told to stop.
pub fn serve(db: &Path, settings: &ServeSettings, as_json: bool) -> Result<()> {
    let fault = |what: &str, fault: &dyn std::fmt::Display| Error::conflict("cannot_serve", format!("{what}: {fault}"));
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| fault(&format!("cannot listen on {}", settings.listen), &error))?;
    let listening = listener.local_addr().map_err(|error| fault("cannot listen", &error))?;
    let disposable_domains = match &settings.disposable_domains {
        Some(file) => DisposableDomains::parse(&read_file(file)?)?,
        None => DisposableDomains::default(),
    };
    let store = Arc::new(Store::serve(db, Clock::System, settings.capacity())?);
    let stripe = StripeClient::new(&settings.stripe_api_url);
    let for_engine = stripe.clone();
    let stripe_caller = StripeCaller::new(move |call, api_key| for_engine.call(call, api_key));
    let engine = Arc::new(Engine::new(store, settings.engine(disposable_domains, stripe_caller)));
    let context = Arc::new(Context::new(Arc::clone(&engine), settings.web(listening)));
    let receivers = receivers(settings, &context.settings.public_url, stripe)?;
    greet(&engine, db, &context.settings.public_url, as_json)?;
    let for_worker = Arc::clone(&context);
    let worker = Worker::start(engine, move || for_worker.limiter.forget_idle())?;
    let couriers = Couriers::start(&context.engine, receivers)?;
    let served = web::serve(context, listener);
    drop(couriers);
    drop(worker);
    served.map_err(|error| fault("the server stopped", &error))
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
fn greet(engine: &Engine, db: &Path, url: &str, as_json: bool) -> Result<()> {
    let first = engine.first_start()?;
    if as_json {
        let mut document = json!({ "url": url, "signup_url": format!("{url}/signup"), "db": db });
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
