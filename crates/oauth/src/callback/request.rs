//! As much of HTTP/1.1 as a browser's GET needs.

/// The longest request line and headers that are read: 16 KiB.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;

/// The head of a request.
#[derive(PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query, as sent.
    pub(super) target: String,
    /// In lower case.
    pub(super) host: Option<String>,
    /// Whether the headers are a browser's, as opposed to those of a program on this machine.
    pub(super) from_browser: bool,
}

impl Head {
    /// `Ok(None)`: there is more to come.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, ()> {
        let Some(end) = end_of_head(bytes) else {
            return Ok(None);
        };
        let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
        let mut lines = text.ok_or(())?.lines();
        let mut words = lines.next().ok_or(())?.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(());
        };
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return Err(());
        }
        let mut head =
            Self { method: method.to_owned(), target: target.to_owned(), host: None, from_browser: false };
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(())?;
            match name.to_ascii_lowercase().as_str() {
                "host" if head.host.is_some() => return Err(()),
                "host" => head.host = Some(value.trim().to_ascii_lowercase()),
                "origin" | "referer" | "sec-fetch-site" | "sec-fetch-mode" => head.from_browser = true,
                _ => {}
            }
        }
        Ok(Some(head))
    }

    pub(super) fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let lf = bytes.windows(2).position(|window| window == b"\n\n");
    [crlf, lf].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads() {
        let head = Head::parse(b"GET /cb?a=b?c HTTP/1.1\r\nHost: LocalHost:1\r\nX: y\r\n\r\nrest");
        let head = head.ok().flatten().unwrap();
        assert_eq!(head.path_and_query(), ("/cb", "a=b?c"));
        assert_eq!((head.host.as_deref(), head.from_browser), (Some("localhost:1"), false));
        let head = Head::parse(b"GET / HTTP/1.0\nSec-Fetch-Site: none\n\n").ok().flatten().unwrap();
        assert!(head.from_browser && head.host.is_none());
        for part in ["", "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            assert!(matches!(Head::parse(part.as_bytes()), Ok(None)), "{part}");
        }
        for bad in [
            "\r\n\r\n",
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET http://127.0.0.1/cb HTTP/1.1\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ] {
            assert!(Head::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Head::parse(b"\x16\x03\x01\n\n\xff").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let parsed = Head::parse(&[&bytes[..], b"\r\n\r\n"].concat());
            prop_assert!(!matches!(parsed, Ok(None)));
        }
    }
}
