//! What a program would borrow, and by which way. Looks only.

use coderclaw_auth::{Ask, Verdict};
use coderclaw_providers::{ApiKind, CredentialKind, Manifest};
use coderclaw_store::{Entry, read_auth_store};
use coderclaw_types::{AgentId, Code, ProfileId, ProviderId, Secret};

use crate::args::{ConnectArgs, Tool, Way};
use crate::commands::Context;
use crate::error::{CommandError, login_command};

/// A login on its way to a program.
pub(super) struct Loan<'a> {
    pub(super) tool: Tool,
    pub(super) way: Way,
    pub(super) agent: AgentId,
    pub(super) manifest: &'a Manifest,
    /// The one that was asked for.
    pub(super) profile: Option<ProfileId>,
    /// What would be lent now; `None` where nothing could be.
    pub(super) now: Option<Lent>,
    pub(super) port: u16,
}

/// The credential that the resolver would lend now.
pub(super) struct Lent {
    pub(super) profile: Option<ProfileId>,
    pub(super) kind: CredentialKind,
    account: Option<String>,
}

impl<'a> Loan<'a> {
    pub(super) fn find(context: &'a Context, args: &ConnectArgs) -> Result<Self, CommandError> {
        let agent = context.agent()?;
        let manifest = match &args.provider {
            Some(name) => context.provider(name)?,
            None => usual(context, args.tool)?,
        };
        if manifest.api.kind != Some(args.tool.speaks()) {
            let message = format!("{} does not speak the API of {}", args.tool.name(), manifest.id);
            let hint = format!("coderclaw connect {} --help", args.tool.id());
            return Err(CommandError::new(Code::Usage, message).hint(hint));
        }
        let profile = args.profile.as_deref().map(ProfileId::stored);
        let ask = Ask { profile: profile.clone(), ..Ask::default() };
        let explained = context.auth.explain(&agent, manifest, &ask).map_err(context.about(manifest))?;
        let winner = explained.candidates.iter().find(|one| one.verdict == Verdict::Winner);
        let stored = winner.filter(|one| !one.source.as_deref().is_some_and(|from| from.starts_with("env:")));
        let now = match stored {
            Some(one) => {
                let owner = one.agent_id.as_ref().map_or(agent.agent.as_str(), AgentId::as_str);
                let store = context.auth.agent(Some(owner))?.store();
                let entry = one.profile_id.as_ref().and_then(|id| read_auth_store(&store).ok()?.doc.get(id));
                let account = match entry {
                    Some(Entry::OAuth(login)) => login.account_id,
                    _ => None,
                };
                let kind = match one.kind.as_deref() {
                    Some("oauth") => CredentialKind::OAuth,
                    Some("token") => CredentialKind::Token,
                    _ => CredentialKind::ApiKey,
                };
                Some(Lent { profile: one.profile_id.clone(), kind, account })
            }
            None => None,
        };
        let port = super::super::gateway::port(context, args.port)?;
        let mut loan =
            Self { tool: args.tool, way: Way::Gateway, agent: agent.agent, manifest, profile, now, port };
        loan.way = match args.through {
            Some(way) => way,
            None if loan.headers_that_no_helper_gives().is_empty() => Way::Helper,
            None => Way::Gateway,
        };
        if loan.way == Way::Helper {
            loan.check_helper(context)?;
        }
        Ok(loan)
    }

    fn check_helper(&self, context: &Context) -> Result<(), CommandError> {
        if self.now.is_none() {
            let why = format!("there is no login of {} that could be lent", self.manifest.id);
            return Err(CommandError::new(Code::MissingCredential, why)
                .about(&self.manifest.id, context.agent_hint())
                .login(login_command(self.manifest)));
        }
        let missing = self.headers_that_no_helper_gives();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} sends what a helper prints as an API key, without the header {} that {} wants with this credential",
            self.tool.name(),
            missing.join(", "),
            self.manifest.id
        );
        let hint = format!("coderclaw connect {} --through gateway", self.tool.id());
        Err(CommandError::new(Code::Usage, message).hint(hint))
    }

    /// Header lines that the API wants and that this program has no way to send with a helper's credential.
    fn headers_that_no_helper_gives(&self) -> Vec<String> {
        let Some(now) = &self.now else { return Vec::new() };
        let is_known = |name: &str| match self.tool {
            // A version of its own goes with each request.
            Tool::ClaudeCode => name == "anthropic-version",
            Tool::Codex => true,
        };
        let api = self.manifest.api(now.kind);
        api.headers.iter().map(|(name, _)| name.to_string()).filter(|name| !is_known(name)).collect()
    }

    /// Where the provider is.
    pub(super) fn base_url(&self) -> Option<String> {
        let kind = self.now.as_ref().map_or(CredentialKind::ApiKey, |now| now.kind);
        self.manifest.api(kind).base_url.map(Into::into)
    }

    /// The header lines beside the credential, filled in, and whether they name an account.
    pub(super) fn headers(&self) -> (Vec<(String, Secret)>, bool) {
        let Some(now) = &self.now else { return (Vec::new(), false) };
        let account = now.account.as_deref();
        let mut all = self.manifest.request_headers(now.kind, &Secret::from(""), account);
        all.remove(0);
        let names = self.manifest.account_headers();
        let names_one = all.iter().any(|(name, _)| names.contains(&name.as_str()));
        (all, names_one)
    }
}

/// The vendor's own provider: of the two of OpenAI, the one that the agent has a login of.
fn usual(context: &Context, tool: Tool) -> Result<&Manifest, CommandError> {
    if tool == Tool::ClaudeCode {
        return context.provider("anthropic");
    }
    let status = context.auth.status(&context.agent()?)?;
    let has = |id: &str| {
        let id = ProviderId::new(id);
        status.profiles.iter().any(|profile| profile.provider.as_ref() == Some(&id))
    };
    context.provider(if !has("openai-codex") && has("openai") { "openai" } else { "openai-codex" })
}

impl Tool {
    fn speaks(self) -> ApiKind {
        match self {
            Self::ClaudeCode => ApiKind::AnthropicMessages,
            Self::Codex => ApiKind::OpenAiResponses,
        }
    }
}
