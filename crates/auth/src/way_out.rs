//! How the providers are reached, told without asking anybody.

use std::path::PathBuf;

use coderclaw_http::Url;
use coderclaw_providers::Manifest;

use crate::context::Auth;

/// How one host is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WayOut {
    /// The host.
    pub host: String,
    /// The variable that names a proxy, and the proxy without user name and password; `None` for a direct connection; the
    /// reason where the variable names none that can be used.
    pub proxy: Result<Option<(&'static str, String)>, String>,
}

/// A file or folder of CAs that a variable names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFile {
    /// The variable.
    pub variable: &'static str,
    /// What it names.
    pub path: PathBuf,
    /// Why it is of no use; `None` where it can be read.
    pub problem: Option<String>,
}

impl Auth {
    /// How the hosts of `manifest` are reached: those of its API and of its token endpoints.
    pub fn ways_out(&self, manifest: &Manifest) -> Vec<WayOut> {
        let network = self.network();
        let methods = manifest.auth.iter().flat_map(|method| {
            [&method.token_url, &method.issuer, &method.device_url, &method.access_url, &method.api.base_url]
        });
        let urls = methods.chain([&manifest.api.base_url]);
        let mut ways: Vec<WayOut> = urls
            .filter_map(|url| Url::parse(url.as_deref()?).ok())
            .filter_map(|url| {
                let proxy = network.proxy_for(&url).map_err(|e| e.to_string());
                let proxy = proxy.map(|choice| choice.map(|one| (one.variable(), one.place().to_owned())));
                Some(WayOut { host: url.host_str()?.to_owned(), proxy })
            })
            .collect();
        ways.sort();
        ways.dedup();
        ways
    }

    /// The files and folders of CAs that variables name.
    pub fn ca_files(&self) -> Vec<CaFile> {
        let network = self.network();
        let files = network.ca_variables().into_iter().map(|(variable, path)| {
            let path = self.env().resolve(path);
            let problem = match (variable, path.is_dir()) {
                ("SSL_CERT_DIR", true) => std::fs::read_dir(&path).err().map(|e| e.to_string()),
                ("SSL_CERT_DIR", false) => Some("it is not a folder".to_owned()),
                _ => std::fs::read(&path).err().map(|e| e.to_string()),
            };
            CaFile { variable, path, problem }
        });
        files.collect()
    }

    /// Which CAs are trusted, for people.
    pub fn ca_source(&self) -> String {
        self.network().ca_source()
    }
}
