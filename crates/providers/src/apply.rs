//! What a file says, on top of what it extends: scalars and arrays replace, tables merge by key, methods by their
//! name. The build script compiles this file too.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::manifest::{Api, AuthMethod, ClientSecret, Identity, List, Manifest, Pairs, Plugin, Source, Text};
use crate::parse::{ApiPatch, AuthPatch, Fault, LendPatch, Patch, PluginPatch};
use crate::words::{CredentialKind, DeviceDialect, MethodKind, PluginCall};

/// The provider that `patch` describes: a new one where it has an id, `base` changed in place where it has none.
pub(crate) fn apply(patch: Patch, base: Option<&Manifest>, source: &Source) -> Result<Manifest, Fault> {
    let whole = |message: &str| Fault { offset: None, message: message.to_owned() };
    let subject = match (&patch.id, &patch.extends) {
        (Some(id), _) => Some(id.span()),
        (None, extends) => extends.as_ref().map(toml::Spanned::span),
    };
    let id = patch.id.map(|id| Text::from(id.into_inner().0));
    let mut out = match (&id, base) {
        (Some(id), base) => Manifest {
            id: id.clone(),
            name: id.clone(),
            // Other names of the base stay the base's.
            aliases: List::default(),
            ..base.cloned().unwrap_or_else(|| empty(source))
        },
        (None, Some(base)) => base.clone(),
        (None, None) => {
            return Err(whole("an id is missing (or extends, to change a provider that exists)"));
        }
    };
    out.source = source.clone();
    out.plugin = apply_plugin(patch.plugin, source)?.map(Box::new);
    set(&mut out.name, patch.name.map(|name| name.0));
    set_list(&mut out.aliases, patch.aliases.map(toml::Spanned::into_inner), |alias| alias.0.into());
    set_list(&mut out.env, patch.env, |name| name.0.into());
    set_some(&mut out.default_model, patch.default_model.map(|model| model.0));
    apply_api(&mut out.api, patch.api);
    apply_lend(&mut out.lend, patch.lend);
    let said: Vec<_> = patch.auth.iter().map(|auth| (*auth.method.get_ref(), auth.method.span())).collect();
    for auth in patch.auth {
        apply_auth(out.auth.to_mut(), auth, source)?;
    }
    // Only now: a method may rest on another one that stands below it.
    for one in out.auth.iter() {
        if let Some(missing) = missing(one, &out.auth) {
            let message = format!("method \"{}\" needs {missing}", one.method);
            let span = said.iter().find(|(method, _)| *method == one.method).map(|(_, span)| span.clone());
            let span = span.or_else(|| subject.clone());
            return Err(span.map_or_else(|| whole(&message), |span| Fault::at(span, message.as_str())));
        }
    }
    if out.auth.is_empty() {
        let message = "no way to log in is left: at least one [[auth]] is needed";
        return Err(subject.map_or_else(|| whole(message), |span| Fault::at(span, message)));
    }
    let does = |call| out.plugin.as_ref().is_some_and(|plugin| plugin.does(call));
    let is_login = |one: &AuthMethod| one.method.makes() == CredentialKind::OAuth;
    if does(PluginCall::Login) && out.auth.iter().filter(|one| is_login(one)).count() > 1 {
        return Err(whole(
            "where the program logs in there is no other login beside it, only tokens and keys",
        ));
    }
    if out.auth.iter().any(|one| one.method == MethodKind::Plugin) != does(PluginCall::Login) {
        return Err(whole("method \"plugin\" and \"login\" among what the program does go together"));
    }
    Ok(out)
}

