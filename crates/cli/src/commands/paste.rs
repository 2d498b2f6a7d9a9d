//! `models auth paste-token`, `setup-token`, `paste-api-key` and `add`.

use std::time::Duration;

use coderclaw_auth::{Cleaned, EditError, PasteKind, Pasted, Stored, clean_token};
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_store::AgentPaths;
use coderclaw_types::{Code, ProfileId, Secret};
use serde_json::json;

use crate::args::{PasteArgs, SetupTokenArgs, SourceArgs, TargetArgs};
use crate::commands::{Context, refer, setup_token};
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::secret_input::{self, Chosen};
use crate::text::{self, shell_word};

/// Who usually comes by a menu.
const OFFERED: &[(&str, PasteKind)] = &[
    ("anthropic", PasteKind::SetupToken),
    ("anthropic", PasteKind::ApiKey),
    ("openai", PasteKind::ApiKey),
    ("google", PasteKind::ApiKey),
    ("openrouter", PasteKind::ApiKey),
];

/// What is to be stored, and where it comes from.
pub(super) struct Wish<'a> {
    pub(super) provider: &'a str,
    pub(super) kind: PasteKind,
    pub(super) target: &'a TargetArgs,
    pub(super) expires_in: Option<Duration>,
    pub(super) source: &'a SourceArgs,
    /// `claude setup-token` is run without asking.
    pub(super) yes: bool,
    /// It is at hand already, and nobody is asked for it.
    pub(super) given: Option<Secret>,
    /// What the provider wants to know beside the key.
    pub(super) metadata: Vec<(String, String)>,
}

impl<'a> Wish<'a> {
    fn new(provider: &'a str, kind: PasteKind, target: &'a TargetArgs, source: &'a SourceArgs) -> Self {
        Self {
            provider,
            kind,
            target,
            source,
            expires_in: None,
            yes: false,
            given: None,
            metadata: Vec::new(),
        }
    }
}

pub(super) fn paste(context: &Context, kind: PasteKind, args: PasteArgs) -> Result<Report, CommandError> {
    if let Some(reference) = &args.reference {
        return refer::run(context, kind, reference, &args);
    }
    let wish = Wish::new(&args.provider, kind, &args.target, &args.source);
    run(context, Wish { expires_in: args.expires_in, ..wish })
}

pub(super) fn setup_token(context: &Context, args: &SetupTokenArgs) -> Result<Report, CommandError> {
    let wish = Wish::new(&args.provider, PasteKind::SetupToken, &args.target, &args.source);
    run(context, Wish { expires_in: args.expires_in, yes: args.yes, ..wish })
}

fn command_of(kind: PasteKind, provider: &str) -> String {
    let command = match kind {
        PasteKind::SetupToken => "setup-token",
        PasteKind::Token => "paste-token",
        PasteKind::ApiKey => "paste-api-key",
    };
    format!("coderclaw models auth {command} --provider {}", shell_word(provider))
}

fn run(context: &Context, wish: Wish<'_>) -> Result<Report, CommandError> {
    secret_input::check(wish.source, &command_of(wish.kind, wish.provider))?;
    let manifest = context.provider(wish.provider)?;
    let (stored, cleaned) = keep(context, wish)?;
    Ok(report(context, &context.agent()?, manifest, &stored, &cleaned))
}

/// Stores it, after a person was asked for it where nobody else has it.
pub(super) fn keep(context: &Context, wish: Wish<'_>) -> Result<(Stored, Cleaned), CommandError> {
    let (kind, source) = (wish.kind, wish.source);
    let command = command_of(kind, wish.provider);
    let is_person = wish.given.is_none() && !source.stdin && source.file.is_none();
    if is_person {
        secret_input::check(source, &command)?;
    }
    let manifest = context.provider(wish.provider)?;
    let agent = context.agent()?;
    let profile_id = wish.target.profile_id.as_deref().map(ProfileId::new).transpose();
    let profile_id = profile_id.map_err(|e| CommandError::new(Code::Usage, e.to_string()))?;
    let from_claude = match kind {
        PasteKind::SetupToken if is_person => setup_token::from_claude(context, manifest, wish.yes)?,
        _ => None,
    };
    let cleaned = match from_claude {
        Some(cleaned) => cleaned,
        None => {
            let what = if kind == PasteKind::ApiKey { "key" } else { "token" };
            let prompt = format!("Paste the {what} and press Enter. It is not shown.");
            let raw = wish.given.map_or_else(|| secret_input::read(source, &prompt), Ok)?;
            clean_token(&raw, manifest, kind, wish.target.force).map_err(|e| {
                let next = e.command().map_or_else(|| format!("{command} --stdin"), str::to_owned);
                CommandError::new(e.code(), e.to_string()).hint(next)
            })?
        }
    };
    let (expires_in, replace, metadata) = (wish.expires_in, wish.target.replace, wish.metadata);
    let mut pasted = Pasted { cleaned, kind, profile_id, expires_in, replace, metadata };
    let stored = match context.auth.store_pasted(&agent, manifest, &pasted) {
        Err(EditError::IdTaken { id }) if is_person && replaces(&id)? => {
            pasted.replace = true;
            context.auth.store_pasted(&agent, manifest, &pasted)
        }
        other => other,
    };
    Ok((stored.map_err(context.about(manifest))?, pasted.cleaned))
}

