//! The console: what it shows is what the commands show, and what its buttons do is what the commands do.

use std::io::BufReader;

use serde_json::{Value, json};

use crate::console_world::{Browser, link, pinned, sessions};
use crate::gateway_world::{Gate, read_chunk, read_head};
use crate::world::{Login, ME, PROVIDER, World};

const YOU: &str = "openai-codex:you@x.test";
const ORDER: &[&str] = &["models", "auth", "order", "get", "--provider", PROVIDER, "--json"];

/// Two accounts, good for an hour.
fn two() -> (World, Login, Login) {
    let world = World::new();
    let (me, you) = (world.login(3_000_000), world.login_of("you", 3_000_000));
    let mut entry = you.entry.clone();
    entry["email"] = json!("you@x.test");
    world.seed("main", &[(ME, &me.entry), (YOU, &entry)]);
    world.fingerprint_key();
    (world, me, Login { entry, ..you })
}

fn order(world: &World) -> Value {
    world.run(ORDER).json()["order"].clone()
}

/// B3: a profile's line has the same words as in `models status`, state by state, with the same command to type next.
#[test]
fn b3_the_same_words_as_the_status() {
    let world = World::new();
    let good = world.login(3_000_000);
    let mut ended = world.login(-1_000).entry;
    ended.as_object_mut().unwrap().remove("refresh");
    let at = world.at(20 * 86_400_000);
    let token = json!({"type": "token", "provider": "anthropic", "token": "canary-token", "expires": at});
    let key = json!({"type": "api_key", "provider": "openai", "key": "canary-key"});
    let torn = json!({"type": "oauth", "provider": PROVIDER, "access": 7});
    world.seed(
        "main",
        &[
            (ME, &good.entry),
            ("openai-codex:old", &ended),
            ("anthropic:t", &token),
            ("openai:k", &key),
            ("openai-codex:torn", &torn),
        ],
    );
    world.fingerprint_key();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    let status = world.run(&["models", "status"]).ok();
    let mut seen = 0;
    for line in status.lines().filter(|line| line.starts_with("    ")) {
        // A moment lies between the two: of times, only that they are told.
        for fact in line.trim().split(" · ").filter(|fact| !fact.starts_with("end")) {
            page.says(fact);
            seen += 1;
        }
    }
    assert!(seen > 10, "{status}");
    for words in ["Needs attention", "The credential has expired and cannot be renewed.", "cannot be renewed"]
    {
        page.says(words);
    }
    assert!(page.has("Log out: anthropic:t") && !page.has("Log in again: anthropic:t"));
    assert!(page.has("Refresh now: openai-codex:me@x.test") && !page.has("Refresh now: openai-codex:old"));
}

/// B11: what was asked for before is shown beside its own profile, and asked for by nobody here; another login's figures
/// are not shown under its name.
#[test]
fn b11_known_usage_is_beside_its_profile() {
    let world = crate::status_watch::world();
    let asked = world.sandbox.log().len();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    page.says("5h").says("60%").says("Week").says("plan plus, as of").says("again in 59 min");
    assert!(page.html.contains("<meter"), "{}", page.html);
    world.seed("main", &[(ME, &world.login_of("stranger", 3_000_000).entry)]);
    browser.get("/").says(ME).says_not("plan plus");
    assert_eq!(world.sandbox.log().len(), asked, "a look asks nobody");
}

/// B2, C2: an order is changed with buttons that need no script, counts for the commands at once, and what somebody else
/// has changed meanwhile is not overwritten.
#[test]
fn c2_an_order_is_changed_with_buttons() {
    let (world, ..) = two();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    page.says("No order is set");
    assert_eq!(order(&world), Value::Null);
    let first = if page.has(&format!("Move down: {ME}")) { (ME, YOU) } else { (YOU, ME) };
    assert!(!page.has(&format!("Move up: {}", first.0)), "the first cannot go higher");
    let after = browser.press(&page, &format!("Move down: {}", first.0));
    assert_eq!(order(&world), json!([first.1, first.0]));
    after.says("In your order");
    // The page before was read before the order was set: what it wants is not done.
    let stale = browser.press(&page, &format!("Move down: {}", first.0));
    stale.says("changed meanwhile");
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, ME]).ok();
    let behind = browser.press(&after, &format!("Move down: {}", first.1));
    behind.says("changed meanwhile").says("not in the order");
    assert_eq!(order(&world), json!([ME]));
    let added = browser.press(&behind, &format!("Add to the order: {YOU}"));
    assert_eq!(order(&world), json!([ME, YOU]));
    browser.press(&added, "Drop the order").says("No order is set");
    assert_eq!(order(&world), Value::Null);
}

