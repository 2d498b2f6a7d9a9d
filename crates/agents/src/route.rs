//! Which agent answers a message, and in which session: a pure function of the config and of where the message comes
//! from.

use coderclaw_store::{Config, KeyPath};
use coderclaw_types::AgentId;
use serde::Serialize;
use serde_json::Value;

use crate::binding::{Binding, Match, Peer, PeerKind, PeerRule, account_id, bindings};

/// Where a message comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The service.
    pub channel: String,
    /// The account of ours that got it; none means `default`.
    pub account: Option<String>,
    /// Who is talked to.
    pub peer: Option<Peer>,
    /// What the peer is a part of: the channel of a thread.
    pub parent: Option<Peer>,
    /// The guild, or server.
    pub guild: Option<String>,
    /// The team, or workspace.
    pub team: Option<String>,
    /// The roles that the sender has there.
    pub roles: Vec<String>,
}

/// What decided. The texts are the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MatchedBy {
    /// A binding for this very peer.
    #[serde(rename = "binding.peer")]
    Peer,
    /// One for what the peer is a part of.
    #[serde(rename = "binding.peer.parent")]
    Parent,
    /// One for a role in the guild.
    #[serde(rename = "binding.guild+roles")]
    GuildRoles,
    /// One for the guild.
    #[serde(rename = "binding.guild")]
    Guild,
    /// One for the team.
    #[serde(rename = "binding.team")]
    Team,
    /// One for the account.
    #[serde(rename = "binding.account")]
    Account,
    /// One for any account of the channel.
    #[serde(rename = "binding.channel")]
    Channel,
    /// None: the default agent.
    #[serde(rename = "default")]
    Default,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Who answers.
    pub agent_id: AgentId,
    /// Through which service.
    pub channel: String,
    /// As which account.
    pub account_id: String,
    /// In which session.
    pub session_key: String,
    /// The agent's main session.
    pub main_session_key: String,
    /// What decided.
    pub matched_by: MatchedBy,
}

/// How far sessions with single persons are kept apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DmScope {
    /// Not at all: all are in the main session.
    #[default]
    Main,
    /// One for each person.
    PerPeer,
    /// One for each person and service.
    PerChannelPeer,
    /// One for each person, service and account.
    PerAccountChannelPeer,
}

/// What the config says about routes and session keys.
#[derive(Debug, Clone)]
pub struct Rules {
    /// In the order of the list.
    pub bindings: Vec<Binding>,
    /// The agents that there are. Never empty where it comes from a state dir.
    pub known: Vec<AgentId>,
    /// Who answers where nothing else is said.
    pub default: AgentId,
    /// The name of main sessions.
    pub main_key: String,
    /// There is one session for everything.
    pub is_global: bool,
    /// How far sessions with single persons are kept apart.
    pub dm_scope: DmScope,
    /// A person's name, and the ids under which that person writes.
    pub identity_links: Vec<(String, Vec<String>)>,
}

impl Rules {
    /// What `config` says. `known` are the agents that there are.
    pub fn new(config: &Config, known: Vec<AgentId>) -> Self {
        let session = |key: &str| config.get(&KeyPath::keys(["session", key]));
        let text = |key: &str| session(key).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let links = session("identityLinks").and_then(Value::as_object).into_iter().flatten();
        let listed = |ids: &Value| {
            let ids = ids.as_array().into_iter().flatten();
            ids.filter_map(|id| Some(id.as_str()?.trim().to_lowercase())).collect()
        };
        let main_key = text("mainKey").to_lowercase();
        Self {
            bindings: bindings(config),
            known,
            default: config.default_agent(),
            main_key: if main_key.is_empty() { "main".into() } else { main_key },
            is_global: text("scope") == "global",
            dm_scope: match text("dmScope") {
                "per-peer" => DmScope::PerPeer,
                "per-channel-peer" => DmScope::PerChannelPeer,
                "per-account-channel-peer" => DmScope::PerAccountChannelPeer,
                _ => DmScope::Main,
            },
            identity_links: links.map(|(name, ids)| (name.clone(), listed(ids))).collect(),
        }
    }

