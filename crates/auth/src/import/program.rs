//! The one file in which Codex CLI, or Claude Code, keeps its login. It is that program's own, and never written here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coderclaw_oauth::{jwt, read_identity};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_store::{AgentPaths, AuthProfiles, LoginEntry, TokenUpdate, read_auth_store, read_text};
use coderclaw_types::{Env, Millis, ProfileId, ProviderId, Secret};
use serde_json::Value;

use super::{ImportError, ImportReport};
use crate::context::Auth;
use crate::edit::EditError;
use crate::grant::Endpoint;

/// Older versions of both write in place, so a file that makes no sense is read again for so long.
const TORN_TRIES: u32 = 10;
const TORN_PAUSE: Duration = Duration::from_millis(50);

/// A program that keeps a login in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// OpenAI's Codex CLI.
    Codex,
    /// Anthropic's Claude Code.
    Claude,
}

impl Program {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Codex, Self::Claude];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Codex => "Codex CLI",
            Self::Claude => "Claude Code",
        }
    }

    /// Where it keeps its login.
    pub fn file(self, env: &Env) -> PathBuf {
        let (variable, usual, file) = match self {
            Self::Codex => ("CODEX_HOME", ".codex", "auth.json"),
            Self::Claude => ("CLAUDE_CONFIG_DIR", ".claude", ".credentials.json"),
        };
        let folder = env.get(variable).filter(|folder| !folder.trim().is_empty());
        folder.map_or_else(|| env.home().join(usual), |folder| env.resolve(folder)).join(file)
    }

    /// Where the refresh token stands in that file.
    pub(crate) fn refresh_pointer(self) -> &'static str {
        match self {
            Self::Codex => "/tokens/refresh_token",
            Self::Claude => "/claudeAiOauth/refreshToken",
        }
    }

    /// Why there may be a login and no file.
    fn elsewhere(self) -> &'static str {
        match self {
            Self::Codex => {
                "nobody is logged in with Codex CLI, or it keeps its login in the keyring of the system, which is not read"
            }
            Self::Claude => {
                "nobody is logged in with Claude Code, or this is a Mac, where it keeps its login in the Keychain, which is \
                 not read"
            }
        }
    }
}

impl Auth {
    /// Takes over what `program` has in its file, or in the file or folder `from`. A login that renews itself comes in only
    /// with `share`, since two programs cannot both use it for long. With `dry_run` nothing is written; the program's file
    /// never is.
    ///
    /// # Errors
    /// Where the file holds nothing to take over, or the agent's store cannot be changed; it is then as it was.
    pub fn import_program(
        &self,
        agent: &AgentPaths,
        program: Program,
        from: Option<&Path>,
        share: bool,
        dry_run: bool,
    ) -> Result<ImportReport, ImportError> {
        let usual = program.file(self.env());
        let path = match from {
            Some(path) if path.is_dir() => path.join(usual.file_name().unwrap_or_default()),
            Some(path) => path.to_path_buf(),
            None => usual,
        };
        let file = read_object(&path, program)?;
        let mut source = Source { doc: AuthProfiles::empty(), problems: Vec::new() };
        match program {
            Program::Codex => self.read_codex(agent, &file, &mut source)?,
            Program::Claude => self.read_claude(&path, &file, &mut source)?,
        }
        if source.doc.ids().next().is_none() && source.problems.is_empty() {
            let mode = file.get("auth_mode").and_then(Value::as_str).filter(|mode| is_word(mode));
            let mode = mode.map(|mode| format!(" (its auth_mode is {mode})")).unwrap_or_default();
            let why = format!("it holds no login and no key that can be used elsewhere{mode}");
            return Err(ImportError::NoLogin { path, program, why });
        }
        self.import(agent, &path, &source.doc, source.problems, share, dry_run)
    }

    fn read_codex(&self, agent: &AgentPaths, file: &Value, source: &mut Source) -> Result<(), ImportError> {
        if let Some(tokens) = file.get("tokens").filter(|tokens| !tokens.is_null()) {
            match (secret(tokens, "access_token"), secret(tokens, "refresh_token")) {
                (Some(access), Some(refresh)) => {
                    let store = read_auth_store(&agent.store()).map_err(EditError::from)?;
                    self.put_codex_login(&store.doc, file, tokens, access, refresh, source);
                }
                _ => source
                    .problems
                    .push(("tokens".into(), "access token and refresh token are not both there".into())),
            }
        }
        if let Some(key) = secret(file, "OPENAI_API_KEY") {
            source.doc.put_login(
                &ProfileId::stored("openai:manual"),
                &ProviderId::new("openai"),
                &LoginEntry::ApiKey { key },
            );
        }
        Ok(())
    }

