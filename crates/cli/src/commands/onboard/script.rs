//! `onboard --non-interactive`: nothing is asked, nothing waits, nothing is skipped without a word.

use coderclaw_auth::PasteKind;
use coderclaw_providers::{CredentialKind, Manifest};
use coderclaw_store::{Entry, read_auth_store};
use coderclaw_types::{Code, ProviderId, Secret};
use serde_json::json;

use super::apply::{ConfigWish, Given, Kept, config, credential, model_of, pasted};
use super::choices::{Choice, Found, How, by_flag, find};
use super::{Done, note, report};
use crate::args::{Compatibility, OnboardArgs, SourceArgs};
use crate::commands::Context;
use crate::error::{CommandError, REGISTERED};
use crate::report::Report;
use crate::secret_input;

/// Where the key of a server of one's own may be, beside the flag.
const CUSTOM_KEY: &str = "CUSTOM_API_KEY";

/// What can be said before anything is read.
pub(super) fn check(args: &OnboardArgs) -> Result<(), CommandError> {
    if args.accept_risk {
        return Ok(());
    }
    let message = "agents act on their own, and whoever runs them answers for that; say that you know with --accept-risk";
    Err(CommandError::new(Code::InputRequired, message)
        .hint("coderclaw onboard --non-interactive --accept-risk --auth-choice skip".into()))
}

