//! Who may not come into the console, and what cannot be smuggled into its pages.

use std::time::Duration;

use serde_json::json;

use crate::console_world::{Browser, link, pinned, sessions};
use crate::gateway_world::Gate;
use crate::world::{ME, PROVIDER, World};

const FORM: &str = "application/x-www-form-urlencoded";

fn world() -> World {
    let world = World::new();
    world.seed("main", &[(ME, &world.login(3_000_000).entry)]);
    world
}

/// A link lets one browser in, once; looking at its page uses nothing up.
#[test]
fn a_link_works_once() {
    let world = world();
    let gate = Gate::start(&world);
    let path = link(&world, &gate);
    let (one, two) = (Browser::new(&gate), Browser::new(&gate));
    for browser in [&one, &two] {
        let page = browser.get(&path);
        page.says("This link works once.");
        assert!(!page.html.contains(path.split('=').nth(1).unwrap()), "the link is in the address only");
    }
    assert_eq!(one.get("/").status, 403);
    let page = one.press(&one.get(&path), "Sign in");
    assert_eq!((page.status, page.path.as_str()), (200, "/"));
    let again = two.press(&two.get(&path), "Sign in");
    again.says("used already").says("coderclaw gateway open");
    assert_eq!((again.status, two.cookie()), (403, None));
    for wrong in ["/console/enter", "/console/enter?link=", "/console/enter?link=../keys.toml"] {
        assert_eq!(two.post(wrong, &[]).status, 403, "{wrong}");
    }
    assert!(one.get("/").status == 200 && two.get("/").status == 403);
    for words in ["signed in with a link", "a link that does not work was tried"] {
        gate.wait_said(words);
    }
    assert!(!gate.said().contains(path.split('=').nth(1).unwrap()), "{}", gate.said());
}

#[test]
fn a_link_ends_after_minutes() {
    let mut world = world();
    let before = Gate::start(&world);
    let path = link(&world, &before);
    drop(before);
    world.shift_clock(Duration::from_secs(5 * 60 + 1));
    let gate = Gate::start(&world);
    let browser = Browser::new(&gate);
    browser.press(&browser.get(&path), "Sign in").says("it came too late");
    assert_eq!(browser.cookie(), None);
    browser.press(&browser.get(&path), "Sign in").says("used already");
}

/// Without the cookie, with a made-up one, with another gateway's, and after signing out: no page shows anything.
#[test]
fn without_a_visit_nothing_is_shown() {
    let world = world();
    let next_door = self::world();
    let (gate, elsewhere) = (Gate::start(&world), Gate::start(&next_door));
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    let cookie = browser.cookie().unwrap();
    let (name, value) = cookie.split_once('=').unwrap();
    assert_eq!(name, format!("coderclaw-console-{}", gate.port));
    let stranger = Browser::new(&gate);
    let other = Browser::new(&elsewhere);
    let renamed = format!("coderclaw-console-{}={value}", elsewhere.port);
    for path in ["/", "/console/trail", "/console/logout?agent=main&profile=x", "/console/login?id=x"] {
        for wrong in [
            String::new(),
            format!("{name}="),
            format!("{name}={}", "0".repeat(64)),
            format!("{name}={}", &value[1..]),
            format!("x{cookie}"),
            format!("coderclaw-console-1={value}"),
        ] {
            stranger.set_cookie(&wrong);
            let shown = stranger.get(path);
            assert_eq!(shown.status, 403, "{path} {wrong}");
            shown.says("not signed in").says_not("me@x.test");
        }
        other.set_cookie(&renamed);
        assert_eq!(other.get(path).status, 403, "{path}: a visit is one gateway's");
    }
    browser.press(&page, "Sign out").says("not signed in");
    browser.set_cookie(&cookie);
    assert_eq!(browser.get("/").status, 403, "the old cookie is worth nothing");
}

/// A form without the visit's own token, or with another visit's, does nothing.
#[test]
fn a_form_without_its_token_does_nothing() {
    let world = world();
    sessions(&world, &json!({"agent:main:main": pinned(ME)}));
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let other = Browser::signed_in(&world, &gate);
    let theirs = other.get("/").fields_of("Sign out")[0].1.clone();
    let before = world.picture();
    for path in ["order", "refresh", "logout", "unpin", "login", "login/finish", "leave", "x"] {
        for token in [None, Some(""), Some("0"), Some(theirs.as_str())] {
            let mut fields = vec![
                ("agent", "main"),
                ("profile", ME),
                ("provider", PROVIDER),
                ("session", "agent:main:main"),
                ("to", "clear"),
            ];
            fields.extend(token.map(|token| ("form", token)));
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            let cookie = browser.cookie().unwrap();
            let headers =
                [("Sec-Fetch-Site", "same-origin"), ("Cookie", cookie.as_str()), ("Content-Type", FORM)];
            let answer = gate.send(&format!("POST /console/{path}"), &headers, &body);
            assert_eq!((answer.status, answer.code()), (403, "gateway_refused"), "{path} {token:?}");
        }
    }
    assert_eq!(world.picture(), before);
    assert_eq!(browser.get("/").status, 200, "still in");
}