    fn put_codex_login(
        &self,
        ours: &AuthProfiles,
        file: &Value,
        tokens: &Value,
        access: Secret,
        refresh: Secret,
        source: &mut Source,
    ) {
        let provider = ProviderId::new("openai-codex");
        let method = self.registry().get(&provider).and_then(|manifest| manifest.auth(MethodKind::OAuth));
        let Some(endpoint) = method.and_then(Endpoint::of) else {
            source.problems.push(("tokens".into(), "openai-codex has no login here".into()));
            return;
        };
        // Very old files have an object here, with what the token says.
        let id_token = secret(tokens, "id_token");
        let mut identity = read_identity(&access, id_token.as_ref(), &endpoint.identity);
        let account = text(tokens, "account_id");
        identity.account = identity.account.or_else(|| account.map(str::to_owned));
        // It has no time of its own for the end. The time of issue is what tells an older login from a newer one.
        let claims = jwt::claims(&access);
        let claimed = |read: fn(&Value) -> Option<Millis>| claims.as_ref().and_then(read);
        let last_refresh = text(file, "last_refresh").and_then(Millis::from_rfc3339);
        let issued_at = claimed(jwt::iat).or(last_refresh);
        let expires = claimed(jwt::exp).or_else(|| Some(issued_at?.plus(endpoint.default_lifetime)));
        let now = self.clock().now();
        let expires = expires.unwrap_or(now);
        let mut login = TokenUpdate::new(access, refresh, expires, issued_at.unwrap_or(expires));
        login.account_id.clone_from(&identity.account);
        login.email.clone_from(&identity.email);
        login.subject.clone_from(&identity.subject);
        login.issuer.clone_from(&identity.issuer);
        let client = tokens.pointer("/oauth_provenance/client_id").and_then(Value::as_str);
        login.client_id = Some(client.unwrap_or(&endpoint.token.client_id).to_owned());
        login.token_origin = Some(endpoint.origin);
        let id = self.id_for(ours, &provider, &identity).unwrap_or_else(|taken| taken);
        source.doc.put_login(&id, &provider, &LoginEntry::OAuth(Box::new(login)));
    }

    fn read_claude(&self, path: &Path, file: &Value, source: &mut Source) -> Result<(), ImportError> {
        let Some(login) = file.get("claudeAiOauth").filter(|login| login.is_object()) else { return Ok(()) };
        if secret(login, "refreshToken").is_some() {
            return Err(ImportError::OwnProgramOnly { path: path.to_path_buf(), program: Program::Claude });
        }
        let Some(token) = secret(login, "accessToken") else { return Ok(()) };
        let provider = ProviderId::new("anthropic");
        let method =
            self.registry().get(&provider).and_then(|one: &Manifest| one.auth(MethodKind::SetupToken));
        if let Some(Err(why)) = method.map(|method| method.accepts(&token)) {
            source.problems.push(("claudeAiOauth".into(), why.to_string()));
            return Ok(());
        }
        let expires = login.get("expiresAt").and_then(Value::as_i64).filter(|at| *at > 0).map(Millis);
        let issued_at = jwt::claims(&token).as_ref().and_then(jwt::iat).unwrap_or_else(|| self.clock().now());
        source.doc.put_login(
            &ProfileId::stored("anthropic:manual"),
            &provider,
            &LoginEntry::Token { token, expires, issued_at },
        );
        Ok(())
    }
}

/// What the file holds, as a store would have it.
struct Source {
    doc: AuthProfiles,
    problems: Vec<(String, String)>,
}

fn read_object(path: &Path, program: Program) -> Result<Value, ImportError> {
    let mut tries = 0;
    loop {
        let Some(all) = read_text(path).map_err(EditError::from)? else {
            let why = program.elsewhere().to_owned();
            return Err(ImportError::NoFileOf { path: path.to_path_buf(), program, why });
        };
        let detail = match serde_json::from_str(&all) {
            Ok(object @ Value::Object(_)) => return Ok(object),
            Ok(_) => "it is not an object".to_owned(),
            Err(e) => e.to_string(),
        };
        tries += 1;
        if tries == TORN_TRIES {
            return Err(ImportError::Damaged { path: path.to_path_buf(), detail });
        }
        std::thread::sleep(TORN_PAUSE);
    }
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// A secret that a header can carry.
fn secret(object: &Value, key: &str) -> Option<Secret> {
    text(object, key).filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic())).map(Secret::from)
}

/// Short enough to be the name of something, and no secret.
fn is_word(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
