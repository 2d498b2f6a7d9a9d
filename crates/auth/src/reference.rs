//! Secrets that are kept elsewhere: looked at without running anything, fetched when they are lent.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use coderclaw_store::{HelperCache, HelperResult, Place, Reference, read_text};
use coderclaw_types::{Code, Millis, ProviderId, Secret, TokenHash};
use serde_json::Value;

use crate::child::output_of;
use crate::context::Auth;
use crate::refresh::RefreshError;
use crate::standing::{Readiness, Standing};

/// A helper that has failed is left alone for so long, whoever asks.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// A rejection makes the helper run again at most this often.
const FORCED_EVERY: Duration = Duration::from_secs(60);
/// One that ran so long ago would give nothing that lasts longer.
const YOUNG: Duration = Duration::from_secs(60);

/// What is wanted of a secret that is kept elsewhere.
pub(crate) struct Wish {
    pub(crate) min_validity: Duration,
    /// The provider has just rejected this one.
    pub(crate) rejected: Option<TokenHash>,
}

impl Auth {
    /// How a reference stands. Reads at most the cache of its helper; runs nothing.
    pub(crate) fn look_at_reference(
        &self,
        provider: &ProviderId,
        reference: &Result<Reference, String>,
        now: Millis,
    ) -> Standing {
        let never = |detail: String| {
            let mut standing = Standing::new(Readiness::Never, Code::UnresolvedRef);
            standing.detail = Some(detail);
            standing
        };
        let reference = match reference {
            Ok(reference) => reference,
            Err(why) => return never(format!("the secret is kept elsewhere: {why}")),
        };
        match &reference.place {
            Place::Env(name) if self.env().get(name).is_none() => {
                return never(format!("it is kept in the variable {name}, which is not set"));
            }
            Place::File(path) if !self.env().resolve(path).is_file() => {
                return never(format!("it is kept in the file {path}, which is not there"));
            }
            _ => {}
        }
        let held = HelperCache::of(self.state(), provider, reference).map(|cache| cache.read());
        let mut standing = match held {
            Some(HelperResult { token: Some(token), until, .. }) if until > now => {
                let mut standing = Standing::new(Readiness::Now, Code::Ok);
                standing.secret = Some(token);
                standing.valid_until = Some(until);
                standing.changes_at = Some(until);
                standing
            }
            Some(HelperResult { failure: Some(failure), .. }) => {
                let mut standing = Standing::new(Readiness::OnDemand, Code::UnresolvedRef);
                standing.detail = Some(failure);
                standing
            }
            _ => Standing::new(Readiness::OnDemand, Code::Ok),
        };
        standing.detail.get_or_insert_with(|| format!("kept at {reference}, and fetched when it is lent"));
        standing.reference = Some(Box::new(reference.clone()));
        standing
    }

    /// The secret itself, and until when it is used.
    pub(crate) fn fetch(
        &self,
        provider: &ProviderId,
        reference: &Reference,
        wish: &Wish,
    ) -> Result<(Secret, Option<Millis>), RefreshError> {
        let Some(cache) = HelperCache::of(self.state(), provider, reference) else {
            let (token, until) = self.resolved(reference).map_err(|why| unresolved(reference, &why))?;
            return Ok((token, until));
        };
        let began = self.clock().now();
        if let Some(found) = usable(&cache.read(), began, wish) {
            return Ok(found);
        }
        let guard = cache.lock(self.state(), reference.timeout + Duration::from_secs(5))?;
        let now = self.clock().now();
        let held = cache.read();
        if let Some(found) = usable(&held, now, wish) {
            return Ok(found);
        }
        let since = |at: Millis| if at > now { Duration::MAX } else { now.since(at) };
        if let Some(failure) = held.failure.as_ref().filter(|_| since(held.at) < AFTER_FAILURE) {
            return Err(unresolved(reference, failure));
        }
        let is_rejected = |token: &Secret| wish.rejected == Some(TokenHash::of(token));
        if let Some(token) = held.token.as_ref().filter(|_| held.until > now) {
            if is_rejected(token) && held.forced_at.is_some_and(|at| since(at) < FORCED_EVERY) {
                return Ok((token.clone(), Some(held.until)));
            }
            if !is_rejected(token) && since(held.at) < YOUNG {
                return Err(RefreshError::CannotGuarantee { until: Some(held.until) });
            }
        }
        let forced_at = held.token.as_ref().is_some_and(is_rejected).then_some(now).or(held.forced_at);
        let ran = self.resolved(reference);
        let at = self.clock().now();
        let result = match &ran {
            Ok((token, until)) => {
                let kept = at.plus(reference.ttl.unwrap_or_default());
                let until = until.map_or(kept, |until| until.min(kept));
                HelperResult { token: Some(token.clone()), until, at, forced_at, failure: None }
            }
            // What worked a moment ago is none the worse: it goes on where it was not rejected.
            Err(why) => HelperResult { at, failure: Some(why.clone()), ..HelperResult::default() },
        };
        cache.write(self.state(), &guard, &result)?;
        drop(guard);
        let (token, _) = ran.map_err(|why| unresolved(reference, &why))?;
        if result.until.since(at) < wish.min_validity {
            return Err(RefreshError::CannotGuarantee { until: Some(result.until) });
        }
        Ok((token, Some(result.until)))
    }