/// C15: setting an order among subscriptions with a button does not consent to a key that is billed per use.
#[test]
fn c15_a_button_does_not_let_a_metered_key_in() {
    let (world, me, you) = two();
    let key = json!({"type": "api_key", "provider": PROVIDER, "key": "canary-key"});
    world.seed("main", &[("openai-codex:a-key", &key), (ME, &me.entry), (YOU, &you.entry)]);
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    let first = if page.has(&format!("Move down: {ME}")) { ME } else { YOU };
    let page = browser.press(&page, &format!("Move down: {first}"));
    let now = order(&world);
    assert!(now.as_array().unwrap().len() == 2 && !now.to_string().contains("a-key"), "{now}");
    browser.press(&page, "Add to the order: openai-codex:a-key");
    assert_eq!(order(&world)[2], "openai-codex:a-key", "asked for by name");
}

/// G7: a logout asks first, on a page of its own; then the login is gone here and at the provider.
#[test]
fn g7_a_logout_asks_first() {
    let (world, me, _) = two();
    sessions(&world, &json!({"agent:main:main": pinned(ME)}));
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let asked = browser.press(&browser.get("/"), &format!("Log out: {ME}"));
    asked.says("Log out?").says("of agent main").says("Only here");
    assert!(world.sandbox.is_live(&me.refresh));
    let done = browser.press(&asked, "Log out");
    done.says("Removed openai-codex:me@x.test").says("Revoked at the provider: refresh token");
    done.says("Sessions still pinned to it: 1.");
    assert!(world.entry("main", ME).is_null() && !world.sandbox.is_live(&me.refresh));
    assert!(world.entry("main", YOU).is_object());
    browser.press(&asked, "Log out").says("not found").says("[unknown_profile]");
    let gone = browser.get("/console/logout?agent=main&profile=nobody");
    gone.says("has no profile \"nobody\"");
}

/// A refresh says what came of it, as the command does; a refusal has its code.
#[test]
fn a_refresh_says_what_came_of_it() {
    let (world, me, _) = two();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let press = || browser.press(&browser.get("/"), &format!("Refresh now: {ME}"));
    press().says("is not due: its token ends in").says("Nothing was sent.");
    assert_eq!(world.sent(&me.refresh), 0);
    let token = browser.get("/").fields_of(&format!("Refresh now: {ME}"));
    let fields: Vec<(&str, &str)> = token
        .iter()
        .map(|(name, value)| (name.as_str(), if name == "profile" { "x:y" } else { value.as_str() }))
        .collect();
    browser.post("/console/refresh", &fields).says("has no profile \"x:y\" [unknown_profile]");
}

/// C6: a session lets go of its pin, and says whose it was.
#[test]
fn c6_a_session_is_unpinned() {
    let (world, ..) = two();
    sessions(&world, &json!({"agent:main:main": pinned(ME), "agent:main:notes": {"sessionId": "s-2"}}));
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    page.says("pinned by you");
    assert!(!page.has("Unpin: agent:main:notes"));
    let page = browser.press(&page, "Unpin: agent:main:main");
    page.says("agent:main:main is no longer pinned to openai-codex:me@x.test").says_not("pinned by you");
    let listed = world.run(&["sessions", "list", "--json"]).json();
    assert!(listed["sessions"][0]["pin"].is_null() && listed["sessions"][1]["pin"].is_null(), "{listed}");
}

/// Each agent has a page of its own, and its buttons change its own store.
#[test]
fn every_agent_has_a_page() {
    let (world, me, you) = two();
    world.seed("work", &[(ME, &me.entry), (YOU, &you.entry)]);
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let work = browser.get(&browser.get("/").link("work"));
    let first = if work.has(&format!("Move down: {ME}")) { ME } else { YOU };
    let page = browser.press(&work, &format!("Move down: {first}"));
    assert!(page.path.contains("agent=work"), "{}", page.path);
    let theirs = world.run(&[ORDER, &["--agent", "work"]].concat()).json();
    assert!(theirs["order"].is_array() && order(&world).is_null(), "{theirs}");
    browser.get("/?agent=nobody").says("unknown_agent");
}