enum Wanted {
    Choice(&'static Choice),
    Custom,
    Nothing,
}

pub(super) fn run(
    context: Context,
    args: &OnboardArgs,
    mut notes: Vec<String>,
) -> Result<Report, CommandError> {
    let wanted = wanted(args)?;
    let unused = args.unused.without_effect();
    if !unused.is_empty() {
        note(&context, &mut notes, format!("without effect here: {}", unused.join(", ")));
    }
    if is_in_arguments(args) {
        let text = "every user of this machine can see a key among the arguments; --stdin or a variable keeps it private";
        note(&context, &mut notes, text.into());
    }
    left_over(&context, args, &wanted, &mut notes);
    let workspace = args.workspace.as_ref().map(|path| {
        let path = context.auth.env().resolve(&path.to_string_lossy());
        path.to_string_lossy().into_owned()
    });
    let (choice, kept, context) = match wanted {
        Wanted::Nothing => {
            if args.auth_choice.is_none() {
                note(
                    &context,
                    &mut notes,
                    "no login was set up: --auth-choice says which one is wanted".into(),
                );
            }
            config(&context, &ConfigWish { workspace, ..ConfigWish::default() })?;
            ("skip".to_owned(), None, context)
        }
        Wanted::Choice(choice) => {
            let kept = log_in(&context, choice, args, &mut notes)?;
            let manifest = context.provider(choice.provider)?;
            let model = model_of(choice, manifest).filter(|_| is_free(&context, args));
            config(
                &context,
                &ConfigWish { workspace, model: model.as_deref(), kept: Some(&kept), server: None },
            )?;
            (choice.name.to_owned(), Some(kept), context)
        }
        Wanted::Custom => {
            let (kept, context) = own_server(context, args, workspace)?;
            ("custom-api-key".to_owned(), kept, context)
        }
    };
    if let Some(kept) = kept.as_ref().filter(|kept| kept.hidden) {
        let id = crate::text::shell_word(kept.profile.as_str());
        note(
            &context,
            &mut notes,
            format!("an order hides the new profile; to use it: coderclaw models auth use {id}"),
        );
    }
    context.say_notes();
    // The config says something else now.
    let (global, env, clock) =
        (context.global.clone(), context.auth.env().clone(), context.auth.clock().clone());
    let context = Context::open(global, env, clock)?;
    report(&context, args, &Done { choice, kept, linked_to: None, notes })
}

/// Whether the provider's model becomes the default.
fn is_free(context: &Context, args: &OnboardArgs) -> bool {
    args.set_default || context.auth.config().default_model().0.is_none()
}

fn usage(message: String, next: &str) -> CommandError {
    CommandError::new(Code::Usage, message).hint(next.to_owned())
}

fn wanted(args: &OnboardArgs) -> Result<Wanted, CommandError> {
    let help = "coderclaw onboard --help";
    let Some(word) = args.auth_choice.as_deref() else {
        let flags = args.keys.given();
        return match flags.as_slice() {
            [] if args.token.token.is_some() => wanted_choice("setup-token"),
            [] if args.custom.custom_base_url.is_some() => Ok(Wanted::Custom),
            [] => Ok(Wanted::Nothing),
            [(flag, _)] => by_flag(flag)
                .map(Wanted::Choice)
                .ok_or_else(|| usage(format!("--{flag} belongs to nothing that is here"), help)),
            many => {
                let flags: Vec<String> = many.iter().map(|(flag, _)| format!("--{flag}")).collect();
                let message =
                    format!("{} are several logins; say which one with --auth-choice", flags.join(" and "));
                Err(usage(message, help))
            }
        };
    };
    wanted_choice(word)
}

fn wanted_choice(word: &str) -> Result<Wanted, CommandError> {
    match find(word.trim()) {
        Found::Choice(choice) => Ok(Wanted::Choice(choice)),
        Found::Custom => Ok(Wanted::Custom),
        Found::Skip => Ok(Wanted::Nothing),
        Found::No { why, next } => Err(usage(why, &next)),
        Found::Unknown => {
            let names: Vec<&str> = super::choices::CHOICES.iter().map(|choice| choice.name).collect();
            let message = format!(
                "--auth-choice \"{word}\" is not known; there are {}, custom-api-key, skip",
                names.join(", ")
            );
            Err(usage(message, "coderclaw onboard --help"))
        }
    }
}

fn is_in_arguments(args: &OnboardArgs) -> bool {
    !args.keys.given().is_empty() || args.token.token.is_some() || args.custom.custom_api_key.is_some()
}

/// Keys that were given for something else than what was chosen.
fn left_over(context: &Context, args: &OnboardArgs, wanted: &Wanted, notes: &mut Vec<String>) {
    let used = match wanted {
        Wanted::Choice(choice) => Some(choice.provider),
        _ => None,
    };
    let flags: Vec<String> = args
        .keys
        .given()
        .iter()
        .filter(|(flag, _)| by_flag(flag).map(|choice| choice.provider) != used)
        .map(|(flag, _)| format!("--{flag}"))
        .collect();
    if !flags.is_empty() {
        note(context, notes, format!("{} was not stored: something else was chosen", flags.join(" and ")));
    }
}

fn log_in(
    context: &Context,
    choice: &Choice,
    args: &OnboardArgs,
    notes: &mut Vec<String>,
) -> Result<Kept, CommandError> {
    let manifest = context.provider(choice.provider)?;
    let mut given = Given { replace: args.replace, ..Given::default() };
    match choice.how {
        How::Browser | How::Registered => {
            let message = format!("{}: a person has to log in with a browser", choice.name);
            let login = if choice.how == How::Registered { REGISTERED } else { "login" };
            return Err(CommandError::new(Code::InputRequired, message)
                .hint(context.auth_command(login, choice.provider)));
        }
        How::SetupToken => {
            if let Some(other) = args.token.token_provider.as_deref()
                && context.provider(other)?.id != manifest.id
            {
                let message = format!("--token-provider {other}: only {} has such a token", choice.provider);
                return Err(usage(
                    message,
                    &format!("coderclaw models auth paste-token --provider {other} --stdin"),
                ));
            }
            given.secret = args.token.token.as_deref().map(Secret::from);
            given.profile_id.clone_from(&args.token.token_profile_id);
            given.expires_in = args.token.token_expires_in;
        }
        How::ApiKey => {
            let flags = args.keys.given();
            let own = flags
                .iter()
                .find(|(flag, _)| by_flag(flag).is_some_and(|one| one.provider == choice.provider));
            given.secret = own.map(|(_, key)| Secret::from(*key));
            given.metadata = metadata(args, manifest);
        }
    }
    if given.secret.is_none() && args.stdin {
        given.source = SourceArgs { stdin: true, file: None };
    } else if given.secret.is_none() {
        if let Some((name, key)) = from_variable(context, choice, manifest) {
            note(context, notes, format!("the key was taken from {name}"));
            given.secret = Some(key);
        } else if let Some(kept) = known_key(context, choice)? {
            note(context, notes, format!("{} is there already and is used", kept.profile));
            return Ok(kept);
        } else {
            return Err(missing(context, choice, manifest));
        }
    }
    credential(context, choice, given)
}

fn metadata(args: &OnboardArgs, manifest: &Manifest) -> Vec<(String, String)> {
    if manifest.id != "cloudflare-ai-gateway" {
        return Vec::new();
    }
    let pairs = [
        ("accountId", &args.keys.cloudflare_ai_gateway_account_id),
        ("gatewayId", &args.keys.cloudflare_ai_gateway_gateway_id),
    ];
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))).collect()
}

/// A key in the environment. Another kind of token in a variable of the provider's is no key.
fn from_variable(context: &Context, choice: &Choice, manifest: &Manifest) -> Option<(String, Secret)> {
    let is_key = |name: &&std::borrow::Cow<'static, str>| {
        choice.how == How::ApiKey && manifest.env_kind(name) == CredentialKind::ApiKey
    };
    let mut names = manifest.env.iter().filter(is_key);
    names.find_map(|name| Some((name.to_string(), Secret::from(context.auth.env().get(name)?))))
}

