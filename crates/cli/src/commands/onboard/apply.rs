//! Doing what was chosen: the credential by the same code as `models auth`, then the config.

use std::time::Duration;

use coderclaw_auth::PasteKind;
use coderclaw_providers::{Manifest, MethodKind};
use coderclaw_store::{ConfigDoc, KeyPath};
use coderclaw_types::{ProfileId, ProviderId, Secret};
use serde_json::{Map, Value, json};

use super::choices::{Choice, How};
use crate::args::{LoginWish, SourceArgs, TargetArgs};
use crate::commands::Context;
use crate::commands::config::edit;
use crate::commands::login::{Shown, in_browser};
use crate::commands::models::agents_model;
use crate::commands::paste::{Wish, keep};
use crate::error::CommandError;

/// A credential that is in the store.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) provider: ProviderId,
    pub(super) profile: ProfileId,
    /// The original's word for its kind.
    pub(super) mode: &'static str,
    pub(super) email: Option<String>,
    /// An order hides it.
    pub(super) hidden: bool,
}

/// What is known beforehand, where a person is not asked.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) secret: Option<Secret>,
    pub(super) source: SourceArgs,
    pub(super) profile_id: Option<String>,
    pub(super) expires_in: Option<Duration>,
    pub(super) replace: bool,
    pub(super) metadata: Vec<(String, String)>,
}

/// Gets the credential of `choice` into the store of the context's agent.
pub(super) fn credential(context: &Context, choice: &Choice, given: Given) -> Result<Kept, CommandError> {
    if matches!(choice.how, How::Browser | How::Registered) {
        let method = (choice.how == How::Registered).then(|| MethodKind::Siwc.to_string());
        let wish = LoginWish { replace: given.replace, method, ..LoginWish::default() };
        let done = in_browser(context, choice.provider, wish, &Shown::default())?;
        return Ok(Kept {
            provider: done.provider,
            profile: done.profile,
            mode: done.kind.as_str(),
            email: done.identity.email,
            hidden: done.hidden_by_order,
        });
    }
    let kind = if choice.how == How::SetupToken { PasteKind::SetupToken } else { PasteKind::ApiKey };
    pasted(context, choice.provider, kind, given)
}

/// A key or token that is pasted, or at hand.
pub(super) fn pasted(
    context: &Context,
    provider: &str,
    kind: PasteKind,
    given: Given,
) -> Result<Kept, CommandError> {
    let id = given.profile_id.unwrap_or_else(|| format!("{provider}:default"));
    let target = TargetArgs { profile_id: Some(id), force: false, replace: given.replace };
    let (stored, _) = keep(
        context,
        Wish {
            provider,
            kind,
            target: &target,
            expires_in: given.expires_in,
            source: &given.source,
            yes: false,
            given: given.secret,
            metadata: given.metadata,
        },
    )?;
    Ok(Kept {
        provider: stored.provider,
        profile: stored.profile,
        mode: stored.kind.as_str(),
        email: None,
        hidden: stored.hidden_by_order,
    })
}

/// The full name of the model that goes with `choice`.
pub(super) fn model_of(choice: &Choice, manifest: &Manifest) -> Option<String> {
    let model = choice.model.or(manifest.default_model.as_deref())?;
    Some(format!("{}/{model}", choice.provider))
}

/// What the config is to say.
#[derive(Debug, Default)]
pub(super) struct ConfigWish<'a> {
    pub(super) workspace: Option<String>,
    /// The model that is used where none is named.
    pub(super) model: Option<&'a str>,
    /// The profile, for the original: where the config declares profiles of a provider, it uses only those.
    pub(super) kept: Option<&'a Kept>,
    /// A server of one's own: its id, and what `models.providers` is to say about it.
    pub(super) server: Option<(&'a str, Value)>,
}

/// Writes all of it at once; whether there was anything to write.
pub(super) fn config(context: &Context, wish: &ConfigWish<'_>) -> Result<bool, CommandError> {
    let auth = &context.auth;
    let agent = context.agent()?.agent;
    let edit = edit(&context.global, auth.state(), auth.env(), |doc| {
        let config = doc.view().map_err(CommandError::from)?;
        if let Some(workspace) = &wish.workspace {
            doc.set(&KeyPath::keys(["agents", "defaults", "workspace"]), json!(workspace))?;
        }
        if let Some((id, server)) = &wish.server {
            doc.set(&KeyPath::keys(["models", "providers", *id]), server.clone())?;
        }
        if let Some(model) = wish.model {
            let own = agent != config.default_agent() && config.agent_entry(&agent).is_some();
            let place = match own {
                true => agents_model(&config, &agent)?,
                false => KeyPath::keys(["agents", "defaults", "model", "primary"]),
            };
            doc.set(&place, json!(model))?;
            // Where only listed models may be used, this one has to be on the list.
            let listed = config.models();
            if !listed.is_empty() && !listed.iter().any(|one| one.key == model) {
                let key = KeyPath::keys(["agents", "defaults", "models"]).key(model);
                doc.set(&key, Value::Object(Map::new()))?;
            }
        }
        if let Some(kept) = wish.kept {
            declare(doc, config.declared_profiles(), kept)?;
        }
        Ok::<(), CommandError>(())
    })?;
    Ok(edit.is_changed)
}

fn declare(
    doc: &mut ConfigDoc,
    declared: &[coderclaw_store::ConfigProfile],
    kept: &Kept,
) -> Result<(), CommandError> {
    let hides = declared.iter().any(|one| one.provider == kept.provider)
        && !declared.iter().any(|one| one.id == kept.profile);
    if hides {
        let mut said = json!({"provider": kept.provider, "mode": kept.mode});
        if let Some(email) = &kept.email {
            said["email"] = json!(email);
        }
        doc.set(&KeyPath::keys(["auth", "profiles"]).key(kept.profile.as_str()), said)?;
    }
    Ok(())
}
