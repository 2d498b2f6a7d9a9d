//! The wizard at a real terminal: chosen, gone back, left at each step.

use std::io::{Read, Write};
use std::process::Child;

use coderclaw_sandbox::browse;
use serde_json::{Value, json};

use crate::terminal::Terminal;
use crate::world::{ME, World};

const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";
const ESC: &str = "\x1b";
const CTRL_C: &str = "\x03";
const KEY: &str = "sk-ant-api03-canary-canary-canary-canary";

const PROVIDER: &str = "Which provider?";
const METHOD: &str = "Anthropic: how?";
const MODEL: &str = "where none is named?";

/// Somebody who answers questions.
struct Person {
    terminal: Terminal,
    child: Child,
    seen: String,
}

impl Person {
    fn sits_at(world: &World, line: &[&str]) -> Self {
        let mut command = world.command(line);
        command.env("TERM", "xterm-256color");
        let terminal = Terminal::open();
        let child = terminal.controls(&command).spawn().unwrap();
        Self { terminal, child, seen: String::new() }
    }

    /// Waits until the question is asked from now on, and types.
    fn types(&mut self, question: &str, keys: &str) -> String {
        let mut shown = String::new();
        self.terminal.until(&mut shown, question);
        self.terminal.wait_for_silence();
        self.terminal.master.write_all(keys.as_bytes()).unwrap();
        self.seen.push_str(&shown);
        shown
    }

    /// The exit code, and all that was on the screen.
    fn ends(mut self) -> (Option<i32>, String) {
        let mut master = self.terminal.master.try_clone().unwrap();
        // Read on, so that a full screen never holds the program up.
        let reader = std::thread::spawn(move || {
            let mut rest = Vec::new();
            Read::read_to_end(&mut master, &mut rest).ok();
            String::from_utf8_lossy(&rest).into_owned()
        });
        let code = self.child.wait().unwrap().code();
        assert!(self.terminal.echoes(), "the terminal is as it was");
        drop(self.terminal);
        self.seen.push_str(&reader.join().unwrap());
        let (hidden, shown) = (self.seen.rfind("\x1b[?25l"), self.seen.rfind("\x1b[?25h"));
        assert!(hidden < shown || hidden.is_none(), "the cursor stays hidden: {:?}", self.seen);
        (code, self.seen)
    }
}

fn config(world: &World) -> Value {
    let text = std::fs::read_to_string(world.state().join("coderclaw.json")).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).unwrap()
}

/// From nothing to a login that works: group, method, model, key.
#[test]
fn a_key_by_the_wizard() {
    let world = World::new();
    let mut person = Person::sits_at(&world, &["onboard"]);
    person.types(PROVIDER, &[DOWN, ENTER].concat());
    person.types(METHOD, &[DOWN, ENTER].concat());
    person.types(MODEL, ENTER);
    person.types("It is not shown.", &format!("{KEY}\r"));
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("anthropic:default") && shown.contains("coderclaw models status"), "{shown}");
    assert_eq!(world.entry("main", "anthropic:default")["key"], KEY);
    assert_eq!(config(&world)["agents"]["defaults"]["model"]["primary"], "anthropic/claude-sonnet-4-6");
}

/// Ctrl-C at each step, Esc at the first: nothing is changed, the terminal is as it was, and exit 1 says so.
#[test]
fn leaving_at_each_step_changes_nothing() {
    let world = World::new();
    let before = world.everything();
    let steps: &[(&str, &str)] =
        &[(PROVIDER, "\x1b[B\r"), (METHOD, "\x1b[B\r"), (MODEL, "\r"), ("It is not shown.", "")];
    for last in 0..steps.len() {
        let mut person = Person::sits_at(&world, &["onboard"]);
        for (question, keys) in &steps[..last] {
            person.types(question, keys);
        }
        person.types(steps[last].0, CTRL_C);
        let (code, shown) = person.ends();
        assert_eq!(code, Some(1), "{last}: {shown}");
        assert!(shown.contains("nothing was changed") && shown.contains("input_required"), "{last}: {shown}");
        assert_eq!(world.everything(), before, "{last}");
    }
    let mut person = Person::sits_at(&world, &["configure", "--section", "model"]);
    person.types(PROVIDER, ESC);
    assert_eq!(person.ends().0, Some(1));
    assert_eq!(world.everything(), before);
}

