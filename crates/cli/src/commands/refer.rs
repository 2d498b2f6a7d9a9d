//! `models auth paste-token --ref` and `paste-api-key --ref`: where a secret is kept, instead of the secret.

use coderclaw_auth::{PasteKind, Referred};
use coderclaw_store::Reference;
use coderclaw_types::{Code, ProfileId};
use serde_json::json;

use crate::args::PasteArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::{clean, shell_word, span};

pub(super) fn run(
    context: &Context,
    kind: PasteKind,
    text: &str,
    args: &PasteArgs,
) -> Result<Report, CommandError> {
    let usage = |why: String| CommandError::new(Code::Usage, why);
    let reference = Reference::parse(text).and_then(|one| one.timed(args.ttl, args.timeout));
    let reference = reference.map_err(|why| usage(why.to_owned()))?;
    let manifest = context.provider(&args.provider)?;
    let agent = context.agent()?;
    let profile_id = args.target.profile_id.as_deref().map(ProfileId::new).transpose();
    let referred = Referred {
        is_key: kind == PasteKind::ApiKey,
        profile_id: profile_id.map_err(|e| usage(e.to_string()))?,
        replace: args.target.replace,
        reference,
    };
    let stored =
        context.auth.store_reference(&agent, manifest, &referred).map_err(context.about(manifest))?;
    let next = format!(
        "coderclaw models auth token --provider {} --profile {} --quiet",
        stored.provider,
        shell_word(stored.profile.as_str())
    );
    if context.global.json {
        return Ok(Report::json(&json!({
            "provider": stored.provider,
            "profileId": stored.profile,
            "mode": stored.kind.as_str(),
            "agentId": agent.agent,
            "authStorePath": agent.store(),
            "reference": referred.reference.to_string(),
            "ttlMs": referred.reference.ttl.map(|ttl| ttl.as_millis()),
            "replaced": stored.replaced,
            "hiddenByOrder": stored.hidden_by_order,
        })));
    }
    let kept = match referred.reference.ttl {
        None => "It is fetched each time it is lent, and not before.".to_owned(),
        Some(ttl) => {
            format!("It is fetched when it is lent, and then used for {} by all processes.", span(ttl))
        }
    };
    let mut text = format!(
        "Stored in {}\nAuth profile: {} ({}/{}), kept at {}\n{kept}\n",
        agent.store().display(),
        clean(stored.profile.as_str()),
        stored.provider,
        stored.kind.as_str(),
        clean(&referred.reference.to_string())
    );
    if stored.hidden_by_order {
        let id = shell_word(stored.profile.as_str());
        text.push_str(&format!("An order hides it. To use it: coderclaw models auth use {id}\n"));
    }
    text.push_str(&format!("To see whether it works:\n  {next} >/dev/null\n"));
    Ok(Report::text(text))
}
