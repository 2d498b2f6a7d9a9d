//! What happens, scene by scene.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc;
use std::time::Duration;

use coderclaw_auth::{LoginRequest, LoginUi, LoginWait};
use coderclaw_sandbox::{BrowserPage, Counts, browse};
use coderclaw_store::{WriteError, read_auth_store};
use coderclaw_types::{Code, ProfileId, Secret};
use serde_json::Value;

use super::stage::{PATIENCE, PROVIDER, Ran, Running, Stage};
use super::told::count;
use super::{Broken, Story};

const PERSONAL: &str = "openai-codex:personal@example.test";
const WORK: &str = "openai-codex:work@example.test";

const PROCESSES: usize = 32;
/// How long the access tokens of the logins live, and those that a refresh brings.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3600);

/// What was measured without CoderClaw.
const NAIVE: &str = "For comparison, as measured: 32 processes of a released CLI on one login send its \
                     single-use refresh token 30 times. Here the second time would end the login.";

/// One scene. What it claims goes to the story; an error ends the story and counts against the scene.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    pub(super) run: fn(&mut Story) -> Result<(), Broken>,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "log_in",
        title: "Two accounts log in",
        why: "Each goes through the browser flow with PKCE and a callback on this machine; a scripted browser \
              plays you. The page may say \"stored\" only when the login is on disk.",
        run: log_in,
    },
    Step {
        name: "look",
        title: "One store holds both",
        why: "Two accounts of one provider live side by side. Looking changes nothing and shows no token, only \
              fingerprints.",
        run: look,
    },
    Step {
        name: "expire",
        title: "Both access tokens run out",
        why: "They live for 2 seconds here, for hours or days with a real provider. From then on each login \
              hangs on its refresh token, which works once.",
        run: expire,
    },
    Step {
        name: "storm",
        title: "32 processes want a token at the same moment",
        why: "The server holds its answer back until all of them have started. If two of them sent the same \
              refresh token, it would take that for theft and end the login.",
        run: storm,
    },
    Step {
        name: "kill",
        title: "A process is killed in the middle of a refresh",
        why: "The server has spent the old refresh token, its answer is on the way, and the process that asked \
              gets SIGKILL. A program that refreshes in its own process loses the new token here, and with it the \
              login.",
        run: kill,
    },
    Step {
        name: "choose",
        title: "You choose the account, and see why",
        why: "An order is an order: what comes first is used while it works, and no name or habit outranks it.",
        run: choose,
    },
    Step {
        name: "silence",
        title: "Nothing was given away",
        why: "Tokens are printed where they are asked for, and nowhere else.",
        run: silence,
    },
];

/// The scripted browser, in place of a person's.
struct Browser<'a> {
    stage: &'a Stage,
    /// The page at the end, and whether the login was in the store when that page was there.
    seen: Option<mpsc::Receiver<(std::io::Result<BrowserPage>, bool)>>,
    expected: ProfileId,
}

impl LoginUi for Browser<'_> {
    fn waiting(&mut self, wait: &LoginWait<'_>) -> Result<(), WriteError> {
        let (tell, seen) = mpsc::channel();
        let (url, store, id) = (wait.url.to_owned(), self.stage.agent.store(), self.expected.clone());
        std::thread::spawn(move || {
            let page = browse(&url);
            let is_stored = read_auth_store(&store).is_ok_and(|store| store.doc.get(&id).is_some());
            tell.send((page, is_stored)).ok();
        });
        self.seen = Some(seen);
        Ok(())
    }
}

