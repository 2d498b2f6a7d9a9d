//! A browser without script: it keeps cookies, follows redirects, and presses buttons by what they are called.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::gateway_world::{Answer, Gate};
use crate::world::World;

/// A browser on the console of a gateway.
pub(crate) struct Browser<'a> {
    pub(crate) gate: &'a Gate,
    cookie: RefCell<Option<String>>,
}

/// What it shows.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) html: String,
    /// Where it is, after all redirects.
    pub(crate) path: String,
}

/// A button or a link that looks like one, and the form around it.
#[derive(Debug)]
struct Form<'a> {
    tag: &'a str,
    inner: &'a str,
}

/// A link into the console.
pub(crate) fn link(world: &World, gate: &Gate) -> String {
    let port = gate.port.to_string();
    let made = world.run(&["gateway", "open", "--port", &port, "--json"]).json();
    let url = made["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://127.0.0.1:{port}")).unwrap();
    assert!(path.starts_with("/console/enter?link="), "{path}");
    path.to_owned()
}

impl<'a> Browser<'a> {
    /// One that has never been here.
    pub(crate) fn new(gate: &'a Gate) -> Self {
        Self { gate, cookie: RefCell::default() }
    }

    /// One that is in.
    pub(crate) fn signed_in(world: &World, gate: &'a Gate) -> Self {
        let browser = Self::new(gate);
        let page = browser.press(&browser.get(&link(world, gate)), "Sign in");
        assert_eq!((page.status, page.path.as_str()), (200, "/"), "{}", page.html);
        browser
    }

    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.borrow().clone()
    }

    pub(crate) fn set_cookie(&self, cookie: &str) {
        self.cookie.replace(Some(cookie.to_owned()));
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("Sec-Fetch-Site".to_owned(), "same-origin".to_owned())];
        headers.extend(self.cookie().map(|cookie| ("Cookie".to_owned(), cookie)));
        headers
    }

    fn send(&self, line: &str, body: Option<&str>) -> Answer {
        let mut headers = self.headers();
        if body.is_some() {
            headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
        }
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.gate.send(line, &headers, body.unwrap_or_default())
    }

    pub(crate) fn get(&self, path: &str) -> Page {
        self.follow(self.send(&format!("GET {path}"), None), path)
    }

    /// Sends a form with these fields.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.follow(self.send(&format!("POST {path}"), Some(&body)), path)
    }

    fn follow(&self, answer: Answer, path: &str) -> Page {
        if let Some(set) = answer.header("set-cookie") {
            for wanted in ["HttpOnly", "SameSite=Strict", "Path=/"] {
                assert!(set.split("; ").any(|part| part == wanted), "{set}");
            }
            let pair = set.split(';').next().unwrap().to_owned();
            self.cookie.replace((!pair.ends_with('=')).then_some(pair));
        }
        if answer.status == 303 {
            let to = answer.header("location").unwrap().to_owned();
            let to = to.split('#').next().unwrap().to_owned();
            return self.get(&to);
        }
        for (name, wanted) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(wanted), "{answer:?}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        Page { status: answer.status, html: answer.text(), path: path.to_owned() }
    }

    /// Presses the button, or follows the link, that is called so.
    pub(crate) fn press(&self, page: &Page, called: &str) -> Page {
        self.press_with(page, called, &[])
    }

    /// The same, after these fields were filled in.
    pub(crate) fn press_with(&self, page: &Page, called: &str, filled: &[(&str, &str)]) -> Page {
        let (form, button) = page.form_of(called);
        let mut fields = form.fields();
        fields.extend(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        fields.extend(attribute(button, "name").zip(attribute(button, "value")));
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let to = attribute(form.tag, "action").unwrap_or_else(|| page.path.clone());
        if attribute(form.tag, "method").as_deref() == Some("get") {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            return self.get(&format!("{to}?{query}"));
        }
        self.post(&to, &fields)
    }
}

impl Page {
    /// What a person reads, its parts apart.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in self.html.split('<').skip(1) {
            let words = part.split_once('>').map_or("", |(_, words)| words);
            text.push_str(&unescape(words));
            text.push(' ');
        }
        // A name is marked up by itself, and the sentence goes on behind it.
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",").replace(" :", ":")
    }

    pub(crate) fn says(&self, words: &str) -> &Self {
        assert!(self.text().contains(words), "{words}\n---\n{}", self.text());
        self
    }

    pub(crate) fn says_not(&self, words: &str) -> &Self {
        assert!(!self.text().contains(words), "{words}\n---\n{}", self.text());
        self
    }

    /// The fields of the form around the button that is called so.
    pub(crate) fn fields_of(&self, called: &str) -> Vec<(String, String)> {
        self.form_of(called).0.fields()
    }

    /// Whether there is such a button, and it can be pressed.
    pub(crate) fn has(&self, called: &str) -> bool {
        self.find(called).is_some_and(|(_, button)| !button.contains(" disabled"))
    }

    fn form_of(&self, called: &str) -> (Form<'_>, &str) {
        let found = self.find(called);
        let (form, button) = found.unwrap_or_else(|| panic!("no button {called:?}\n{}", self.html));
        assert!(!button.contains(" disabled"), "{button}");
        (form, button)
    }

    fn find(&self, called: &str) -> Option<(Form<'_>, &str)> {
        for part in self.html.split("<form").skip(1) {
            let (tag, rest) = part.split_once('>').unwrap();
            let inner = rest.split("</form>").next().unwrap();
            for button in inner.split("<button").skip(1) {
                let (button, rest) = button.split_once('>').unwrap();
                let words = attribute(button, "aria-label");
                let words = words.unwrap_or_else(|| unescape(rest.split("</button>").next().unwrap()));
                if words == called {
                    return Some((Form { tag, inner }, button));
                }
            }
        }
        None
    }

    /// The address of the link that is called so.
    pub(crate) fn link(&self, called: &str) -> String {
        let links = self.html.split("<a").skip(1).filter_map(|part| part.split_once('>'));
        let mut named = links.filter(|(_, rest)| unescape(rest.split("</a>").next().unwrap()) == called);
        let (tag, _) = named.next().unwrap_or_else(|| panic!("no link {called:?}\n{}", self.html));
        attribute(tag, "href").unwrap()
    }
}

impl Form<'_> {
    fn fields(&self) -> Vec<(String, String)> {
        let inputs = self.inner.split("<input").skip(1).map(|part| part.split('>').next().unwrap());
        let hidden = inputs.filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"));
        hidden.map(|tag| (attribute(tag, "name").unwrap(), attribute(tag, "value").unwrap())).collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescape(rest.split('"').next().unwrap()))
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Sessions of the agent `main`.
pub(crate) fn sessions(world: &World, entries: &Value) {
    world.private(&world.state().join("agents/main/sessions/sessions.json"), &entries.to_string());
}

/// A session that its user has pinned to `profile`.
pub(crate) fn pinned(profile: &str) -> Value {
    json!({
        "sessionId": "s-1", "updatedAt": crate::world::now().0 - 60_000, "authProfileOverride": profile,
        "authProfileOverrideSource": "user",
    })
}