    /// Reads the variable or the file, or runs the program.
    fn resolved(&self, reference: &Reference) -> Result<(Secret, Option<Millis>), String> {
        let text = match &reference.place {
            Place::Env(name) => {
                Secret::from(self.env().get(name).ok_or_else(|| format!("the variable {name} is not set"))?)
            }
            Place::File(path) => {
                let path = self.env().resolve(path);
                let text = read_text(&path).map_err(|e| e.to_string())?;
                Secret::from(text.ok_or_else(|| format!("{} is not there", path.display()))?.trim())
            }
            Place::Exec(words) => self.helper(words, reference.timeout)?,
            Place::OnePassword(address) => {
                let words = ["op", "read", "--no-newline", address].map(str::to_owned);
                self.helper(&words, reference.timeout)?
            }
        };
        if matches!(reference.place, Place::Exec(_)) && text.expose().starts_with('{') {
            return read_answer(text.expose(), self.clock().now());
        }
        Ok((one_token(text)?, None))
    }

    /// What a helper prints. It gets the caller's environment, since it may need a socket or a setting of its own, but for
    /// every variable that may hold a provider's credential.
    fn helper(&self, words: &[String], limit: Duration) -> Result<Secret, String> {
        let (program, arguments) = words.split_first().ok_or("it names no program")?;
        let program = match program.starts_with('~') {
            true => self.env().resolve(program),
            false => Path::new(program).to_path_buf(),
        };
        let mut command = Command::new(program);
        let hidden: Vec<&str> = self.registry().iter().flat_map(|one| one.credential_env()).collect();
        let names =
            self.env().names().filter(|name| name.to_str().is_none_or(|name| !hidden.contains(&name)));
        let pairs = names.filter_map(|name| Some((name, self.env().get_os(name.to_str()?)?)));
        command.args(arguments).env_clear().envs(pairs).current_dir(self.env().cwd());
        output_of(command, limit)
    }
}

fn unresolved(reference: &Reference, why: &str) -> RefreshError {
    let detail = format!("what is kept at {reference} cannot be had: {why}");
    RefreshError::Denied { code: Code::UnresolvedRef, detail, until: None }
}

/// What a helper gave earlier, where it still serves.
fn usable(held: &HelperResult, now: Millis, wish: &Wish) -> Option<(Secret, Option<Millis>)> {
    let token = held.token.as_ref()?;
    let is_rejected = wish.rejected.is_some() && wish.rejected == Some(TokenHash::of(token));
    let lasts = held.until > now && held.until.since(now) >= wish.min_validity;
    (lasts && !is_rejected).then(|| (token.clone(), Some(held.until)))
}

/// `{"token", "expiresAt" | "expires_in"}`: what a helper can say about a token beside it.
fn read_answer(text: &str, now: Millis) -> Result<(Secret, Option<Millis>), String> {
    let value: Value =
        serde_json::from_str(text).map_err(|_| "what it printed begins like JSON and is none")?;
    let token = ["token", "access_token"].iter().find_map(|key| value.get(key)?.as_str());
    let token = one_token(Secret::from(token.ok_or("what it printed has no `token`")?))?;
    let until = value.get("expiresAt").and_then(Value::as_i64).map(Millis);
    let lasts =
        value.get("expires_in").and_then(Value::as_u64).map(|secs| now.plus(Duration::from_secs(secs)));
    let until = until.or(lasts);
    if until.is_some_and(|until| until <= now) {
        return Err("the token that it printed has ended already".to_owned());
    }
    Ok((token, until))
}

/// A secret that a header can carry.
fn one_token(text: Secret) -> Result<Secret, String> {
    if text.is_blank() {
        return Err("there is nothing".to_owned());
    }
    match text.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => Err("it is no token: it holds a space, a line break or another character that no token has"
            .to_owned()),
    }
}
