//! What the gateway counts, for `/metrics`. Labels come from closed sets and from provider ids, never from a request.
//!
//! Written by hand: five numbers are less than the crates for them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use coderclaw_types::Code;

/// A number for each set of labels, which are kept as they are written: `{provider="anthropic"}`.
#[derive(Debug, Default)]
struct Family(Mutex<BTreeMap<String, u64>>);

#[derive(Debug, Default)]
pub(crate) struct Numbers {
    requests: Family,
    refused: Family,
    again: Family,
    lent: Family,
    renewed: AtomicU64,
    open: AtomicU64,
}

/// An answer on its way; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<Numbers>);

impl Family {
    fn add(&self, labels: &[(&str, &str)]) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = format!("{{{}}}", labels.join(","));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(labels).or_default() += 1;
    }
}

impl Numbers {
    pub(crate) fn request(&self, provider: &str, status: u16) {
        self.requests.add(&[("provider", provider), ("status", &status.to_string())]);
    }

    pub(crate) fn refused(&self, code: Code) {
        self.refused.add(&[("code", code.as_str())]);
    }

    pub(crate) fn again(&self, provider: &str) {
        self.again.add(&[("provider", provider)]);
    }

    pub(crate) fn lent(&self, provider: &str) {
        self.lent.add(&[("provider", provider)]);
    }

    pub(crate) fn renewed(&self) {
        self.renewed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    pub(crate) fn open_streams(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// In the text format 0.0.4 that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            let name = format!("coderclaw_gateway_{name}");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (labels, value) in values {
                writeln!(text, "{name}{labels} {value}").ok();
            }
        };
        let all = |family: &Family| -> Vec<(String, u64)> {
            let values = family.0.lock().unwrap_or_else(PoisonError::into_inner);
            values.iter().map(|(labels, value)| (labels.clone(), *value)).collect()
        };
        let one = |number: &AtomicU64| [(String::new(), number.load(Ordering::Relaxed))];
        let (passed, own) = ("Answers passed on.", "Requests that the gateway answered itself.");
        add("requests_total", "counter", passed, &all(&self.requests));
        add("refused_total", "counter", own, &all(&self.refused));
        add("sent_again_total", "counter", "Requests sent again with another token.", &all(&self.again));
        add("socket_lends_total", "counter", "Tokens lent over the token socket.", &all(&self.lent));
        add(
            "refreshed_ahead_total",
            "counter",
            "Logins refreshed before anybody asked.",
            &one(&self.renewed),
        );
        add("open_streams", "gauge", "Answers on their way.", &one(&self.open));
        text
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let numbers = Arc::new(Numbers::default());
        numbers.request("a\"b\\", 200);
        numbers.request("a\"b\\", 200);
        numbers.refused(Code::GatewayRefused);
        let open = numbers.open();
        let text = numbers.text();
        for line in [
            "# TYPE coderclaw_gateway_requests_total counter",
            "coderclaw_gateway_requests_total{provider=\"a\\\"b\\\\\",status=\"200\"} 2",
            "coderclaw_gateway_refused_total{code=\"gateway_refused\"} 1",
            "coderclaw_gateway_refreshed_ahead_total 0",
            "coderclaw_gateway_open_streams 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} in {text}");
        }
        drop(open);
        assert!(numbers.text().ends_with("coderclaw_gateway_open_streams 0\n"));
    }
}
