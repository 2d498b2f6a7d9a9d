//! Bindings: which agent answers whom. They stand in the config, in a list that the original reads too.

use coderclaw_store::{Config, ConfigDoc, ConfigEditError, KeyPath};
use coderclaw_types::AgentId;
use serde_json::{Map, Value, json};

/// Where a message can come from, as far as a binding asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// One person.
    Direct,
    /// A group.
    Group,
    /// A channel of many.
    Channel,
}

impl PeerKind {
    /// The kind with this name. `dm` is an older name of `direct`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "direct" | "dm" => Some(Self::Direct),
            "group" => Some(Self::Group),
            "channel" => Some(Self::Channel),
            _ => None,
        }
    }

    /// As it stands in a session key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }
}

/// Who is talked to: a person, a group, a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// Its id with its service.
    pub id: String,
}

impl Peer {
    /// `KIND:ID`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(':')?;
        let id = id.trim();
        Some(Self { kind: PeerKind::from_text(kind)?, id: (!id.is_empty()).then(|| id.to_owned())? })
    }
}

/// What a binding asks of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerRule {
    /// Nothing.
    Any,
    /// It is this one.
    Is(Peer),
    /// Something that is no peer: no message ever meets it. The text is what stands there.
    Invalid(String),
}

/// What a binding asks for. Everything that it names must be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The service.
    pub channel: String,
    /// The account there; `None` means the account `default`, `*` any.
    pub account: Option<String>,
    /// Who is talked to.
    pub peer: PeerRule,
    /// The guild, or server.
    pub guild: Option<String>,
    /// The team, or workspace.
    pub team: Option<String>,
    /// One of these roles. None: no question of roles.
    pub roles: Vec<String>,
}

/// A binding, and the agent that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Which agent.
    pub agent: AgentId,
    /// For what.
    pub on: Match,
}

/// An account's id by the rule for agents' ids, but `default` where nothing is left.
pub(crate) fn account_id(text: &str) -> String {
    let is_name = text.chars().any(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name { AgentId::new(text).to_string() } else { "default".into() }
}

impl Match {
    /// `CHANNEL` or `CHANNEL:ACCOUNT`, as `--bind` takes it.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let (channel, account) = match text.split_once(':') {
            Some((channel, account)) => (channel, Some(account.trim())),
            None => (text, None),
        };
        let channel = channel.trim().to_lowercase();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !channel.starts_with(|c: char| c.is_ascii_alphanumeric()) || !channel.chars().all(is_word) {
            return Err(format!("\"{text}\" is no binding: it should be CHANNEL or CHANNEL:ACCOUNT"));
        }
        let account = match account {
            Some("") => {
                return Err(format!("\"{text}\" is no binding: the account behind the colon is missing"));
            }
            Some("*") => Some("*".to_owned()),
            Some(name) if !name.chars().any(|c| c.is_ascii_alphanumeric() || c == '_') => {
                return Err(format!("\"{text}\" is no binding: \"{name}\" is no account"));
            }
            Some(name) => Some(account_id(name)),
            None => None,
        };
        let (peer, guild, team, roles) = (PeerRule::Any, None, None, Vec::new());
        Ok(Self { channel, account, peer, guild, team, roles })
    }

    fn from_value(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let text = |key: &str| {
            let text = object.get(key)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let account =
            text("accountId").map(|account| if account == "*" { account } else { account_id(&account) });
        let roles = object.get("roles").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            channel: text("channel")?.to_lowercase(),
            account,
            peer: object.get("peer").filter(|peer| !peer.is_null()).map_or(PeerRule::Any, peer_rule),
            guild: text("guildId"),
            team: text("teamId"),
            roles: roles.filter_map(|role| Some(role.as_str()?.trim().to_owned())).collect(),
        })
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("channel".into(), json!(self.channel));
        if let Some(account) = &self.account {
            object.insert("accountId".into(), json!(account));
        }
        if let PeerRule::Is(peer) = &self.peer {
            object.insert("peer".into(), json!({"kind": peer.kind.as_str(), "id": peer.id}));
        }
        for (key, text) in [("guildId", &self.guild), ("teamId", &self.team)] {
            if let Some(text) = text {
                object.insert(key.into(), json!(text));
            }
        }
        if !self.roles.is_empty() {
            object.insert("roles".into(), json!(self.roles));
        }
        Value::Object(object)
    }

    /// Whether both ask for the same, so that only the first in the list can ever count. Roles are not looked at.
    fn is_same(&self, other: &Self) -> bool {
        let account = |one: &Self| one.account.clone().unwrap_or_default();
        (&self.channel, account(self), &self.peer, &self.guild, &self.team)
            == (&other.channel, account(other), &other.peer, &other.guild, &other.team)
    }
}