/// What another page sends is refused, even with the cookie and the token: a browser says where it comes from.
#[test]
fn another_page_changes_nothing() {
    let world = world();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let (cookie, token) = (browser.cookie().unwrap(), browser.get("/").fields_of("Sign out")[0].1.clone());
    let body = format!("form={token}&agent=main&profile={ME}");
    let own = format!("http://127.0.0.1:{}", gate.port);
    let send = |line: &str, lines: &[(&str, &str)], body: &str| {
        gate.send(line, &[lines, &[("Cookie", &cookie), ("Content-Type", FORM)]].concat(), body).status
    };
    let before = world.picture();
    for lines in [
        &[][..],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", &own)],
        &[("Sec-Fetch-Site", "same-site"), ("Origin", &own)],
        &[("Sec-Fetch-Site", "none")],
    ] {
        assert_eq!(send("POST /console/logout", lines, &body), 403, "{lines:?}");
        assert_eq!(send("POST /console/enter?link=x", lines, ""), 403, "{lines:?}");
    }
    for lines in [
        &[("Origin", "https://evil.example")][..],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")],
        &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
    ] {
        for path in ["/", "/console/trail", "/console/console.js"] {
            assert_eq!(send(&format!("GET {path}"), lines, ""), 403, "{lines:?} {path}");
        }
    }
    for (line, lines) in [("PUT /console/logout", &[("Origin", own.as_str())][..]), ("OPTIONS /", &[])] {
        assert_eq!(send(line, lines, ""), 405, "{line}");
    }
    let elsewhere = format!(
        "GET / HTTP/1.1\r\nHost: evil.example:{}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n",
        gate.port
    );
    let answer = gate.raw(elsewhere.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("me@x.test"), "{answer}");
    assert_eq!(world.picture(), before);
    assert_eq!(send("POST /console/refresh", &[("Origin", &own)], &body), 303, "from here it works");
}

/// Bodies that no form of ours sends.
#[test]
fn a_body_that_is_no_form_is_refused() {
    let world = world();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let cookie = browser.cookie().unwrap();
    let send = |kind: &str, body: &str| {
        let headers =
            [("Sec-Fetch-Site", "same-origin"), ("Cookie", cookie.as_str()), ("Content-Type", kind)];
        gate.send("POST /console/logout", &headers, body).status
    };
    assert_eq!(send("application/json", "{}"), 415);
    assert_eq!(send("text/plain", "form=x"), 415);
    assert_eq!(send(FORM, &"x".repeat(128 * 1024 + 1)), 413);
    assert_eq!(send(FORM, "%zz=%&&==&\u{fffd}"), 403);
}

/// G2: names, addresses, models, sessions and lines of the trail are text on every page, whatever they hold, and no page
/// shows a token.
#[test]
fn g2_hostile_names_are_text() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}&lt;";
    let world = World::new();
    let login = world.login(3_000_000);
    let mut entry = login.entry.clone();
    entry["email"] = json!(EVIL);
    let id = format!("openai-codex:{EVIL}");
    let other = format!("openai-codex:b{EVIL}");
    let token = json!({"type": "token", "provider": "anthropic", "token": "canary-token-canary-token"});
    let odd = json!({"type": EVIL, "provider": EVIL});
    world.seed("main", &[(&id, &entry), (&other, &login.entry), ("anthropic:a", &token), (EVIL, &odd)]);
    let mut session = pinned(&id);
    session["modelOverride"] = json!(EVIL);
    session["providerOverride"] = json!(EVIL);
    sessions(&world, &json!({EVIL: session}));
    let line = json!({
        "at": 1, "event": EVIL, "outcome": EVIL, "code": EVIL, "agentId": EVIL, "profileId": EVIL, "command": EVIL,
        "detail": format!("{EVIL} sk-ant-oat01-canarycanarycanary"),
    });
    world.private(&world.state().join("logs/auth.jsonl"), &format!("{line}\n"));
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let home = browser.get("/");
    let seen = |name: &str| name.replace('\u{202e}', "\u{fffd}");
    let mut pages = vec![
        browser.get("/?agent=%3Cscript%3Ealert(1)%3C/script%3E"),
        browser.get("/console/logout?agent=main&profile=%3Cscript%3Ealert(1)"),
        browser.press(&home, &format!("Log out: {}", seen(&id))),
        browser.press(&home, &format!("Unpin: {}", seen(EVIL))),
        browser.press(&home, &format!("Refresh now: {}", seen(&id))),
    ];
    let ask = browser.press(&browser.get("/"), &format!("Log out: {} (me@x.test)", seen(&other)));
    pages.push(browser.press(&ask, "Log out"));
    pages.push(home);
    for page in &pages {
        assert_eq!(page.html.matches("<script").count(), 1, "ours alone: {}", page.html);
        assert!(!page.html.contains("<img") && !page.html.contains("alert(1)<"), "{}", page.html);
        assert!(!page.html.contains("onclick") && !page.html.contains(" style="), "{}", page.html);
        for secret in [
            login.access.expose(),
            login.refresh.expose(),
            "canary-token-canary-token",
            "sk-ant-oat01-canary",
        ] {
            assert!(!page.html.contains(secret), "{}", page.html);
        }
    }
    let home = &pages[pages.len() - 1];
    home.says("alert(1)");
    assert!(!home.text().contains('\u{202e}'), "nothing turns the text around it");
}
