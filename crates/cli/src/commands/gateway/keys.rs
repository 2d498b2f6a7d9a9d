//! `gateway keys add|list|revoke`.

use coderclaw_store::{
    GatewayKey, GatewayKeysError, add_gateway_key, read_gateway_keys, read_kept_gateway_key,
    revoke_gateway_key,
};
use coderclaw_types::{Code, Millis, ProfileId, ProviderId, TokenHash};
use serde_json::{Value, json};

use crate::args::{AddKeyArgs, KeysCommand};
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text;

/// No name of a program or a machine comes near this.
const LONGEST_NAME: usize = 64;

pub(super) fn run(context: &Context, command: KeysCommand) -> Result<Report, CommandError> {
    match command {
        KeysCommand::Add(args) => add(context, args),
        KeysCommand::List => list(context),
        KeysCommand::Show { key } => show(context, &key),
        KeysCommand::Revoke { key } => revoke(context, &key),
    }
}

fn add(context: &Context, args: AddKeyArgs) -> Result<Report, CommandError> {
    let name = args.name.trim();
    let is_name =
        !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.contains(char::is_control);
    if !is_name || name.starts_with("gk_") || name.starts_with("ccg_") {
        let message = "a gateway key wants a name of at most 64 characters that does not look like a key";
        return Err(CommandError::new(Code::Usage, message).hint("coderclaw gateway keys add --help".into()));
    }
    let agent = context.agent()?;
    let mut providers: Vec<ProviderId> = Vec::new();
    for wanted in &args.provider {
        let id = ProviderId::new(&context.provider(wanted)?.id);
        if !providers.contains(&id) {
            providers.push(id);
        }
    }
    let profile = args.profile.as_deref().map(ProfileId::stored);
    if let Some(profile) = &profile {
        let known = context.auth.status(&agent)?.profiles;
        let Some(one) = known.into_iter().find(|one| one.id == *profile) else {
            let message = format!("agent {} has no profile \"{profile}\"", agent.agent);
            let hint = format!("coderclaw models auth list --agent {}", agent.agent);
            return Err(CommandError::new(Code::UnknownProfile, message).hint(hint));
        };
        match one.provider {
            Some(of) if providers.is_empty() => providers.push(of),
            Some(of) if providers == [of.clone()] => {}
            _ => {
                let message = format!(
                    "{profile} is the one profile of this key, and --provider names another provider"
                );
                return Err(
                    CommandError::new(Code::Usage, message).hint("coderclaw gateway keys add --help".into())
                );
            }
        }
    }
    let now = context.auth.clock().now();
    let wanted = GatewayKey {
        id: String::new(),
        name: name.to_owned(),
        hash: TokenHash::from_bytes([0; 32]),
        // Named, so that another default agent tomorrow does not lend other logins to this program.
        agent: Some(agent.agent),
        providers,
        profile,
        created_at: Some(now),
        expires_at: args.expires.map(|span| now.plus(span)),
    };
    let (made, key) = add_gateway_key(context.auth.state(), &wanted)?;
    if context.global.json {
        let mut shown = shown(&made, now);
        shown["key"] = json!(key.expose());
        return Ok(Report::json(&shown));
    }
    if !context.global.quiet {
        say(&format!("{}. The key is shown this once:", line(&made, now)));
    }
    Ok(Report::text(format!("{}\n", key.expose())))
}

fn list(context: &Context) -> Result<Report, CommandError> {
    let keys = read_gateway_keys(context.auth.state())?;
    let now = context.auth.clock().now();
    if context.global.json {
        return Ok(Report::json(
            &json!({"keys": keys.iter().map(|key| shown(key, now)).collect::<Vec<_>>()}),
        ));
    }
    if keys.is_empty() {
        return Ok(Report::text(
            "No program has a gateway key. `coderclaw gateway keys add NAME` makes one.\n",
        ));
    }
    Ok(Report::text(keys.iter().map(|key| line(key, now) + "\n").collect::<String>()))
}

/// What a connected program runs to get its key.
fn show(context: &Context, name: &str) -> Result<Report, CommandError> {
    let state = context.auth.state();
    let keys = read_gateway_keys(state)?;
    let one = keys.iter().find(|key| key.id == name).or_else(|| keys.iter().find(|key| key.name == name));
    let Some(one) = one else {
        return Err(GatewayKeysError::Unknown { name: name.to_owned() }.into());
    };
    let now = context.auth.clock().now();
    if one.has_ended(now) {
        let message = format!("the gateway key \"{}\" has ended", text::clean(&one.name));
        return Err(CommandError::new(Code::UnknownGatewayKey, message));
    }
    let Some(key) = read_kept_gateway_key(state, one)? else {
        let message =
            format!("the gateway key \"{}\" was shown once, and is kept nowhere", text::clean(&one.name));
        return Err(CommandError::new(Code::UnknownGatewayKey, message)
            .hint("coderclaw gateway keys add NAME".into()));
    };
    if context.global.json {
        let mut shown = shown(one, now);
        shown["key"] = json!(key.expose());
        return Ok(Report::json(&shown));
    }
    Ok(Report::text(format!("{}\n", key.expose())))
}

fn revoke(context: &Context, name: &str) -> Result<Report, CommandError> {
    let gone = revoke_gateway_key(context.auth.state(), name)?;
    let now = context.auth.clock().now();
    if context.global.json {
        return Ok(Report::json(&json!({"revoked": shown(&gone, now)})));
    }
    Ok(Report::text(format!("Revoked {} ({}).\n", text::clean(&gone.name), gone.id)))
}

fn shown(key: &GatewayKey, now: Millis) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "agentId": key.agent,
        "providers": key.providers,
        "profileId": key.profile,
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "expired": key.has_ended(now),
    })
}

/// `gk_0a1b2c3d  laptop: agent main, anthropic only, ends in 3 days`
fn line(key: &GatewayKey, now: Millis) -> String {
    let mut parts = Vec::new();
    parts.extend(key.agent.as_ref().map(|agent| format!("agent {agent}")));
    parts.push(match (&key.profile, key.providers.as_slice()) {
        (Some(profile), _) => format!("{} only", text::clean(profile.as_str())),
        (None, []) => "all providers".to_owned(),
        (None, some) => {
            format!("{} only", some.iter().map(ProviderId::as_str).collect::<Vec<_>>().join(", "))
        }
    });
    parts.extend(key.expires_at.map(|end| {
        format!("{} {}", if key.has_ended(now) { "ended" } else { "ends" }, text::when(end, now))
    }));
    format!("{}  {}: {}", key.id, text::clean(&key.name), parts.join(", "))
}