    /// Who answers a message from `origin`, and in which session. Always one of the agents that there are.
    pub fn route(&self, origin: &Origin) -> Route {
        let channel = origin.channel.trim().to_lowercase();
        let account = account_id(origin.account.as_deref().unwrap_or_default());
        let (chosen, matched_by) = self.choose(origin, &channel, &account);
        let agent = match chosen {
            Some(agent) if self.known.contains(agent) => agent,
            _ => &self.default,
        };
        let main = if self.is_global { "global".into() } else { format!("agent:{agent}:{}", self.main_key) };
        let session = if self.is_global {
            main.clone()
        } else {
            self.session_key(agent, &channel, &account, origin.peer.as_ref())
        };
        Route {
            agent_id: agent.clone(),
            channel,
            account_id: account,
            session_key: session,
            main_session_key: main,
            matched_by,
        }
    }

    fn choose(&self, origin: &Origin, channel: &str, account: &str) -> (Option<&AgentId>, MatchedBy) {
        let ours: Vec<&Binding> = self
            .bindings
            .iter()
            .filter(|one| one.on.channel == channel)
            .filter(|one| match one.on.account.as_deref() {
                None => account == "default",
                Some("*") => true,
                Some(named) => named == account,
            })
            .collect();
        type Asks = fn(&Match) -> bool;
        let has_peer: Asks = |on| matches!(on.peer, PeerRule::Is(_));
        let (peer, parent) = (origin.peer.as_ref(), origin.parent.as_ref());
        let tiers: [(MatchedBy, bool, Option<&Peer>, Asks); 7] = [
            (MatchedBy::Peer, peer.is_some(), peer, has_peer),
            (MatchedBy::Parent, parent.is_some(), parent, has_peer),
            (MatchedBy::GuildRoles, !origin.roles.is_empty(), peer, |on| {
                on.guild.is_some() && !on.roles.is_empty()
            }),
            (MatchedBy::Guild, true, peer, |on| on.guild.is_some() && on.roles.is_empty()),
            (MatchedBy::Team, true, peer, |on| on.team.is_some()),
            (MatchedBy::Account, true, peer, |on| on.account.as_deref() != Some("*")),
            (MatchedBy::Channel, true, peer, |on| on.account.as_deref() == Some("*")),
        ];
        for (matched_by, is_possible, peer, asks) in tiers {
            let found = ours.iter().find(|one| is_possible && asks(&one.on) && meets(&one.on, origin, peer));
            if let Some(found) = found {
                return (Some(&found.agent), matched_by);
            }
        }
        (None, MatchedBy::Default)
    }

    fn session_key(&self, agent: &AgentId, channel: &str, account: &str, peer: Option<&Peer>) -> String {
        let channel = if channel.is_empty() { "unknown" } else { channel };
        let id = peer.map(|peer| peer.id.trim().to_lowercase()).unwrap_or_default();
        match peer.map_or(PeerKind::Direct, |peer| peer.kind) {
            PeerKind::Direct => {
                let id = match self.dm_scope {
                    DmScope::Main => String::new(),
                    _ => self.person(channel, id),
                };
                let place = match self.dm_scope {
                    _ if id.is_empty() => return format!("agent:{agent}:{}", self.main_key),
                    DmScope::Main | DmScope::PerPeer => String::new(),
                    DmScope::PerChannelPeer => format!("{channel}:"),
                    DmScope::PerAccountChannelPeer => format!("{channel}:{account}:"),
                };
                format!("agent:{agent}:{place}direct:{id}")
            }
            kind => {
                let id = if id.is_empty() { "unknown" } else { &id };
                format!("agent:{agent}:{channel}:{}:{id}", kind.as_str())
            }
        }
    }

    /// The name of the person who writes under `id`, else the id.
    fn person(&self, channel: &str, id: String) -> String {
        if id.is_empty() {
            return id;
        }
        let with_channel = format!("{channel}:{id}");
        let linked = |ids: &[String]| ids.iter().any(|one| *one == id || *one == with_channel);
        let found = self.identity_links.iter().find(|(name, ids)| !name.trim().is_empty() && linked(ids));
        found.map_or(id, |(name, _)| name.trim().to_lowercase())
    }
}

/// Whether everything that the binding names is so. In every tier: a binding for a peer in a guild never answers for the
/// whole guild.
fn meets(on: &Match, origin: &Origin, peer: Option<&Peer>) -> bool {
    let peer_is = match &on.peer {
        PeerRule::Any => true,
        PeerRule::Is(wanted) => peer == Some(wanted),
        PeerRule::Invalid(_) => false,
    };
    let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    let has_role = on.roles.is_empty() || on.roles.iter().any(|role| origin.roles.contains(role));
    peer_is && is(&on.guild, &origin.guild) && is(&on.team, &origin.team) && has_role
}

#[cfg(test)]
#[path = "route/tests.rs"]
mod tests;
