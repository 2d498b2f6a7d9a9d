//! Values as Rust source. Every struct is taken apart by all its fields, so that a new one cannot be forgotten.

use std::fmt::Debug;

use crate::manifest::{Api, AuthMethod, Identity, Manifest, Pairs, Source, Text};

/// The source of the table of all built-in providers.
pub(crate) fn table(all: &[Manifest]) -> String {
    let rows: String = all.iter().map(|one| manifest(one) + ",\n").collect();
    format!("pub(crate) static BUILT_IN: [Manifest; {}] = [\n{rows}];\n", all.len())
}

fn manifest(one: &Manifest) -> String {
    let Manifest { id, name, aliases, env, default_model, api: uses, lend, auth, source: whence, plugin: _ } =
        one;
    record(
        "Manifest",
        &[
            ("id", text(id)),
            ("name", text(name)),
            ("aliases", list(aliases, text)),
            ("env", list(env, text)),
            ("default_model", option(default_model.as_ref(), text)),
            ("api", api(uses)),
            ("lend", pairs(lend)),
            ("auth", list(auth, method)),
            ("source", source(whence)),
            ("plugin", "None".to_owned()),
        ],
    )
}

fn method(one: &AuthMethod) -> String {
    let AuthMethod {
        method,
        billing,
        issuer,
        authorize_url,
        token_url,
        revoke_url,
        revoke,
        jwks_url,
        client_id,
        own_client,
        client_secret,
        scopes,
        required_scopes,
        use_scopes,
        resource,
        redirect,
        redirect_ports,
        authorize_params,
        token_request,
        revoke_request,
        rotates,
        default_lifetime,
        identity,
        device_url,
        device_dialect,
        device_poll_url,
        device_page,
        device_redirect,
        device_pkce,
        device_off,
        access_url,
        userinfo_url,
        untested,
        pattern,
        api: uses,
        lend,
        token_source,
    } = one;
    let Identity { subject, email, account, plan, name } = identity;
    let identity = record(
        "Identity",
        &[
            ("subject", list(subject, text)),
            ("email", list(email, text)),
            ("account", list(account, text)),
            ("plan", list(plan, text)),
            ("name", list(name, text)),
        ],
    );
    record(
        "AuthMethod",
        &[
            ("method", word("MethodKind", method)),
            ("billing", word("Billing", billing)),
            ("issuer", option(issuer.as_ref(), text)),
            ("authorize_url", option(authorize_url.as_ref(), text)),
            ("token_url", option(token_url.as_ref(), text)),
            ("revoke_url", option(revoke_url.as_ref(), text)),
            ("revoke", word("Revoke", revoke)),
            ("jwks_url", option(jwks_url.as_ref(), text)),
            ("client_id", option(client_id.as_ref(), text)),
            ("own_client", own_client.to_string()),
            // Nobody's is built in; the program would not compile with one.
            ("client_secret", option(client_secret.as_ref(), |one| format!("{one:?}"))),
            ("scopes", list(scopes, text)),
            ("required_scopes", list(required_scopes, text)),
            ("use_scopes", list(use_scopes, text)),
            ("resource", option(resource.as_ref(), text)),
            ("redirect", option(redirect.as_ref(), text)),
            ("redirect_ports", list(redirect_ports, u16::to_string)),
            ("authorize_params", pairs(authorize_params)),
            ("token_request", word("TokenRequest", token_request)),
            ("revoke_request", option(revoke_request.as_ref(), |one| word("TokenRequest", one))),
            ("rotates", rotates.to_string()),
            (
                "default_lifetime",
                option(default_lifetime.as_ref(), |span| format!("Duration::from_secs({})", span.as_secs())),
            ),
            ("identity", identity),
            ("device_url", option(device_url.as_ref(), text)),
            ("device_dialect", word("DeviceDialect", device_dialect)),
            ("device_poll_url", option(device_poll_url.as_ref(), text)),
            ("device_page", option(device_page.as_ref(), text)),
            ("device_redirect", option(device_redirect.as_ref(), text)),
            ("device_pkce", device_pkce.to_string()),
            ("device_off", option(device_off.as_ref(), text)),
            ("access_url", option(access_url.as_ref(), text)),
            ("userinfo_url", option(userinfo_url.as_ref(), text)),
            ("untested", untested.to_string()),
            ("pattern", option(pattern.as_ref(), text)),
            ("api", api(uses)),
            ("lend", pairs(lend)),
            ("token_source", source(token_source)),
        ],
    )
}

fn api(one: &Api) -> String {
    let Api { kind, base_url, header, headers, probe } = one;
    record(
        "Api",
        &[
            ("kind", option(kind.as_ref(), |kind| word("ApiKind", kind))),
            ("base_url", option(base_url.as_ref(), text)),
            ("header", option(header.as_ref(), text)),
            ("headers", pairs(headers)),
            ("probe", option(probe.as_ref(), text)),
        ],
    )
}

fn source(one: &Source) -> String {
    // A file of somebody's is never built in; the program would not compile with it.
    format!("Source::{one:?}")
}

fn record(name: &str, fields: &[(&str, String)]) -> String {
    let fields: String = fields.iter().map(|(field, value)| format!("{field}: {value}, ")).collect();
    format!("{name} {{ {fields}}}")
}

fn word(set: &str, one: &impl Debug) -> String {
    format!("{set}::{one:?}")
}

fn text(one: &Text) -> String {
    format!("Cow::Borrowed({one:?})")
}

fn option<T>(one: Option<&T>, value: impl Fn(&T) -> String) -> String {
    one.map_or_else(|| "None".to_owned(), |one| format!("Some({})", value(one)))
}

fn list<T>(all: &[T], value: impl Fn(&T) -> String) -> String {
    let all: String = all.iter().map(|one| value(one) + ", ").collect();
    format!("Cow::Borrowed(&[{all}])")
}

fn pairs(all: &Pairs) -> String {
    list(all, |(name, value)| format!("({}, {})", text(name), text(value)))
}
