//! Whom to trust.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::HttpError;

/// The operating system's CAs, or the bundled ones where it has none, as in a bare container; and `extra` besides. The second
/// value says whether the bundled ones had to serve.
pub(crate) fn config(extra: &[CertificateDer<'static>]) -> Result<(ClientConfig, bool), HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| HttpError::Tls(e.to_string()))?;
    let (mut config, bundled) = match Verifier::new_with_extra_roots(extra.iter().cloned(), provider) {
        Ok(verifier) => {
            let verifier = Arc::new(verifier);
            let config = builder.dangerous().with_custom_certificate_verifier(verifier);
            (config.with_no_client_auth(), false)
        }
        Err(_) => {
            let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            roots.add_parsable_certificates(extra.iter().cloned());
            (builder.with_root_certificates(roots).with_no_client_auth(), true)
        }
    };
    // HTTP/2 may send a refused request once more by itself; HTTP/1.1 never does.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, bundled))
}

/// The certificates in a PEM file; none where it cannot be read or holds something else, as Node has it.
pub(crate) fn certificates(path: &str) -> Vec<CertificateDer<'static>> {
    let Ok(found) = CertificateDer::pem_file_iter(path) else { return Vec::new() };
    found.filter_map(Result::ok).collect()
}
