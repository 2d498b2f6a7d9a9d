//! One login in two places: before somebody refreshes it and the other copy is worth nothing.

use std::path::{Path, PathBuf};

use coderclaw_store::{AgentPaths, Entry, read_auth_store, read_text};
use coderclaw_types::{AgentId, GrantId, ProfileId, ProviderId, Secret, TokenHash};
use serde_json::Value;

use crate::context::Auth;
use crate::grant::Refreshable;
use crate::import::Program;

/// A place where a login stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantPlace {
    /// A profile of this state dir. Its copies here are refreshed as one.
    Profile {
        /// Of which agent.
        agent: AgentId,
        /// Which one.
        profile: ProfileId,
    },
    /// A file of another program, which refreshes by itself: whoever is first logs the other out.
    Program {
        /// Its name.
        name: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// A login that stands in more than one store or program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedGrant {
    /// Of which provider.
    pub provider: ProviderId,
    /// Where it stands; at least two.
    pub places: Vec<GrantPlace>,
}

impl Auth {
    /// The program whose file holds the very refresh token `token`, if one does. It does not know when that is used up here.
    pub(crate) fn program_with(&self, token: &TokenHash) -> Option<(Program, PathBuf)> {
        let files = Program::ALL.into_iter().map(|program| (program, program.file(self.env())));
        files.into_iter().find(|(program, path)| refresh_token(*program, path).as_ref() == Some(token))
    }

    /// The logins that stand in two stores of this state dir and, with `programs`, in the files of Codex CLI and Claude
    /// Code. With `agent`, only those that it has. Only hashes are compared, and nothing is written. A file that cannot be
    /// read counts as none.
    pub fn shared_grants(&self, agent: Option<&AgentPaths>, programs: bool) -> Vec<SharedGrant> {
        if !programs && !self.state().may_have_several_agents(self.config()) {
            return Vec::new();
        }
        let agents = self.state().agents(self.config()).unwrap_or_default();
        if agents.len() < 2 && !programs {
            return Vec::new();
        }
        let mut found: Vec<(GrantId, Vec<TokenHash>, SharedGrant)> = Vec::new();
        for one in &agents {
            let Ok(store) = read_auth_store(&one.store()) else { continue };
            for (id, entry) in store.doc.entries() {
                let Entry::OAuth(entry) = entry else { continue };
                let Some(login) = Refreshable::of(self, &id, &entry) else { continue };
                let place = GrantPlace::Profile { agent: one.agent.clone(), profile: id };
                match found.iter_mut().find(|(grant, ..)| *grant == login.grant) {
                    Some((_, tokens, shared)) => {
                        tokens.push(login.token);
                        shared.places.push(place);
                    }
                    None => {
                        let provider = self.canonical(&entry.provider);
                        let shared = SharedGrant { provider, places: vec![place] };
                        found.push((login.grant, vec![login.token], shared));
                    }
                }
            }
        }
        if programs {
            for program in Program::ALL {
                let path = program.file(self.env());
                let Some(token) = refresh_token(program, &path) else { continue };
                for (_, _, shared) in found.iter_mut().filter(|(_, tokens, _)| tokens.contains(&token)) {
                    shared.places.push(GrantPlace::Program { name: program.name(), path: path.clone() });
                }
            }
        }
        let stores = |shared: &SharedGrant| {
            let mut stores: Vec<String> = shared.places.iter().map(GrantPlace::store).collect();
            stores.sort();
            stores.dedup();
            stores.len()
        };
        let is_its = |place: &GrantPlace| match (place, agent) {
            (GrantPlace::Profile { agent, .. }, Some(wanted)) => *agent == wanted.agent,
            _ => agent.is_none(),
        };
        let all = found.into_iter().map(|(_, _, shared)| shared);
        all.filter(|shared| stores(shared) > 1 && shared.places.iter().any(is_its)).collect()
    }
}

impl GrantPlace {
    fn store(&self) -> String {
        match self {
            Self::Profile { agent, .. } => format!("agent {agent}"),
            Self::Program { path, .. } => path.display().to_string(),
        }
    }
}

fn refresh_token(program: Program, path: &Path) -> Option<TokenHash> {
    let text = read_text(path).ok().flatten()?;
    let all: Value = serde_json::from_str(&text).ok()?;
    let token = all.pointer(program.refresh_pointer())?.as_str();
    let token = token.map(str::trim).filter(|token| !token.is_empty())?;
    Some(TokenHash::of(&Secret::from(token)))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
mod tests {
    use coderclaw_types::{Clock, Env, Millis};

    use super::*;
    use crate::context::Runner;

    fn put(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn login(refresh: &str, more: &str) -> String {
        format!(
            r#"{{"type":"oauth","provider":"openai-codex","access":"a","refresh":"{refresh}","expires":9{more}}}"#
        )
    }

    /// H2: one grant in two stores, or in the file of another program, is found by its hash; two logins of one person, two
    /// profiles of one store, and files that are damaged are not.
    #[test]
    fn h2_one_grant_in_two_places() {
        let tmp = tempfile::tempdir().unwrap();
        let (state, home) = (tmp.path().join("s"), tmp.path().join("h"));
        let open = |more: &[(&str, &str)]| {
            let mut vars = vec![
                ("CODERCLAW_STATE_DIR".into(), state.clone().into()),
                ("HOME".into(), home.clone().into()),
            ];
            vars.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
            Auth::open(Env::new(vars, None, "/".into()), Clock::from_fn(|| Millis(1)), Runner::Thread)
                .unwrap()
        };
        let store = |agent: &str, entries: &str| {
            let path = state.join("agents").join(agent).join("agent/auth-profiles.json");
            put(&path, &format!(r#"{{"version":1,"profiles":{{{entries}}}}}"#));
        };
        store(
            "main",
            &format!(r#""a":{},"twice":{},"alone":{}"#, login("r1", ""), login("r1", ""), login("r2", "")),
        );
        assert!(open(&[]).shared_grants(None, true).is_empty(), "one store");
        store("work", &format!(r#""b":{},"other":{}"#, login("r1", r#","x":1"#), login("r3", "")));
        store("torn", "{");
        let found = open(&[]).shared_grants(None, false);
        assert_eq!(found.len(), 1);
        let names: Vec<_> = found[0].places.iter().map(GrantPlace::store).collect();
        assert_eq!(names, ["agent main", "agent main", "agent work"]);
        let auth = open(&[]);
        let of = |agent: &str| auth.shared_grants(Some(&auth.agent(Some(agent)).unwrap()), false).len();
        assert_eq!((of("main"), of("work"), of("torn")), (1, 1, 0));

        put(&home.join(".codex/auth.json"), r#"{"tokens":{"access_token":"z","refresh_token":" r3 "}}"#);
        put(&home.join(".claude/.credentials.json"), "{torn");
        let found = open(&[]).shared_grants(None, true);
        assert_eq!(found.len(), 2);
        let program = GrantPlace::Program { name: "Codex CLI", path: home.join(".codex/auth.json") };
        assert_eq!(found[1].places.last(), Some(&program));
        assert_eq!(open(&[]).shared_grants(None, false).len(), 1, "not without being asked");
        assert_eq!(open(&[("CODEX_HOME", "/nowhere")]).shared_grants(None, true).len(), 1);
        put(&home.join(".claude/.credentials.json"), r#"{"claudeAiOauth":{"refreshToken":"r2"}}"#);
        let found = open(&[]).shared_grants(None, true);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
