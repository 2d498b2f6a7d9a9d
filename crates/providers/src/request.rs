//! How a credential goes out: as header lines, and as variables of a child program.

use coderclaw_types::Secret;

use crate::endpoint::endpoint_origin;
use crate::manifest::{Api, AuthMethod, Manifest, Pairs, Text};
use crate::words::{Billing, CredentialKind, MethodKind};

impl Manifest {
    /// The method of this kind.
    pub fn auth(&self, method: MethodKind) -> Option<&AuthMethod> {
        self.auth.iter().find(|one| one.method == method)
    }

    /// The method that makes such a credential; the first of [`CredentialKind::methods`] that the provider has.
    pub fn auth_for(&self, kind: CredentialKind) -> Option<&AuthMethod> {
        kind.methods().iter().find_map(|&method| self.auth(method))
    }

    /// Who pays for what is done with such a credential.
    pub fn billing(&self, kind: CredentialKind) -> Billing {
        self.auth_for(kind).map_or(kind.usual_billing(), |one| one.billing)
    }

    /// How such a credential is used: the provider's table with that of the credential's method on top.
    pub fn api(&self, kind: CredentialKind) -> Api {
        match self.using(kind) {
            Some(one) => one.api.over(&self.api),
            None => self.api.clone(),
        }
    }

    /// All header lines that a request with this credential needs, the one with the credential first, names in lower
    /// case. Every value is a [`Secret`], since an account id is nobody else's business either.
    ///
    /// A line that needs the account id is left out where there is none, or where it holds anything but visible
    /// ASCII, which no account id does.
    pub fn request_headers(
        &self,
        kind: CredentialKind,
        token: &Secret,
        account_id: Option<&str>,
    ) -> Vec<(String, Secret)> {
        let api = self.api(kind);
        let name = api.header.as_deref().unwrap_or("authorization");
        let value = match name {
            "authorization" => Secret::from(format!("Bearer {}", token.expose())),
            _ => token.clone(),
        };
        let further = api.headers.iter().filter(|(other, _)| other != name);
        let further =
            further.filter_map(|(name, value)| Some((name.to_string(), fill(value, None, account_id)?)));
        std::iter::once((name.to_owned(), value)).chain(further).collect()
    }

    /// The variables that give this credential to a child program, sorted by name.
    ///
    /// Where the manifest has no `[lend]` for it, that is the first of `env` that may hold such a credential. A
    /// variable that needs the account id is left out where there is none.
    pub fn lend_env(
        &self,
        kind: CredentialKind,
        token: &Secret,
        account_id: Option<&str>,
    ) -> Vec<(String, Secret)> {
        let own = self.using(kind).map(|one| &one.lend);
        let lend = own.map_or_else(|| self.lend.clone(), |own| merged(&self.lend, own));
        if lend.is_empty() {
            let pasted = match kind {
                CredentialKind::ApiKey => CredentialKind::ApiKey,
                CredentialKind::Token | CredentialKind::OAuth => CredentialKind::Token,
            };
            let name = self.env.iter().find(|name| self.env_kind(name) == pasted);
            return name.map(|name| (name.to_string(), token.clone())).into_iter().collect();
        }
        let filled =
            |(name, value): &(Text, Text)| Some((name.to_string(), fill(value, Some(token), account_id)?));
        lend.iter().filter_map(filled).collect()
    }

    /// All variables in which a program may find a credential of this provider, whatever its kind.
    pub fn credential_env(&self) -> Vec<&str> {
        let lent = std::iter::once(&self.lend).chain(self.auth.iter().map(|one| &one.lend));
        let mut names: Vec<&str> = self.env.iter().map(AsRef::as_ref).collect();
        names.extend(lent.flat_map(|pairs| pairs.iter().map(|(name, _)| name.as_ref())));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The header lines that say whose account a credential is of: they go with it, and never without it. Lower case.
    pub fn account_headers(&self) -> Vec<&str> {
        let tables = std::iter::once(&self.api).chain(self.auth.iter().map(|one| &one.api));
        let pairs = tables.flat_map(|api| api.headers.iter());
        pairs.filter(|(_, value)| value.contains("{accountId}")).map(|(name, _)| name.as_ref()).collect()
    }

    /// What one of the variables in `env` holds. By the field's custom it is a bearer token where the name says
    /// `OAUTH_TOKEN`; and it is one where the provider knows no keys.
    pub fn env_kind(&self, name: &str) -> CredentialKind {
        if name.contains("OAUTH_TOKEN") || self.auth(MethodKind::ApiKey).is_none() {
            CredentialKind::Token
        } else {
            CredentialKind::ApiKey
        }
    }

    /// The method whose tables say how such a credential is used. A store may hold an OAuth login for a provider that
    /// one now logs in to with a pasted token: both are bearer tokens.
    fn using(&self, kind: CredentialKind) -> Option<&AuthMethod> {
        let otherwise = match kind {
            CredentialKind::OAuth => CredentialKind::Token,
            CredentialKind::Token => CredentialKind::OAuth,
            CredentialKind::ApiKey => CredentialKind::ApiKey,
        };
        self.auth_for(kind).or_else(|| self.auth_for(otherwise))
    }
}

impl AuthMethod {
    /// `scheme://host[:port]` of the token endpoint; `None` where discovery has to name it.
    pub fn token_origin(&self) -> Option<String> {
        endpoint_origin(self.token_url.as_deref()?).ok()
    }
}

impl Api {
    fn over(&self, base: &Self) -> Self {
        let pick = |own: &Option<Text>, base: &Option<Text>| own.as_ref().or(base.as_ref()).cloned();
        Self {
            kind: self.kind.or(base.kind),
            base_url: pick(&self.base_url, &base.base_url),
            header: pick(&self.header, &base.header),
            headers: merged(&base.headers, &self.headers),
            probe: pick(&self.probe, &base.probe),
        }
    }
}

/// Both tables, sorted by name; what `top` names, it decides.
fn merged(base: &Pairs, top: &Pairs) -> Pairs {
    if top.is_empty() {
        return base.clone();
    }
    let kept = base.iter().filter(|(name, _)| top.iter().all(|(other, _)| other != name));
    let mut all: Vec<_> = kept.chain(top.iter()).cloned().collect();
    all.sort();
    all.into()
}

/// The template with its placeholders replaced, each once and from left to right, so that a token which looks like a
/// placeholder stays itself. `None` where something it needs is not there.
fn fill(template: &str, token: Option<&Secret>, account_id: Option<&str>) -> Option<Secret> {
    let account_id = account_id.filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()));
    let mut out = String::with_capacity(template.len() + token.map_or(0, |token| token.expose().len()) + 64);
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("{token}") {
            out.push_str(token?.expose());
            rest = after;
        } else if let Some(after) = from.strip_prefix("{accountId}") {
            out.push_str(account_id?);
            rest = after;
        } else {
            out.push('{');
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    Some(Secret::from(out))
}