/// `[plugin]` stands in a plugin's own file and nowhere else.
fn apply_plugin(patch: Option<toml::Spanned<PluginPatch>>, source: &Source) -> Result<Option<Plugin>, Fault> {
    let Source::Plugin(folder) = source else {
        let stray = |patch: toml::Spanned<PluginPatch>| {
            Fault::at(patch.span(), "[plugin] stands in the coderclaw.plugin.toml of a plugin's folder only")
        };
        return patch.map_or(Ok(None), |patch| Err(stray(patch)));
    };
    let Some(patch) = patch else {
        return Ok(Some(Plugin { folder: folder.clone(), ..Plugin::default() }));
    };
    let span = patch.span();
    let PluginPatch { version, description, command, does } = patch.into_inner();
    if command.is_empty() != does.is_empty() {
        return Err(Fault::at(span, "command and does go together: a program, and what it takes over"));
    }
    if does.contains(&PluginCall::Login) != does.contains(&PluginCall::Refresh) {
        let message = "login and refresh go together: who brings a login keeps it alive";
        return Err(Fault::at(span, message));
    }
    Ok(Some(Plugin {
        folder: folder.clone(),
        version: version.map(|line| line.0),
        description: description.map(|line| line.0),
        command: command.into_iter().map(|line| line.0).collect(),
        does,
    }))
}

fn empty(source: &Source) -> Manifest {
    Manifest {
        id: Text::default(),
        name: Text::default(),
        aliases: List::default(),
        env: List::default(),
        default_model: None,
        api: Api::default(),
        lend: Pairs::default(),
        auth: List::default(),
        source: source.clone(),
        plugin: None,
    }
}

fn apply_auth(all: &mut Vec<AuthMethod>, patch: AuthPatch, source: &Source) -> Result<(), Fault> {
    let method = *patch.method.get_ref();
    let span = patch.method.span();
    let at = all.iter().position(|one| one.method == method);
    if patch.disabled {
        let at = at.ok_or_else(|| Fault::at(span, format!("there is no method \"{method}\" to disable")))?;
        all.remove(at);
        return Ok(());
    }
    let mut one = match at {
        Some(at) => all[at].clone(),
        None => AuthMethod::new(method, source.clone()),
    };
    // An issuer names the token endpoint where nothing else does.
    if patch.token_url.is_some() || (patch.issuer.is_some() && one.token_url.is_none()) {
        one.token_source = source.clone();
    }
    set(&mut one.billing, patch.billing);
    set_some(&mut one.issuer, patch.issuer.map(|url| url.0));
    set_some(&mut one.authorize_url, patch.authorize_url.map(|url| url.0));
    set_some(&mut one.token_url, patch.token_url.map(|url| url.0));
    set_some(&mut one.revoke_url, patch.revoke_url.map(|url| url.0));
    set(&mut one.revoke, patch.revoke);
    set_some(&mut one.jwks_url, patch.jwks_url.map(|url| url.0));
    set_some(&mut one.client_id, patch.client_id.map(|id| id.0));
    set(&mut one.own_client, patch.own_client);
    if let Some(secret) = patch.client_secret {
        one.client_secret = Some(ClientSecret::new(secret.0.into()));
    }
    set_list(&mut one.scopes, patch.scopes, |scope| scope.0.into());
    set_list(&mut one.required_scopes, patch.required_scopes, |scope| scope.0.into());
    set_list(&mut one.use_scopes, patch.use_scopes, |scope| scope.0.into());
    set_some(&mut one.resource, patch.resource.map(|url| url.0));
    set_some(&mut one.redirect, patch.redirect.map(|url| url.0));
    set_list(&mut one.redirect_ports, patch.redirect_ports, |port| port.0);
    merge(&mut one.authorize_params, patch.authorize_params, |name| name.0, |value| value.0);
    set(&mut one.token_request, patch.token_request);
    one.revoke_request = patch.revoke_request.or(one.revoke_request);
    set(&mut one.rotates, patch.rotates);
    one.default_lifetime = patch.default_lifetime.map(|span| span.0).or(one.default_lifetime);
    let Identity { subject, email, account, plan, name } = &mut one.identity;
    for (list, pointers) in [
        (subject, patch.identity.subject),
        (email, patch.identity.email),
        (account, patch.identity.account),
        (plan, patch.identity.plan),
        (name, patch.identity.name),
    ] {
        set_list(list, pointers.map(|pointers| pointers.0), |pointer| pointer.0.into());
    }
    // What every OpenID provider calls them (OpenID Connect Core section 5.1).
    if one.issuer.is_some() && one.identity == Identity::default() {
        one.identity.subject = vec![Text::Borrowed("/sub")].into();
        one.identity.email = vec![Text::Borrowed("/email")].into();
    }
    set_some(&mut one.device_url, patch.device_url.map(|url| url.0));
    set(&mut one.device_dialect, patch.device_dialect);
    set_some(&mut one.device_poll_url, patch.device_poll_url.map(|url| url.0));
    set_some(&mut one.device_page, patch.device_page.map(|url| url.0));
    set_some(&mut one.device_redirect, patch.device_redirect.map(|url| url.0));
    set(&mut one.device_pkce, patch.device_pkce);
    set_some(&mut one.device_off, patch.device_off.map(|text| text.0));
    set_some(&mut one.access_url, patch.access_url.map(|url| url.0));
    set_some(&mut one.userinfo_url, patch.userinfo_url.map(|url| url.0));
    set(&mut one.untested, patch.untested);
    set_some(&mut one.pattern, patch.pattern.map(|pattern| pattern.0));
    apply_api(&mut one.api, patch.api);
    apply_lend(&mut one.lend, patch.lend);
    match at {
        Some(at) => all[at] = one,
        None => all.push(one),
    }
    Ok(())
}