/// Esc is one step back, and what was chosen then counts.
#[test]
fn esc_is_one_step_back() {
    let world = World::new();
    let mut person = Person::sits_at(&world, &["onboard"]);
    person.types(PROVIDER, &[DOWN, ENTER].concat());
    person.types(METHOD, &[DOWN, ENTER].concat());
    person.types(MODEL, ESC);
    person.types(METHOD, ESC);
    // From Anthropic, which is still marked, on to MiniMax, Moonshot and so on, and back to nothing chosen at all.
    person.types(PROVIDER, &[DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, ENTER].concat());
    // Z.AI has one method, which is not asked for; the model is.
    person.types(MODEL, &[ESC].concat());
    person.types(PROVIDER, &[DOWN, ENTER].concat());
    person.types(MODEL, &["\x1b[A", ENTER].concat());
    person.types("It is not shown.", "canary-canary-canary-canary\r");
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(world.entry("main", "qianfan:default")["type"], "api_key");
    assert!(config(&world)["agents"]["defaults"]["model"].is_null(), "none was chosen");
}

/// The product page's way: the wizard, then `openai-codex`, in a browser.
#[test]
fn a_chatgpt_login_by_the_wizard() {
    let world = World::new();
    let mut person = Person::sits_at(&world, &["onboard"]);
    person.types(PROVIDER, ENTER);
    person.types("OpenAI: how?", ENTER);
    person.types(MODEL, ENTER);
    let mut shown = String::new();
    person.terminal.until(&mut shown, "Ctrl-C");
    let url =
        shown.lines().find_map(|line| line.find("http").map(|at| line[at..].trim().to_owned())).unwrap();
    person.seen.push_str(&shown);
    let page = browse(url.split('\u{1b}').next().unwrap()).unwrap();
    assert!(page.body.contains("stored"));
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(world.entry("main", ME)["accountId"], "acct-me-1");
    assert_eq!(config(&world)["agents"]["defaults"]["model"]["primary"], "openai-codex/gpt-5.3-codex");
}

/// A key that is refused leads back to the choice; an order that hides the new profile is asked about.
#[test]
fn a_refused_key_and_an_order_in_the_way() {
    let world = World::new();
    let old = json!({"type": "api_key", "provider": "anthropic", "key": "sk-ant-api03-old-old-old"});
    world.seed("main", &[("anthropic:old", &old)]);
    world.run(&["models", "auth", "order", "set", "--provider", "anthropic", "anthropic:old"]).ok();
    let mut person = Person::sits_at(&world, &["onboard"]);
    let to_key = |person: &mut Person, downs: &str| {
        person.types(PROVIDER, &[downs, ENTER].concat());
        person.types(METHOD, &[DOWN, ENTER].concat());
        person.types(MODEL, ENTER);
    };
    to_key(&mut person, DOWN);
    person.types("It is not shown.", "sk-ant-ort01-canary-canary-canary\r");
    to_key(&mut person, "");
    person.types("It is not shown.", &format!("{KEY}\r"));
    person.types("hides the new profile", ENTER);
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    let order = world.run(&["models", "auth", "order", "get", "--provider", "anthropic", "--json"]).json();
    assert_eq!(order["order"], json!(["anthropic:default", "anthropic:old"]));
}

/// A second agent is offered the first one's logins, and `agents add` ends in that question.
#[test]
fn a_new_agent_is_offered_a_link() {
    let world = World::new();
    let login = world.login(3_600_000);
    world.seed("main", &[(ME, &login.entry)]);
    let mut person = Person::sits_at(&world, &["agents", "add", "work"]);
    person.types("Whose logins does work use?", &[DOWN, ENTER].concat());
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("nothing was copied"), "{shown}");
    let told = world.run(&["channels", "list", "--json", "--agent", "work"]).json();
    assert_eq!(told["auth"][0]["id"], ME);
    assert!(!world.store_of("work").exists());
    // Left at that question, the agent is there all the same, and what to type next is said.
    let mut person = Person::sits_at(&world, &["agents", "add", "play"]);
    person.types("Whose logins does play use?", CTRL_C);
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("agents link play"), "{shown}");
    // With a flag it is a script's.
    let person = Person::sits_at(&world, &["agents", "add", "third", "--workspace", "w"]);
    assert_eq!(person.ends().0, Some(0));
}

#[test]
fn a_reset_is_asked_about() {
    let world = World::new();
    let login = world.login(3_600_000);
    world.seed("main", &[(ME, &login.entry)]);
    for keys in [ENTER, ESC, CTRL_C] {
        let before = world.everything();
        let mut person = Person::sits_at(&world, &["onboard", "--reset"]);
        person.types("Start anew", keys);
        assert_eq!(person.ends().0, Some(1));
        assert_eq!(world.everything(), before);
    }
    let mut person = Person::sits_at(&world, &["onboard", "--reset"]);
    person.types("Start anew", &[DOWN, ENTER].concat());
    person.types(PROVIDER, &["\x1b[A", ENTER].concat());
    let (code, shown) = person.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!world.store().exists() && world.state().join("trash").exists());
}