fn replaces(id: &ProfileId) -> Result<bool, CommandError> {
    let answer = secret_input::ask(&format!("{id} holds another credential. Replace it? [y/N]"))?;
    Ok(answer.is_some_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes")))
}

fn report(
    context: &Context,
    agent: &AgentPaths,
    manifest: &Manifest,
    stored: &Stored,
    cleaned: &Cleaned,
) -> Report {
    if context.global.json {
        return Report::json(&json!({
            "provider": stored.provider,
            "profileId": stored.profile,
            "mode": stored.kind.as_str(),
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "expiresAt": stored.expires,
            "expiresAssumed": stored.expires_assumed,
            "replaced": stored.replaced,
            "hiddenByOrder": stored.hidden_by_order,
            "forced": stored.forced,
            "fingerprint": context.auth.fingerprint(&cleaned.secret),
        }));
    }
    let now = context.auth.clock().now();
    let what = if stored.replaced { "Renewed" } else { "Stored" };
    let mut text = format!("{what} in {}\n", agent.store().display());
    text.push_str(&format!(
        "Auth profile: {} ({}/{})\n",
        text::clean(stored.profile.as_str()),
        stored.provider,
        stored.kind.as_str()
    ));
    if let Some(at) = stored.expires {
        text.push_str(&format!("Ends {} ({})", text::local(at), text::when(at, now)));
        text.push_str(match stored.expires_assumed {
            true => ", if it is new; --expires-in says otherwise.\n",
            false => ".\n",
        });
    }
    if stored.forced {
        text.push_str(&format!(
            "It does not look like a credential of {}; it was stored because of --force.\n",
            manifest.name
        ));
    }
    if stored.hidden_by_order {
        let id = shell_word(stored.profile.as_str());
        text.push_str(&format!("An order hides it. To use it: coderclaw models auth use {id}\n"));
    }
    Report::text(text)
}

/// The menu. Without a terminal the commands behind it are named instead.
pub(super) fn add(context: &Context) -> Result<Report, CommandError> {
    if !secret_input::has_terminal() {
        let message = "there is no terminal for a menu; use paste-token, setup-token or paste-api-key with \
                       --provider ID and --stdin or --file FILE";
        return Err(CommandError::new(Code::InputRequired, message)
            .hint("coderclaw models auth setup-token --provider anthropic --stdin".into()));
    }
    let offered: Vec<(&Manifest, PasteKind)> =
        OFFERED.iter().filter_map(|(id, kind)| Some((context.auth.provider(id).ok()?, *kind))).collect();
    say("What is to be stored?");
    for (i, (manifest, kind)) in offered.iter().enumerate() {
        let what = match kind {
            PasteKind::ApiKey => "API key",
            _ => "token of `claude setup-token`",
        };
        say(&format!("  {}  {}: {what}", i + 1, manifest.name));
    }
    say("Or the id of another provider. To log in with a browser: coderclaw models auth login --provider ID");
    let (provider, kind) = match secret_input::choose("Number or id:", offered.len())? {
        Chosen::Line(line) => (offered[line].0.id.to_string(), offered[line].1),
        Chosen::Word(id) => {
            let manifest = context.provider(&id)?;
            let has = |kind| manifest.auth(kind).is_some();
            let kind = if has(MethodKind::SetupToken) {
                PasteKind::SetupToken
            } else if has(MethodKind::Token) {
                PasteKind::Token
            } else {
                PasteKind::ApiKey
            };
            (manifest.id.to_string(), kind)
        }
    };
    run(context, Wish::new(&provider, kind, &TargetArgs::default(), &SourceArgs::default()))
}
