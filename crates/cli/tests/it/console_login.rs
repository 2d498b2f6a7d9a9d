//! Logging in from a page of the console, with a browser that may be anywhere.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use coderclaw_sandbox::{Fault, Kind, On};
use serde_json::json;

use crate::console_world::{Browser, Page};
use crate::gateway_world::Gate;
use crate::login::location;
use crate::world::{ME, PROVIDER, World};

const ONLY: &str = "Log in to OpenAI Codex (ChatGPT)";

/// Begins a login by choosing the provider, and says where the provider's page would send the browser.
fn begin(browser: &Browser<'_>) -> (Page, String) {
    let home = browser.get("/");
    // Where there is one provider, there is nothing to choose.
    let page = match home.has(ONLY) {
        true => browser.press(&home, ONLY),
        false => browser.press_with(&home, "Log in", &[("provider", PROVIDER)]),
    };
    assert!(page.path.starts_with("/console/login?id="), "{}", page.path);
    let end = location(&page.link("Open the login page"));
    (page, end)
}

/// E3, E12: one button, the provider's page in any browser, its last address pasted: the login is stored. What is not the
/// answer leaves it waiting.
#[test]
fn e3_a_login_from_a_page() {
    let world = World::new();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let (page, end) = begin(&browser);
    let address = end.split('?').next().unwrap();
    page.says(address);
    for wrong in ["", "hello there", &format!("{address}?code=abcdefghij&state=other"), "<b>"] {
        let after = browser.press_with(&page, "Finish", &[("pasted", wrong)]);
        assert!(after.path.starts_with("/console/login?id="), "it still waits: {wrong}");
        assert!(after.html.contains("role=\"alert\""), "{}", after.html);
        assert!(wrong.is_empty() || !after.html.contains("abcdefghij"), "what was pasted is not shown");
    }
    assert!(!world.store().exists() || world.entry("main", ME).is_null());
    let done = browser.press_with(&page, "Finish", &[("pasted", &end)]);
    done.says(&format!("Stored {ME} for agent main.")).says("in use");
    assert!(world.entry("main", ME)["refresh"].is_string());
    browser.press_with(&page, "Finish", &[("pasted", &end)]).says("This login is over.");
    let trail = world.run(&["models", "auth", "log", "--json"]).json();
    let login = trail["events"].as_array().unwrap().iter().find(|line| line["event"] == "login").unwrap();
    assert_eq!(login["command"], "console");
    let files = std::fs::read_dir(world.state().join("logins")).unwrap().count();
    assert_eq!(files, 0, "nothing waits any more");
}