fn log_in(story: &mut Story) -> Result<(), Broken> {
    story.stage.sandbox.policy(|policy| policy.access_lifetime = SHORT);
    for (name, email, id) in
        [("login_personal", "personal@example.test", PERSONAL), ("login_work", "work@example.test", WORK)]
    {
        let stage = &story.stage;
        stage.sandbox.next_user(email);
        let manifest = stage.auth.provider(PROVIDER).map_err(Broken::because)?;
        let mut browser = Browser { stage, seen: None, expected: ProfileId::stored(id) };
        let login = stage
            .auth
            .login(&stage.agent, manifest, &LoginRequest::default(), &mut browser)
            .map_err(Broken::because)?;
        let seen = browser.seen.and_then(|seen| seen.recv_timeout(PATIENCE).ok());
        let (page, is_stored) = seen.ok_or_else(|| Broken::Failed("the browser saw no page".into()))?;
        let page = page?;
        let says_so = page.status == 200 && page.body.contains(&format!("{id} is stored"));
        let account = login.identity.account.unwrap_or_else(|| "no account".into());
        let holds = says_so && is_stored && login.profile.as_str() == id;
        let detail = match (says_so, is_stored) {
            (true, true) => format!("{email} ({account}) was on disk when the page said so."),
            (true, false) => format!("{email}: the page said \"stored\" before it was."),
            (false, _) => format!("{email}: the page did not say that it is stored."),
        };
        story.claim(name, holds, detail);
        story.stage.go_on()?;
    }
    // What a refresh brings lasts longer than the demo.
    story.stage.sandbox.policy(|policy| policy.access_lifetime = LONG);
    story.remember_tokens()
}

fn look(story: &mut Story) -> Result<(), Broken> {
    let path = story.stage.agent.store();
    let before = std::fs::read(&path)?;
    story.show(&["models", "status"])?;
    let unchanged = std::fs::read(&path)? == before;
    let mode = std::fs::metadata(&path)?.mode() & 0o777;
    let folder = path.parent().unwrap_or(&path);
    let folder_mode = std::fs::metadata(folder)?.mode() & 0o777;
    story.claim(
        "store_private",
        (mode, folder_mode) == (0o600, 0o700),
        format!("auth-profiles.json has mode {mode:04o}, its folder {folder_mode:04o}: yours alone."),
    );
    let store = story.stage.store()?;
    let kinds: Vec<_> =
        store.ids().filter_map(|id| Some((id.clone(), store.get(&id)?.kind().to_owned()))).collect();
    let both = [PERSONAL, WORK]
        .iter()
        .all(|id| kinds.iter().any(|(known, kind)| known.as_str() == *id && kind == "oauth"));
    let detail = format!("It holds {}, and looking did not change it.", count_logins(kinds.len()));
    story.claim("both_stored", both && kinds.len() == 2 && unchanged, detail);
    Ok(())
}

fn count_logins(n: usize) -> String {
    count(u32::try_from(n).unwrap_or(u32::MAX), "login")
}

fn expire(story: &mut Story) -> Result<(), Broken> {
    let stage = &story.stage;
    let clock = stage.auth.clock();
    let mut states = Vec::new();
    let out = stage.wait_until(|| {
        let status = stage.auth.status(&stage.agent).map_err(Broken::because)?;
        let ended = status.profiles.iter().all(|p| p.expires_at.is_some_and(|at| at <= clock.now()));
        states = status.profiles.iter().map(|p| p.state).collect();
        Ok(ended && !states.contains(&Code::Ok))
    })?;
    let due = out && states.iter().all(|state| *state == Code::RefreshDue);
    states.dedup();
    let states: Vec<_> = states.iter().map(|state| state.as_str()).collect();
    story.claim("expired", due, format!("Both have ended; status calls them {}.", states.join(" and ")));
    Ok(())
}

/// What the server has seen since `before`.
fn since(before: &Counts, after: &Counts) -> (u32, u32) {
    (after.refreshes - before.refreshes, after.reuses - before.reuses)
}

fn token_of(profile: &str) -> [&str; 7] {
    ["models", "auth", "token", "--provider", PROVIDER, "--profile", profile]
}

fn storm(story: &mut Story) -> Result<(), Broken> {
    let stage = &story.stage;
    let before = stage.sandbox.counts();
    let gate = stage.sandbox.gate();
    let askers = (0..PROCESSES).map(|_| stage.start(&token_of(PERSONAL))).collect::<Result<Vec<_>, _>>()?;
    let arrived = stage.wait_until(|| Ok(gate.wait_arrived(Duration::from_millis(50))))?;
    gate.open();
    let ran = askers.into_iter().map(Running::finish).collect::<Result<Vec<_>, _>>()?;
    let (requests, reuses) = since(&before, &stage.sandbox.counts());
    let answered: Vec<Secret> = ran.iter().filter_map(Ran::token).collect();
    let distinct: HashSet<&str> = answered.iter().map(Secret::expose).collect();
    let complaint = ran.iter().find(|ran| !ran.status.success()).map(Ran::complaint);
    let shown = answered.first().map(|token| stage.fingerprint(token)).transpose()?;
    let is_new = answered.first().is_some_and(|token| !story.tokens.contains(token));
    let same = answered.len() == PROCESSES && distinct.len() == 1 && is_new;
    let tokens = match (&shown, complaint) {
        (Some(shown), None) if same => {
            format!("All {PROCESSES} processes got the same new token, #{shown}.")
        }
        (_, Some(why)) => format!("{} of {PROCESSES} processes got a token. {why}", answered.len()),
        _ => format!("{PROCESSES} processes got {} different tokens.", distinct.len()),
    };
    story.claim(
        "storm_one_refresh",
        arrived && (requests, reuses) == (1, 0),
        format!("The server saw {} and {}.", count(requests, "refresh request"), count(reuses, "reuse")),
    );
    story.claim("storm_same_token", same, tokens);
    story.told.text(NAIVE);
    story.remember_tokens()
}

