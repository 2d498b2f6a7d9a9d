//! The pages that the browser shows: plain, without script, without anything from elsewhere.

/// A whole HTTP response with a page. `title` and `text` are escaped.
pub(super) fn page(status: &str, title: &str, text: &str) -> String {
    let (title, text) = (escape(title), escape(text));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title} - CoderClaw</title>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
    );
    response(status, "text/html", &html)
}

/// A whole HTTP response with plain text.
pub(super) fn plain(status: &str, text: &str) -> String {
    response(status, "text/plain", text)
}

/// The address of the page holds a code: it is not stored and not passed on (RFC 9700 section 4.2).
fn response(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let page = page("200 OK", "</title>", "<script>'\"&");
        assert!(page.contains("&lt;script&gt;&#39;&quot;&amp;") && !page.contains("<script"), "{page}");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    }
}
