//! TLS from two files: the chain of certificates and its key, both PEM. They are read again every few seconds, so that
//! whatever renews them need not tell anyone.

use crate::domain::error::{Error, Result};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(2);
/// Chains are a few KiB.
const LARGEST_FILE: u64 = 1 << 20;

/// Where the two are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What the files say, and its hash. Both are read before either is looked at.
type Read = ((Vec<u8>, Vec<u8>), blake3::Hash);

fn unusable(message: String) -> Error {
    Error::conflict("tls_unusable", message)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let fault = |fault: std::io::Error| unusable(format!("cannot read {}: {fault}", file.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|open| open.take(LARGEST_FILE).read_to_end(&mut bytes)).map_err(fault)?;
    Ok(bytes)
}

impl TlsFiles {
    fn read(&self) -> Result<Read> {
        let (certificate, key) = (read(&self.certificate)?, read(&self.key)?);
        let mut hasher = blake3::Hasher::new();
        hasher.update(blake3::hash(&certificate).as_bytes()).update(&key);
        Ok(((certificate, key), hasher.finalize()))
    }

    /// The pair, if it is one.
    fn parse(&self, (certificate, key): &(Vec<u8>, Vec<u8>), provider: &CryptoProvider) -> Result<CertifiedKey> {
        let (certificate_file, key_file) = (self.certificate.display(), self.key.display());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<std::result::Result<_, _>>()
            .map_err(|fault| unusable(format!("{certificate_file} is not PEM: {fault}")))?;
        if chain.is_empty() {
            return Err(unusable(format!("{certificate_file} holds no certificate")));
        }
        // What the parser says could quote the file.
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| unusable(format!("{key_file} holds no private key in PEM")))?;
        CertifiedKey::from_der(chain, key, provider)
            .map_err(|fault| unusable(format!("{certificate_file} and {key_file} are not a pair: {fault}")))
    }
}

/// The pair that is shown to whoever connects.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The certificate in use, and the thread that looks whether there is a newer one, until it is dropped.
pub struct Tls {
    shown: Arc<Shown>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tls {
    /// Refuses files that are not there, not PEM, or not a pair.
    pub fn start(files: TlsFiles) -> Result<Self> {
        let provider = ring::default_provider();
        let (read, mut known) = files.read()?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(files.parse(&read, &provider)?))));
        let (stop, stopped) = channel();
        let reloaded = Arc::clone(&shown);
        let work = move || {
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                reload(&files, &provider, &reloaded, &mut known);
            }
        };
        let thread = std::thread::Builder::new().name("certificates".into()).spawn(work);
        let thread = thread.map_err(|fault| Error::internal(format!("cannot watch the certificate: {fault}")))?;
        Ok(Self { shown, stop: Some(stop), thread: Some(thread) })
    }

    /// TLS 1.2 and 1.3; what is spoken inside is agreed on by ALPN.
    pub fn config(&self) -> Result<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|fault| Error::internal(format!("TLS: {fault}")))?;
        let shown: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&self.shown);
        Ok(config.with_no_client_auth().with_cert_resolver(shown))
    }
}

/// Shows the new pair when there is one. One that is not good is said once, and the old one stays: a file that is half
/// written is whole the next time.
fn reload(files: &TlsFiles, provider: &CryptoProvider, shown: &Shown, known: &mut blake3::Hash) {
    let Ok((read, hash)) = files.read() else { return };
    if hash == *known {
        return;
    }
    *known = hash;
    match files.parse(&read, provider) {
        Ok(pair) => {
            *shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
            tracing::info!("the TLS certificate was read anew");
        }
        Err(fault) => tracing::error!(%fault, "the new TLS certificate is of no use; the old one stays"),
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
