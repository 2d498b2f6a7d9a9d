//! TLS, for a gateway that others on the network may reach.

mod ends;
mod renewed;
mod unverified;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coderclaw_types::Millis;
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::renewed::{Certified, Renewal};
pub(crate) use self::unverified::ask_unverified;

/// Where certificate and key are: PEM files, the certificate with its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and a CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file holds no such thing.
    #[error("{}: {detail}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Pair(String),
}

/// A certificate that is ready to be shown.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let wrong = |path: &Path, detail: String| TlsError::File { path: path.to_path_buf(), detail };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
            .and_then(Iterator::collect)
            .map_err(|e| wrong(&files.cert, format!("no certificate in PEM can be read: {e}")))?;
        let certificate = chain.first().cloned();
        let certificate =
            certificate.ok_or_else(|| wrong(&files.cert, "it holds no certificate in PEM".into()))?;
        let meta = std::fs::metadata(&files.key).map_err(|e| wrong(&files.key, e.to_string()))?;
        if meta.mode() & 0o007 != 0 {
            let mode = meta.mode() & 0o777;
            return Err(wrong(
                &files.key,
                format!("everybody can read this private key (mode {mode:03o}); chmod o= it"),
            ));
        }
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|_| wrong(&files.key, "it holds no private key in PEM".into()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|e| TlsError::Pair(e.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// When the certificate ends. `None` where that cannot be read; whoever connects judges for themselves.
    pub(crate) fn ends(&self) -> Option<Millis> {
        ends::ends(&self.certificate)
    }

    /// Whether the certificate is for this name or address.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let (Ok(name), Ok(parsed)) =
            (ServerName::try_from(name), ParsedCertificate::try_from(&self.certificate))
        else {
            return false;
        };
        verify_server_name(&parsed, &name).is_ok()
    }
}