/// B4: a store that takes no login at the moment costs no login: it waits, and the same answer is good once the store is mended.
#[test]
fn b4_a_login_waits_for_its_store() {
    let world = World::new();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let (page, end) = begin(&browser);
    std::fs::create_dir_all(world.store().parent().unwrap()).unwrap();
    std::fs::write(world.store(), r#"{"version":99,"profiles":{}}"#).unwrap();
    let after = browser.press_with(&page, "Finish", &[("pasted", &end)]);
    assert!(after.path.starts_with("/console/login?id="), "it still waits: {}", after.path);
    after.says("[unsupported_version]");
    std::fs::remove_file(world.store()).unwrap();
    browser.press_with(&after, "Finish", &[("pasted", &end)]).says(&format!("Stored {ME} for agent main."));
}

/// A provider `acme` that has codes only, and wants `interval` seconds between two questions.
fn acme(world: &World, interval: u64) {
    world.sandbox.policy(|policy| policy.device_interval = Some(interval));
    let text = format!(
        "id = \"acme\"\nname = \"Acme <AI>\"\n\n[[auth]]\nmethod = \"device-code\"\nissuer = \"{}\"\nclient_id = \"acme-cli\"\n",
        world.sandbox.origin()
    );
    world.private(&world.state().join("providers/acme.toml"), &text);
}

/// Begins a login by a code: the page that shows it, and the code.
fn begin_code(browser: &Browser<'_>) -> (Page, String) {
    let page = browser.press_with(&browser.get("/"), "Log in", &[("provider", "acme")]);
    page.says("Log in to Acme <AI>").says("Type in this code there:").says_not("Paste it here");
    let text = page.text();
    let at = text.find("SBOX-").expect("a code");
    (page, text[at..at + 9].to_owned())
}

fn polls(world: &World) -> usize {
    world.sandbox.log().iter().filter(|seen| seen.kind == Kind::Poll).count()
}

const TYPED: &str = "I have typed it in";

/// E10: where the provider has codes only, the page shows the code and where it is typed in. A press before that is told so at
/// once; one afterwards stores the login like any other, and the code is good for nothing more.
#[test]
fn e10_a_login_by_a_code_from_a_page() {
    let world = World::new();
    acme(&world, 1);
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let (page, code) = begin_code(&browser);
    assert!(page.link("Open the login page").starts_with(world.sandbox.origin()));
    let early = browser.press(&page, TYPED);
    early.says("Not yet: Acme <AI> says that the code has not been typed in.").says(&code);
    assert!(early.path.starts_with("/console/login?id=") && early.html.contains("role=\"status\""));
    assert_eq!(polls(&world), 1);
    assert!(world.sandbox.type_in(&code, true));
    let done = pressed_until_it_ends(&browser, &early);
    done.says("Stored acme:").says("for agent main.");
    assert_eq!(polls(&world), 2);
    browser.press(&page, TYPED).says("This login is over.");
    assert_eq!(polls(&world), 2);
    // Refused over there: the login is over, and nothing is stored.
    let before = world.text();
    let (page, code) = begin_code(&browser);
    assert!(world.sandbox.type_in(&code, false));
    let refused = browser.press(&page, TYPED);
    assert_eq!(refused.path.split('?').next(), Some("/"), "{}", refused.path);
    refused.says("[login_denied]");
    assert_eq!(world.text(), before);
    browser.press(&page, TYPED).says("This login is over.");
}

/// Presses again until the login is over; those that come too soon are told so.
fn pressed_until_it_ends(browser: &Browser<'_>, page: &Page) -> Page {
    let began = Instant::now();
    loop {
        let after = browser.press(page, TYPED);
        if !after.path.starts_with("/console/login") {
            return after;
        }
        after.says("wants 1 s between two questions.").says("Press again in 1 s.");
        assert!(began.elapsed() < Duration::from_secs(60), "it never ends");
    }
}

/// E10: however often somebody presses, the provider is asked as often as it wants, more rarely after `slow_down`, and after
/// trouble, which is told as such. The login waits on.
#[test]
fn e10_presses_do_not_hurry_the_provider() {
    let world = World::new();
    acme(&world, 60);
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let sixty = "Not yet: Acme <AI> wants 60 s between two questions.";
    let (page, code) = begin_code(&browser);
    browser.press(&page, TYPED).says("has not been typed in");
    assert!(world.sandbox.type_in(&code, true));
    for _ in 0..5 {
        browser.press(&page, TYPED).says(sixty).says("Press again in");
    }
    assert_eq!(polls(&world), 1);
    for (fault, said, next, alert) in [
        (Fault::error("slow_down"), "has not been typed in", "wants 65 s between two questions.", false),
        (Fault::status(503), "could not say whether the code has been typed in", sixty, true),
    ] {
        let (page, _) = begin_code(&browser);
        let before = polls(&world);
        world.sandbox.script_on(On::Poll, fault, 1);
        let after = browser.press(&page, TYPED);
        after.says(said);
        assert_eq!(after.html.contains("role=\"alert\""), alert, "{}", after.html);
        browser.press(&page, TYPED).says(next);
        assert_eq!(polls(&world), before + 1);
    }
    assert!(!world.store().exists() || world.text().contains("\"profiles\": {}"), "nothing yet");
}

/// E10, E12: several presses at once ask one question, and each is told what came of it.
#[test]
fn e10_presses_at_once_are_one_question() {
    let world = World::new();
    acme(&world, 60);
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let cookie = browser.cookie().unwrap();
    let at_once = |page: &Page| -> Vec<Page> {
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            let presses: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let browser = Browser::new(&gate);
                        browser.set_cookie(&cookie);
                        start.wait();
                        browser.press(page, TYPED)
                    })
                })
                .collect();
            presses.into_iter().map(|press| press.join().unwrap()).collect()
        })
    };
    let (page, _) = begin_code(&browser);
    let pages = at_once(&page);
    let asked = pages.iter().filter(|page| page.text().contains("has not been typed in")).count();
    let told = pages.iter().filter(|page| page.text().contains("wants 60 s between two questions")).count();
    assert_eq!((asked, told, polls(&world)), (1, 3, 1));
    let (page, code) = begin_code(&browser);
    assert!(world.sandbox.type_in(&code, true));
    let pages = at_once(&page);
    // One that arrives after the end finds no login any more.
    let stored = pages.iter().filter(|page| page.text().contains("Stored acme:")).count();
    let over = pages.iter().filter(|page| page.text().contains("This login is over.")).count();
    assert!(stored >= 1 && stored + over == 4, "{stored} stored, {over} over");
    assert_eq!(polls(&world), 2);
}