fn kill(story: &mut Story) -> Result<(), Broken> {
    let stage = &story.stage;
    let before = stage.sandbox.counts();
    let gate = stage.sandbox.gate();
    let asker = stage.start(&token_of(WORK))?;
    let arrived = stage.wait_until(|| Ok(gate.wait_arrived(Duration::from_millis(50))))?;
    let ended = asker.kill()?;
    gate.open();
    let ran = stage.start(&token_of(WORK))?.finish()?;
    let counts = stage.sandbox.counts();
    let (requests, reuses) = since(&before, &counts);
    let token = ran.token().filter(|token| !story.tokens.contains(token));
    let shown = token.as_ref().map(|token| stage.fingerprint(token)).transpose()?;
    let killed = arrived && ended.signal() == Some(9);
    let how = if killed {
        "The asker was killed while the answer was held back."
    } else {
        "The asker ended by itself, too early."
    };
    story.claim("kill_in_the_middle", killed, how);
    let detail = match &shown {
        Some(shown) => format!("The next asker got the new token, #{shown}."),
        None => format!("The next asker got no new token. {}", ran.complaint()),
    };
    story.claim("kill_lost_nothing", shown.is_some(), detail);
    let once = (requests, reuses) == (1, 0) && counts.most_sent() == 1;
    let why = if once { ": the refresh went on without its asker" } else { "" };
    let seen = format!("{} and {}", count(requests, "refresh request"), count(reuses, "reuse"));
    story.claim("kill_one_refresh", once, format!("The server saw {seen}{why}."));
    story.remember_tokens()
}

fn choose(story: &mut Story) -> Result<(), Broken> {
    story.stage.run(&["models", "auth", "order", "set", "--provider", PROVIDER, WORK, PERSONAL])?;
    story.told.output(
        &format!("coderclaw models auth order set --provider {PROVIDER} \\"),
        &format!("    {WORK} \\\n    {PERSONAL}"),
    );
    let explain = ["models", "auth", "explain", "--provider", PROVIDER];
    story.show(&explain)?;
    let text = story.stage.run(&[&explain[..], &["--json"]].concat())?;
    let said: Value = serde_json::from_str(&text).map_err(Broken::because)?;
    let candidates: Vec<_> = said["candidates"].as_array().into_iter().flatten().collect();
    let verdicts: Vec<_> =
        candidates.iter().map(|one| (one["profileId"].as_str(), one["verdict"].as_str())).collect();
    let as_ordered = verdicts == [(Some(WORK), Some("winner")), (Some(PERSONAL), Some("standby"))];
    let reasons = candidates.iter().all(|one| one["reason"].is_string());
    let winner = said["winner"]["profileId"].as_str().unwrap_or("nobody");
    let detail = format!("{winner} is used, and every candidate has a reason.");
    story.claim("order_is_order", winner == WORK && as_ordered && reasons, detail);
    Ok(())
}

fn silence(story: &mut Story) -> Result<(), Broken> {
    story.remember_tokens()?;
    let printed = story.told.all();
    let leaked = story.tokens.iter().filter(|token| printed.contains(token.expose())).count();
    let lines = printed.lines().count();
    let detail = match leaked {
        0 => format!("None of the {} tokens so far is in the {lines} lines above.", story.tokens.len()),
        n => format!("{n} tokens are in the lines above."),
    };
    story.claim("no_token_shown", leaked == 0, detail);
    Ok(())
}
