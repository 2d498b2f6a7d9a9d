//! What the gateway counts, for `/metrics`. Labels come from closed sets and from provider ids, never from a request.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
pub(crate) struct Numbers {
    registry: Registry,
    requests: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    again: Family<Labels, Counter>,
    renewed: Counter,
    open: Gauge<i64, AtomicI64>,
}

/// An answer on its way; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<Numbers>);

impl Numbers {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("coderclaw_gateway");
        let one = Self {
            registry: Registry::default(),
            requests: Family::default(),
            refused: Family::default(),
            again: Family::default(),
            renewed: Counter::default(),
            open: Gauge::default(),
        };
        registry.register("requests", "Answers passed on, by provider and status", one.requests.clone());
        registry.register("refused", "Requests answered by the gateway itself, by code", one.refused.clone());
        registry.register(
            "sent_again",
            "Requests sent again with another token, by provider",
            one.again.clone(),
        );
        registry.register("refreshed_ahead", "Logins refreshed before anybody asked", one.renewed.clone());
        registry.register("open_streams", "Answers on their way", one.open.clone());
        Self { registry, ..one }
    }

    pub(crate) fn request(&self, provider: &str, status: u16) {
        let labels = vec![("provider", provider.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn refused(&self, code: coderclaw_types::Code) {
        self.refused.get_or_create(&vec![("code", code.as_str().to_owned())]).inc();
    }

    pub(crate) fn again(&self, provider: &str) {
        self.again.get_or_create(&vec![("provider", provider.to_owned())]).inc();
    }

    pub(crate) fn renewed(&self) {
        self.renewed.inc();
    }

    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.open.inc();
        Open(Arc::clone(self))
    }

    pub(crate) fn open_streams(&self) -> i64 {
        self.open.get()
    }

    /// In the text format that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}