/// C10: logging in again to a profile is for its own person; another's login is given back, and the store is as it was.
#[test]
fn c10_again_is_for_the_same_person() {
    let world = World::new();
    world.seed("main", &[(ME, &world.login(3_000_000).entry)]);
    let before = world.text();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    let again = || {
        let page = browser.press(&browser.get("/"), &format!("Log in again: {ME}"));
        page.says("As me@x.test, and nobody else.");
        page
    };
    world.sandbox.add_user(coderclaw_sandbox::User {
        email: "you@x.test".into(),
        ..coderclaw_sandbox::User::named("user-you")
    });
    world.sandbox.next_user("you@x.test");
    let page = again();
    let end = location(&page.link("Open the login page"));
    browser.press_with(&page, "Finish", &[("pasted", &end)]).says("[other_identity]");
    assert_eq!(world.text(), before);
    world.sandbox.next_user("me@x.test");
    let page = again();
    let end = location(&page.link("Open the login page"));
    browser.press_with(&page, "Finish", &[("pasted", &end)]).says(&format!("Renewed {ME}"));
    assert_ne!(world.text(), before);
}

/// A login that one visit began is not another's to finish, and one that fails says why.
#[test]
fn a_login_belongs_to_its_visit() {
    let world = World::new();
    let gate = Gate::start(&world);
    let (browser, other) = (Browser::signed_in(&world, &gate), Browser::signed_in(&world, &gate));
    let (page, end) = begin(&browser);
    other.get(&page.path).says("This login is over.");
    let id = page.path.split("id=").nth(1).unwrap();
    let token = other.get("/").fields_of("Sign out")[0].1.clone();
    let fields = [("form", token.as_str()), ("id", id), ("pasted", end.as_str())];
    other.post("/console/login/finish", &fields).says("This login is over.");
    assert!(!world.store().exists());
    world.sandbox.deny_next("access_denied", "No seat <left>");
    let (page, end) = begin(&browser);
    browser.press_with(&page, "Finish", &[("pasted", &end)]).says("No seat <left>").says("[login_denied]");
    let (agent, provider) = (("agent", "main"), ("provider", "groq"));
    let token = browser.get("/").fields_of("Sign out")[0].1.clone();
    let none = browser.post("/console/login", &[("form", &token), agent, provider]);
    none.says("has no browser login");
    let unknown = browser.post("/console/login", &[("form", &token), agent, ("provider", "nobody")]);
    unknown.says("[unknown_provider]");
}

/// A new login that an order leaves out says so, with the button that puts it in.
#[test]
fn a_login_behind_an_order_says_so() {
    let world = World::new();
    let other = world.login_of("you", 3_000_000);
    world.seed("main", &[("openai-codex:you@x.test", &other.entry)]);
    world.run(&["models", "auth", "order", "set", "--provider", PROVIDER, "openai-codex:you@x.test"]).ok();
    let gate = Gate::start(&world);
    let browser = Browser::signed_in(&world, &gate);
    world.sandbox.next_user("me@x.test");
    let (page, end) = begin(&browser);
    let done = browser.press_with(&page, "Finish", &[("pasted", &end)]);
    done.says("The order leaves it out").says("not in the order");
    browser.press(&done, &format!("Add to the order: {ME}"));
    let order = world.run(&["models", "auth", "order", "get", "--provider", PROVIDER, "--json"]).json();
    assert_eq!(order["order"], json!(["openai-codex:you@x.test", ME]));
}
