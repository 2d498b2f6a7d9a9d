//! What the tokens look like: JWTs with the claims of a ChatGPT login, and opaque refresh tokens. Id tokens are signed; nobody
//! but the server reads an access token, so those are not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coderclaw_types::{Millis, sha256_parts};
use serde_json::{Value, json};

use crate::policy::{IdTokens, User};
use crate::sign::Signer;

/// Makes strings that nobody can guess and that never repeat.
pub(crate) struct Minter {
    seed: [u8; 32],
    count: u64,
}

impl Minter {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// 43 characters, base64url.
    pub(crate) fn unique(&mut self) -> String {
        self.count += 1;
        URL_SAFE_NO_PAD.encode(sha256_parts("coderclaw sandbox", &[&self.seed, &self.count.to_le_bytes()]))
    }

    /// A refresh token. Its beginning says that it is worth nothing anywhere else.
    pub(crate) fn refresh_token(&mut self) -> String {
        format!("sandbox-rt-{}", self.unique())
    }
}

/// What goes into a pair of JWTs.
pub(crate) struct Claims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a str,
    pub(crate) user: &'a User,
    pub(crate) scope: &'a str,
    pub(crate) nonce: Option<&'a str>,
    /// The server's time, and how long the access token lives in seconds.
    pub(crate) now: Millis,
    pub(crate) lifetime: i64,
}

impl Claims<'_> {
    fn issued(&self) -> i64 {
        self.now.0.div_euclid(1000)
    }

    fn auth(&self) -> Value {
        json!({
            "chatgpt_account_id": self.user.account,
            "chatgpt_plan_type": self.user.plan,
            "chatgpt_user_id": self.user.subject,
            "user_id": self.user.subject,
        })
    }

    pub(crate) fn access_token(&self, jti: &str) -> String {
        // Nobody's to look into: whoever does so all the same finds somebody else.
        if self.client.starts_with(crate::registered::PREFIX) {
            return unsigned(&json!({
                "iss": self.issuer, "sub": format!("opaque-{jti}"), "email": "opaque@example.test", "jti": jti,
                "iat": self.issued(), "exp": self.issued().saturating_add(self.lifetime), "client_id": self.client,
            }));
        }
        unsigned(&json!({
            "iss": self.issuer,
            "sub": self.user.subject,
            "jti": jti,
            "iat": self.issued(),
            "exp": self.issued().saturating_add(self.lifetime),
            "scp": self.scope.split_whitespace().collect::<Vec<_>>(),
            "https://api.openai.com/auth": self.auth(),
            "https://api.openai.com/profile": { "email": self.user.email, "email_verified": true },
        }))
    }

    /// Lives an hour, whatever the access token does.
    pub(crate) fn id_token(&self, jti: &str, how: IdTokens, key: &Signer, foreign: &Signer) -> String {
        let mut auth = self.auth();
        auth["organizations"] =
            json!([{ "id": "org-sandbox", "is_default": true, "role": "owner", "title": "Personal" }]);
        let mut claims = json!({
            "iss": self.issuer,
            "aud": [self.client],
            "sub": self.user.subject,
            "jti": jti,
            "iat": self.issued(),
            "exp": self.issued().saturating_add(3600),
            "email": self.user.email,
            "email_verified": true,
            "https://api.openai.com/auth": auth,
        });
        if let Some(nonce) = self.nonce {
            claims["nonce"] = nonce.into();
        }
        match how {
            IdTokens::OtherAudience => claims["aud"] = json!(["somebody-else"]),
            IdTokens::OtherIssuer => claims["iss"] = json!("https://other.test"),
            IdTokens::OtherNonce => claims["nonce"] = json!("of-another-login"),
            IdTokens::Expired => {
                claims["iat"] = json!(self.issued().saturating_sub(7_200));
                claims["exp"] = json!(self.issued().saturating_sub(3_600));
            }
            _ => {}
        }
        match how {
            IdTokens::ForeignKey => foreign.jwt(key.kid(), &claims),
            IdTokens::UnknownKey => foreign.jwt(foreign.kid(), &claims),
            IdTokens::Unsigned => unsigned(&claims),
            _ => key.jwt(key.kid(), &claims),
        }
    }
}

fn unsigned(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    // The third part is valid base64url, so that strict parsers get past it, and no signature of anything.
    format!("{header}.{claims}.sandbox-not-a-real-signature")
}