/// What a method cannot do without. `all` are its provider's.
fn missing(one: &AuthMethod, all: &[AuthMethod]) -> Option<&'static str> {
    let base = all.iter().find(|other| other.method == MethodKind::OAuth && one.is_another_door());
    let discovered = one.issuer.is_some() || base.is_some_and(|base| base.issuer.is_some());
    let token = discovered || one.token_url.is_some() || base.is_some();
    let client = one.client_id.is_some() || one.own_client || base.is_some();
    match one.method {
        MethodKind::OAuth | MethodKind::DeviceCode if !client => Some("a client_id"),
        MethodKind::OAuth | MethodKind::Siwc if !token || !(discovered || one.authorize_url.is_some()) => {
            Some("an issuer, or authorize_url and token_url")
        }
        MethodKind::OAuthKey if one.token_url.is_none() || one.authorize_url.is_none() => {
            Some("authorize_url and token_url")
        }
        MethodKind::DeviceCode if !token || !(discovered || one.device_url.is_some()) => {
            Some("an issuer, or device_url and token_url")
        }
        MethodKind::DeviceCode
            if one.device_dialect == DeviceDialect::OpenAi
                && (one.device_poll_url.is_none()
                    || one.device_page.is_none()
                    || one.device_redirect.is_none()) =>
        {
            Some("device_poll_url, device_page and device_redirect in this dialect")
        }
        _ => None,
    }
}

fn apply_api(api: &mut Api, patch: ApiPatch) {
    api.kind = patch.kind.or(api.kind);
    set_some(&mut api.base_url, patch.base_url.map(|url| url.0));
    set_some(&mut api.header, patch.header.map(|name| name.0));
    merge(&mut api.headers, patch.headers, |name| name.0, |value| value.0);
    set_some(&mut api.probe, patch.probe.map(|path| path.0));
}

fn apply_lend(lend: &mut Pairs, patch: LendPatch) {
    merge(lend, patch.env, |name| name.0, |value| value.0);
}

fn set<T>(to: &mut T, from: Option<impl Into<T>>) {
    if let Some(from) = from {
        *to = from.into();
    }
}

fn set_some(to: &mut Option<Text>, from: Option<String>) {
    if let Some(from) = from {
        *to = Some(from.into());
    }
}

fn set_list<F, T: Clone>(to: &mut List<T>, from: Option<Vec<F>>, one: impl Fn(F) -> T) {
    if let Some(from) = from {
        *to = Cow::Owned(from.into_iter().map(one).collect());
    }
}

fn merge<N, V>(
    to: &mut Pairs,
    from: BTreeMap<N, V>,
    name: impl Fn(N) -> String,
    value: impl Fn(V) -> String,
) {
    if from.is_empty() {
        return;
    }
    let mut all: BTreeMap<Text, Text> = to.iter().cloned().collect();
    all.extend(from.into_iter().map(|(n, v)| (name(n).into(), value(v).into())));
    *to = Cow::Owned(all.into_iter().collect());
}