/// A key of the provider that the agent has already.
fn known_key(context: &Context, choice: &Choice) -> Result<Option<Kept>, CommandError> {
    if choice.how != How::ApiKey {
        return Ok(None);
    }
    let agent = context.agent()?;
    let store = read_auth_store(&agent.store()).map_err(coderclaw_auth::EditError::from)?;
    let provider = ProviderId::new(choice.provider);
    let found = store.doc.entries().find(|(_, entry)| {
        matches!(entry, Entry::ApiKey(one) if one.provider == provider && one.key.as_ref().is_some_and(|key| !key.is_blank()))
    });
    Ok(found.map(|(profile, entry)| Kept {
        provider,
        profile,
        mode: "api_key",
        email: entry.email().map(str::to_owned),
        hidden: false,
    }))
}

fn missing(context: &Context, choice: &Choice, manifest: &Manifest) -> CommandError {
    let (what, next) = match choice.how {
        How::ApiKey => ("key", "paste-api-key"),
        _ => ("token", "setup-token"),
    };
    let variables: Vec<&str> = manifest
        .env
        .iter()
        .filter(|name| choice.how == How::ApiKey && manifest.env_kind(name) == CredentialKind::ApiKey)
        .map(|name| &**name)
        .collect();
    let variable = if variables.is_empty() { String::new() } else { format!(", {}", variables.join(", ")) };
    let flag = choice.flag.map_or_else(
        || if choice.how == How::SetupToken { ", --token".to_owned() } else { String::new() },
        |flag| format!(", --{flag}"),
    );
    let message = format!("{}: there is no {what}; give it with --stdin{variable}{flag}", choice.name);
    let next = format!("{} --stdin", context.auth_command(next, choice.provider));
    CommandError::new(Code::InputRequired, message).hint(next)
}

/// A server of one's own: its address into the config, as the original has it, and its key into the store.
fn own_server(
    context: Context,
    args: &OnboardArgs,
    workspace: Option<String>,
) -> Result<(Option<Kept>, Context), CommandError> {
    let custom = &args.custom;
    let next = "coderclaw onboard --non-interactive --accept-risk --auth-choice custom-api-key --custom-base-url URL --custom-model-id MODEL";
    let wanted = |value: &Option<String>, flag: &str| {
        let value = value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        value.ok_or_else(|| {
            CommandError::new(Code::InputRequired, format!("custom-api-key: {flag} is missing"))
                .hint(next.into())
        })
    };
    let base = wanted(&custom.custom_base_url, "--custom-base-url")?;
    let model = wanted(&custom.custom_model_id, "--custom-model-id")?;
    let Some(host) = host_of(&base) else {
        return Err(usage(format!("--custom-base-url \"{base}\" is no http address"), next));
    };
    let id = custom.custom_provider_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let id =
        ProviderId::new(&id.map_or_else(|| format!("custom-{}", slug(&host)), str::to_owned)).to_string();
    if let Ok(known) = context.provider(&id)
        && context.auth.config().providers().all(|one| one.id.as_str() != id)
    {
        let message =
            format!("{id} is {}; give the server another name with --custom-provider-id", known.name);
        return Err(usage(message, next));
    }
    let api = match custom.custom_compatibility.unwrap_or_default() {
        Compatibility::Openai => "openai-completions",
        Compatibility::Anthropic => "anthropic-messages",
    };
    let secret = match (&custom.custom_api_key, args.stdin) {
        (Some(key), _) => Some(Secret::from(key.as_str())),
        (None, true) => Some(secret_input::read(&SourceArgs { stdin: true, file: None }, "")?),
        (None, false) => context.auth.env().get(CUSTOM_KEY).map(Secret::from),
    };
    let server = json!({"baseUrl": base, "api": api, "models": [{"id": model, "name": model}]});
    let model = format!("{id}/{model}");
    let wish = ConfigWish {
        workspace,
        model: Some(model.as_str()).filter(|_| is_free(&context, args)),
        kept: None,
        server: Some((&id, server)),
    };
    config(&context, &wish)?;
    // Only now is there such a provider.
    let (global, env, clock) =
        (context.global.clone(), context.auth.env().clone(), context.auth.clock().clone());
    let context = Context::open(global, env, clock)?;
    let kept = secret
        .map(|secret| {
            let given = Given { secret: Some(secret), replace: args.replace, ..Given::default() };
            pasted(&context, &id, PasteKind::ApiKey, given)
        })
        .transpose()?;
    Ok((kept, context))
}

/// The host and port of an http address.
fn host_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let place = rest.split(['/', '?', '#']).next()?;
    // A password in an address would end in the config.
    let is_plain = !place.is_empty() && !place.contains('@') && !place.contains(char::is_whitespace);
    is_plain.then(|| place.to_lowercase())
}

/// Lower-case letters and digits, with single dashes between.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_servers() {
        for (url, wanted) in [
            ("http://127.0.0.1:8000/v1", Some("127-0-0-1-8000")),
            ("https://LLM.Example.test", Some("llm-example-test")),
            ("https://user:canary@x.test/", None),
            ("ftp://x.test", None),
            ("https:///v1", None),
            ("", None),
        ] {
            assert_eq!(host_of(url).map(|host| slug(&host)).as_deref(), wanted, "{url}");
        }
    }
}