/// B10: the trail comes to an open page as it is written, each line once, on from where the page ends; signing out ends it,
/// and an open page does not hold up the end of the gateway.
#[test]
fn b10_the_trail_is_live() {
    let (world, ..) = two();
    let mut gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, YOU]).ok();
    let page = browser.get("/");
    page.says("order set");
    let from = page.html.split("data-from=\"").nth(1).unwrap().split('"').next().unwrap();
    let watch = |from: &str| {
        let headers = browser.headers();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut stream = BufReader::new(gate.open(&format!("GET /console/trail?from={from}"), &headers, ""));
        let head = read_head(&mut stream);
        assert!(head.contains("text/event-stream") && head.contains("200"), "{head}");
        stream
    };
    let mut stream = watch(from);
    world.run(&["models", "auth", "order", "clear", "--provider", PROVIDER]).ok();
    let mut text = String::new();
    while !text.contains("data: ") {
        text.push_str(std::str::from_utf8(&read_chunk(&mut stream).expect("it goes on")).unwrap());
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let said: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&said["what"], &said["whose"]), (&json!("order cleared"), &json!("openai-codex of main")));
    assert_eq!(text.matches("data: ").count(), 1, "what the page has already does not come again: {text}");
    let mut other = watch("");
    browser.press(&page, "Sign out");
    while read_chunk(&mut stream).is_some_and(|chunk| !chunk.is_empty()) {}
    while read_chunk(&mut other).is_some_and(|chunk| !chunk.is_empty()) {}
    let again = Browser::signed_in(&world, &gate);
    let headers = again.headers();
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut held = BufReader::new(gate.open("GET /console/trail", &headers, ""));
    read_head(&mut held);
    let began = std::time::Instant::now();
    gate.terminate();
    assert_eq!(gate.wait(), Some(0));
    assert!(began.elapsed().as_secs() < 10, "an open page was waited for");
}

/// Law 4: no page writes, locks or sends anything, however often it is looked at.
#[test]
fn law4_pages_change_nothing() {
    let (world, ..) = two();
    sessions(&world, &json!({"agent:main:main": pinned(ME)}));
    let gate = Gate::start(&world);
    let entered = link(&world, &gate);
    let browser = Browser::signed_in(&world, &gate);
    let before = world.everything();
    for path in [
        "/",
        "/?agent=main",
        "/?agent=nobody",
        "/?said=7",
        "/console/console.css",
        "/console/console.js",
        "/console/icon.svg",
        "/console/logout?agent=main&profile=openai-codex:me@x.test",
        "/console/login?id=x",
        "/console/nothing",
        &entered,
        &entered,
    ] {
        assert!(browser.get(path).status == 200, "{path}");
    }
    assert_eq!(world.everything(), before);
    assert_eq!(world.sandbox.log().len(), 0, "nothing was sent");
    assert_eq!(Browser::new(&gate).press(&Browser::new(&gate).get(&entered), "Sign in").status, 200);
}

/// A page of an empty state dir leads to the first login.
#[test]
fn nobody_is_logged_in() {
    let world = World::new();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let page = browser.get("/");
    page.says("Nobody is logged in yet.").says("has no sessions").says("Nothing has happened yet.");
    assert!(page.has("Log in") || page.has("Log in to OpenAI Codex (ChatGPT)"));
}

/// Without a gateway there is no link; with one, `--print` prints it and nothing else.
#[test]
fn a_link_needs_a_gateway() {
    let world = World::new();
    let ran = world.run(&["gateway", "open", "--port", "1"]);
    assert_eq!(ran.code(), "gateway_down");
    assert!(ran.stderr.contains("coderclaw gateway run"), "{ran:?}");
    assert!(!world.state().join("gateway/links").exists());
    let gate = Gate::start(&world);
    let port = gate.port.to_string();
    let printed = world.run(&["gateway", "open", "--print", "--quiet", "--port", &port]);
    assert_eq!(printed.stderr, "");
    let url = printed.ok();
    assert!(url.starts_with("http://127.0.0.1:") && url.trim().len() == url.len() - 1, "{url:?}");
    let made = world.run(&["gateway", "open", "--port", &port, "--json"]).json();
    assert!(made["expiresAt"].as_i64().unwrap() > world.at(4 * 60_000), "{made}");
    let elsewhere = world.run(&["gateway", "open", "--at", "https://box.example:7/", "--json"]).json();
    assert!(elsewhere["url"].as_str().unwrap().starts_with("https://box.example:7/console/enter?link="));
    for wrong in ["box.example", "https://", "ftp://x", "https://x/y", "https://x y"] {
        assert_eq!(world.run(&["gateway", "open", "--at", wrong]).code(), "usage", "{wrong}");
    }
}
