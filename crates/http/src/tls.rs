//! Whom to trust.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::HttpError;

/// The operating system's CAs, or the bundled ones where it has none, as in a bare container. The second value says
/// whether the bundled ones had to serve.
pub(crate) fn config() -> Result<(ClientConfig, bool), HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| HttpError::Tls(e.to_string()))?;
    let (mut config, bundled) = match Verifier::new(provider) {
        Ok(verifier) => {
            let verifier = Arc::new(verifier);
            let config = builder.dangerous().with_custom_certificate_verifier(verifier);
            (config.with_no_client_auth(), false)
        }
        Err(_) => {
            let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            (builder.with_root_certificates(roots).with_no_client_auth(), true)
        }
    };
    // HTTP/2 may send a refused request once more by itself; HTTP/1.1 never does.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, bundled))
}
