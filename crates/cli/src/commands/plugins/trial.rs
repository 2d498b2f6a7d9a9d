//! A login and a refresh by a manifest, on the test server that is built in, in a folder that goes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use coderclaw_auth::{Ask, Auth, LoginRequest, LoginUi, LoginWait, Runner};
use coderclaw_providers::{Manifest, MethodKind, Registry, Text};
use coderclaw_sandbox::{Options, Sandbox, User, browse};
use coderclaw_store::WriteError;
use coderclaw_types::{Clock, Env, Millis, ProviderId};

use super::check::Trial;
use crate::demo::{new_folder, remove};

/// The test server's tokens live for less.
const LATER: i64 = 2 * 3_600_000;
/// A fixed time: a trial says nothing about when it was made.
const NOW: i64 = 1_800_000_000_000;

/// Tries the manifest's browser login; `None` where it has none. Its addresses are replaced by the test server's, everything
/// else is as the manifest has it.
pub(super) fn run(env: &Env, registry: &Registry, manifest: &Manifest) -> Option<Trial> {
    manifest.auth(MethodKind::OAuth)?;
    let mut steps = Vec::new();
    if let Err(why) = walk(env, registry, manifest, &mut steps) {
        let step = ["login", "refresh"].get(steps.len()).copied().unwrap_or("end");
        steps.push((step, Err(why)));
    }
    Some(Trial { steps })
}

fn walk(
    env: &Env,
    registry: &Registry,
    manifest: &Manifest,
    steps: &mut Vec<(&'static str, Result<(), String>)>,
) -> Result<(), String> {
    let passed = Arc::new(AtomicI64::new(0));
    let clock = {
        let passed = Arc::clone(&passed);
        Clock::from_fn(move || Millis(NOW + passed.load(Ordering::Relaxed)))
    };
    let sandbox = Sandbox::start(Options::new(clock.clone())).map_err(|e| e.to_string())?;
    sandbox.add_user(User::named("trial"));
    sandbox.policy(|policy| policy.access_lifetime = Duration::from_secs(3_600));
    let root = new_folder(&env.resolve(env.get("TMPDIR").unwrap_or("/tmp"))).map_err(|e| e.to_string())?;
    let variables =
        [("HOME".into(), root.clone().into()), ("CODERCLAW_STATE_DIR".into(), root.clone().into())];
    let env = Env::new(variables, None, root.clone());
    let registry = registry.clone().with(pointed_at(manifest, sandbox.origin()));
    let auth = Auth::with_registry(env, clock, Runner::Thread, registry).map_err(|e| e.to_string())?;
    let done = (|| {
        let agent = auth.agent(None).map_err(|e| e.to_string())?;
        let known = auth.registry().get(&ProviderId::new(&manifest.id)).ok_or("it is not there")?;
        auth.login(&agent, known, &LoginRequest::default(), &mut Browser).map_err(|e| e.to_string())?;
        steps.push(("login", Ok(())));
        passed.store(LATER, Ordering::Relaxed);
        auth.lease(&agent, known, &Ask::default()).map_err(|e| e.to_string())?;
        if sandbox.counts().refreshes != 1 {
            return Err("no refresh was made".to_owned());
        }
        steps.push(("refresh", Ok(())));
        Ok(())
    })();
    remove(&root).ok();
    done
}

/// The same provider, at another place.
fn pointed_at(manifest: &Manifest, origin: &str) -> Manifest {
    let mut made = manifest.clone();
    let at = |path: &str| Some(Text::Owned(format!("{origin}{path}")));
    for one in made.auth.to_mut().iter_mut().filter(|one| one.method == MethodKind::OAuth) {
        one.issuer = one.issuer.as_ref().and_then(|_| at(""));
        one.authorize_url = at("/oauth/authorize");
        one.token_url = at("/oauth/token");
        one.jwks_url = one.issuer.as_ref().and_then(|_| at("/oauth/jwks"));
        one.revoke_url = one.revoke_url.as_ref().and_then(|_| at("/oauth/revoke"));
        if one.redirect.as_deref().is_some_and(|url| url.starts_with("https")) {
            one.redirect = None;
        }
        // The registered ports may be in use, and are not what is tried.
        one.redirect_ports = Vec::new().into();
        one.client_id.get_or_insert(Text::Borrowed("trial"));
    }
    made
}

/// It does what the page says.
struct Browser;

impl LoginUi for Browser {
    fn waiting(&mut self, wait: &LoginWait<'_>) -> Result<(), WriteError> {
        let url = wait.url.to_owned();
        drop(std::thread::Builder::new().name("browser".into()).spawn(move || browse(&url)));
        Ok(())
    }
}