/// As the original describes it: `telegram accountId=work peer=direct:7`.
impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.channel)?;
        if let Some(account) = &self.account {
            write!(f, " accountId={account}")?;
        }
        match &self.peer {
            PeerRule::Any => {}
            PeerRule::Is(peer) => write!(f, " peer={}:{}", peer.kind.as_str(), peer.id)?,
            PeerRule::Invalid(text) => write!(f, " peer={text} (no peer, so it never applies)")?,
        }
        for (name, text) in [("guild", &self.guild), ("team", &self.team)] {
            if let Some(text) = text {
                write!(f, " {name}={text}")?;
            }
        }
        if self.roles.is_empty() { Ok(()) } else { write!(f, " roles={}", self.roles.join(",")) }
    }
}

fn peer_rule(value: &Value) -> PeerRule {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let id = text("id");
    match PeerKind::from_text(text("kind")) {
        Some(kind) if !id.is_empty() => PeerRule::Is(Peer { kind, id: id.to_owned() }),
        _ => PeerRule::Invalid(format!("{}:{id}", text("kind"))),
    }
}

fn read(list: Option<&Value>) -> Vec<Option<Binding>> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let one = |value: &Value| {
        let agent = value.get("agentId").and_then(Value::as_str)?;
        Some(Binding { agent: AgentId::new(agent), on: Match::from_value(value.get("match")?)? })
    };
    list.map(one).collect()
}

/// The bindings of the config, in its order. What is none is passed over.
pub fn bindings(config: &Config) -> Vec<Binding> {
    read(config.get(&KeyPath::keys(["bindings"]))).into_iter().flatten().collect()
}

/// What became of bindings that were to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// Written.
    pub added: Vec<Match>,
    /// The agent has them already.
    pub skipped: Vec<Match>,
    /// Another agent has them, and keeps them.
    pub conflicts: Vec<(Match, AgentId)>,
}

/// What would become of `wanted` bindings of `agent` beside those that are there.
pub(crate) fn plan(existing: &[Binding], agent: &AgentId, wanted: &[Match]) -> Bound {
    let mut bound = Bound::default();
    for one in wanted {
        match existing.iter().find(|binding| binding.on.is_same(one)) {
            Some(binding) if binding.agent == *agent => bound.skipped.push(one.clone()),
            Some(binding) => bound.conflicts.push((one.clone(), binding.agent.clone())),
            None if bound.added.iter().any(|added| added.is_same(one)) => bound.skipped.push(one.clone()),
            None => bound.added.push(one.clone()),
        }
    }
    bound
}

/// Writes those of the `wanted` bindings that nobody has.
pub(crate) fn bind(doc: &mut ConfigDoc, agent: &AgentId, wanted: &[Match]) -> Result<Bound, ConfigEditError> {
    let place = KeyPath::keys(["bindings"]);
    let existing: Vec<Binding> = read(doc.get(&place).as_ref()).into_iter().flatten().collect();
    let bound = plan(&existing, agent, wanted);
    for one in &bound.added {
        doc.push(&place, json!({"agentId": agent, "match": one.to_value()}))?;
    }
    Ok(bound)
}

/// Removes the agent's bindings that `which` picks, and gives them. Others stay as they are written.
pub(crate) fn unbind(
    doc: &mut ConfigDoc,
    agent: &AgentId,
    which: impl Fn(&Match) -> bool,
) -> Result<Vec<Match>, ConfigEditError> {
    let place = KeyPath::keys(["bindings"]);
    let mut removed = Vec::new();
    let all = read(doc.get(&place).as_ref());
    // From the end, so that the places before stay what they are.
    for (at, binding) in all.into_iter().enumerate().rev() {
        if let Some(binding) = binding.filter(|one| one.agent == *agent && which(&one.on)) {
            doc.remove(&place.clone().index(at))?;
            removed.push(binding.on);
        }
    }
    removed.reverse();
    Ok(removed)
}

/// Whether `one` is among `wanted`.
pub(crate) fn is_among(one: &Match, wanted: &[Match]) -> bool {
    wanted.iter().any(|other| other.is_same(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bind_takes() {
        let text = |text: &str| Match::from_text(text).map(|one| one.to_string());
        assert_eq!(text("Telegram").unwrap(), "telegram");
        assert_eq!(text(" slack : Work Team ").unwrap(), "slack accountId=work-team");
        assert_eq!(text("slack:*").unwrap(), "slack accountId=*");
        for bad in ["", ":", ":x", "tele gram", "telegram:", "telegram: ", "te/le:x", "-x", "slack:!!"] {
            assert!(text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_first_that_has_a_binding_keeps_it() {
        let on = |text: &str| Match::from_text(text).unwrap();
        let existing = [
            Binding { agent: AgentId::new("a"), on: on("telegram") },
            Binding { agent: AgentId::new("b"), on: on("slack:x") },
        ];
        let wanted = [on("telegram"), on("slack:X"), on("slack"), on("slack"), on("slack:*")];
        let bound = plan(&existing, &AgentId::new("a"), &wanted);
        assert_eq!(bound.added, [on("slack"), on("slack:*")]);
        assert_eq!(bound.skipped, [on("telegram"), on("slack")]);
        assert_eq!(bound.conflicts, [(on("slack:x"), AgentId::new("b"))]);
    }
}
