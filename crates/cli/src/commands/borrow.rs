//! Where `CODERCLAW_SOCKET` says that the logins are elsewhere: the commands that borrow ask there, and the others say
//! that they cannot. Nothing of a state dir is read or written here.

use std::path::Path;

use coderclaw_gateway::{BorrowedLease, LendRequest, Listing, Pair, SocketError, TokenSocket, Welcome};
use coderclaw_types::{Clock, Code, Env, Millis, Secret};
use serde_json::{Value, json};

use crate::args::{
    AuthCommand, Command, ExecArgs, Global, Lazy, LoanArgs, ModelsCommand, StatusArgs, TokenArgs, TokenFormat,
};
use crate::commands::{exec, token};
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::text::{self, clean};

/// The variable with the key that the gateway over there has given out.
const KEY: &str = "CODERCLAW_KEY";

struct Borrower<'a> {
    global: Global,
    clock: Clock,
    socket: &'a Path,
    key: Option<Secret>,
}

pub(super) fn run(
    global: Global,
    env: Env,
    clock: Clock,
    command: Option<Command>,
    socket: &Path,
) -> Result<Report, CommandError> {
    let key = env.get(KEY).map(Secret::from);
    let borrower = Borrower { global, clock, socket, key };
    match command {
        None => borrower.status(&StatusArgs::default()),
        Some(Command::Models { command: None, status_json, status_plain }) => {
            let global = Global { json: borrower.global.json || status_json, ..borrower.global };
            let args = StatusArgs { plain: status_plain, ..StatusArgs::default() };
            Borrower { global, ..borrower }.status(&args)
        }
        Some(Command::Models { command: Some(Lazy(ModelsCommand::Status(args))), .. }) => {
            borrower.status(&args.0)
        }
        Some(Command::Models { command: Some(Lazy(ModelsCommand::Auth { command })), .. }) => match command.0
        {
            AuthCommand::Token(args) => borrower.token(&args.0),
            _ => Err(borrower.needs_store("this command")),
        },
        Some(Command::Exec(args)) => borrower.exec(&args.0),
        // In a state dir of its own.
        #[cfg(feature = "demo")]
        Some(command @ Command::Demo(_)) => super::here(borrower.global, env, borrower.clock, Some(command)),
        // They know what can be typed, and look at no login.
        Some(command @ (Command::Completions(_) | Command::Complete(_))) => {
            super::here(borrower.global, env, borrower.clock, Some(command))
        }
        Some(_) => Err(borrower.needs_store("this command")),
    }
}

impl Borrower<'_> {
    fn needs_store(&self, what: &str) -> CommandError {
        let socket = clean(&self.socket.to_string_lossy());
        let message = format!(
            "{what} works on logins, and CODERCLAW_SOCKET says that they are behind {socket}; type it where they are, or \
             unset the variable"
        );
        CommandError::new(Code::NeedsStore, message)
    }

    fn connect(&self) -> Result<(TokenSocket, Welcome), CommandError> {
        if self.key.is_none() {
            let message = format!("{KEY} is not set: the token socket wants a key of the gateway");
            return Err(CommandError::new(Code::GatewayKeyRefused, message));
        }
        let (socket, welcome) = TokenSocket::connect(self.socket, self.key.clone())?;
        if let Some(agent) = &self.global.agent
            && *agent != welcome.agent_id
        {
            let message = format!(
                "the key \"{}\" lends the logins of agent {}, not of agent {}",
                clean(&welcome.key_name),
                clean(&welcome.agent_id),
                clean(agent)
            );
            return Err(CommandError::new(Code::GatewayKeyRefused, message));
        }
        Ok((socket, welcome))
    }

    fn lease(&self, loan: &LoanArgs) -> Result<BorrowedLease, CommandError> {
        if loan.session.is_some() {
            return Err(self.needs_store("--session"));
        }
        let (mut socket, _) = self.connect()?;
        let span = loan.min_validity.unwrap_or_default();
        Ok(socket.lend(LendRequest {
            provider: loan.provider.clone(),
            profile: loan.profile.clone(),
            min_validity_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        })?)
    }

    /// By this machine's clock: what counts is how long it works from now on.
    fn valid_until(&self, lease: &BorrowedLease) -> Option<Millis> {
        let left = lease.valid_for_ms.map(std::time::Duration::from_millis)?;
        Some(self.clock.now().plus(left))
    }

    fn token(&self, args: &TokenArgs) -> Result<Report, CommandError> {
        if args.verify {
            return Err(self.needs_store("--verify"));
        }
        let lease = self.lease(&args.loan)?;
        let lent = token::Lent {
            provider: &lease.provider,
            profile_id: lease.profile_id.as_deref(),
            source: &lease.source,
            token: lease.token.as_ref(),
            token_type: &lease.token_type,
            headers: pairs(&lease.header).collect(),
            env: pairs(&lease.env).collect(),
            account_id: lease.account_id.as_deref(),
            valid_until: self.valid_until(&lease),
            generation: Some(lease.generation),
        };
        let format = if self.global.json { TokenFormat::Json } else { args.format.unwrap_or_default() };
        Ok(token::report(&lent, |_| lease.fingerprint.clone(), format, self.global.quiet))
    }

    fn exec(&self, args: &ExecArgs) -> Result<Report, CommandError> {
        let (program, arguments) = args.command.split_first().ok_or_else(|| {
            CommandError::new(Code::Usage, "a program is wanted").hint("coderclaw exec --help".into())
        })?;
        let lease = self.lease(&args.loan)?;
        if lease.env.is_empty() && lease.token.is_some() {
            let provider = clean(&lease.provider);
            let message =
                format!("{provider} names no variable for such a credential, so there is no way to lend it");
            let hint = format!("coderclaw models auth token --provider {provider} --format json");
            return Err(CommandError::new(Code::Usage, message).hint(hint));
        }
        if !self.global.quiet && !self.global.json {
            let names: Vec<&str> = lease.env.iter().map(|one| one.name.as_str()).collect();
            let whose = lease.profile_id.as_deref().unwrap_or(&lease.source);
            let told = match lease.token {
                None => format!("{}: no credential needed", lease.provider),
                Some(_) => exec::told_of(&names, whose, self.valid_until(&lease), self.clock.now()),
            };
            say(&clean(&told));
        }
        Err(exec::start(program, arguments, lease.unset.iter().map(String::as_str), pairs(&lease.env)))
    }

    fn status(&self, args: &StatusArgs) -> Result<Report, CommandError> {
        let asked = [
            (args.plain, "--plain"),
            (args.probe, "--probe"),
            (args.usage, "--usage"),
            (args.watch, "--watch"),
        ];
        if let Some((_, flag)) = asked.iter().find(|(is_asked, _)| *is_asked) {
            return Err(self.needs_store(flag));
        }
        let (mut socket, welcome) = self.connect()?;
        let listing = socket.list()?;
        let report = if self.global.json {
            Report::json(&self.status_json(&welcome, &listing))
        } else {
            Report::text(self.words(&welcome, &listing))
        };
        Ok(report.exit(if args.check { check(&listing) } else { 0 }))
    }

    /// The keys of `models status --json`, as far as they can be known here.
    fn status_json(&self, welcome: &Welcome, listing: &Listing) -> Value {
        let now = self.clock.now();
        let profiles = listing.profiles.iter().map(|one| {
            json!({
                "profileId": one.profile_id,
                "provider": one.provider,
                "type": one.kind,
                "status": one.status,
                "state": one.state,
                "expiresAt": one.expires_in_ms.map(|left| Millis(now.0.saturating_add(left))),
                "remainingMs": one.expires_in_ms,
                "refreshable": one.refreshable,
                "fingerprint": one.fingerprint,
                "source": "socket",
            })
        });
        let providers = listing.providers.iter().map(|one| {
            let winner =
                one.source.as_ref().map(|source| json!({"profileId": one.profile_id, "source": source}));
            json!({"provider": one.provider, "winner": winner})
        });
        json!({
            "socket": {"path": self.socket, "server": welcome.server, "keyId": welcome.key_id, "keyName": welcome.key_name},
            "agentId": listing.agent_id,
            "auth": {
                "providers": providers.collect::<Vec<_>>(),
                "oauth": {"profiles": profiles.collect::<Vec<_>>()},
            },
        })
    }

    fn words(&self, welcome: &Welcome, listing: &Listing) -> String {
        let now = self.clock.now();
        let head = format!(
            "Agent {} behind {}, with the key {}",
            listing.agent_id,
            self.socket.display(),
            welcome.key_name
        );
        let mut out: String =
            text::wrap(&clean(&head), text::width()).iter().map(|line| format!("{line}\n")).collect();
        if listing.profiles.is_empty() && listing.providers.is_empty() {
            out.push_str("\nThere is no login that this key is for.\n");
        }
        for provider in &listing.providers {
            out.push_str(&format!("\n{}  ({})\n", clean(&provider.provider), clean(&provider.name)));
            let of = listing.profiles.iter().filter(|one| one.provider.as_ref() == Some(&provider.provider));
            for profile in of {
                let mark =
                    if provider.profile_id.as_ref() == Some(&profile.profile_id) { '→' } else { ' ' };
                let mut facts = vec![profile.state.clone()];
                if let Some(left) = profile.expires_in_ms {
                    let (word, at) =
                        (if left > 0 { "ends" } else { "ended" }, Millis(now.0.saturating_add(left)));
                    facts.push(format!("{word} {}", text::when(at, now)));
                }
                if profile.refreshable {
                    facts.push("renews itself over there".into());
                }
                facts.extend(profile.fingerprint.as_ref().map(|one| format!("#{one}")));
                out.push_str(&format!("{mark} {}\n", clean(&profile.profile_id)));
                for line in text::wrap(&clean(&facts.join(" · ")), text::width().saturating_sub(4)) {
                    out.push_str(&format!("    {line}\n"));
                }
            }
            match (&provider.profile_id, &provider.source) {
                (None, Some(source)) => {
                    out.push_str(&format!("→ {}  a key from outside the store\n", clean(source)));
                }
                (None, None) => out.push_str("  nothing of this can be used now\n"),
                _ => {}
            }
        }
        out
    }
}

/// As `models status --check` has it.
fn check(listing: &Listing) -> u8 {
    let has = |word: &str| listing.profiles.iter().any(|profile| profile.status == word);
    let unserved = listing.providers.iter().any(|provider| provider.source.is_none());
    if unserved || has("expired") || has("missing") {
        1
    } else if has("expiring") {
        2
    } else {
        0
    }
}

fn pairs(all: &[Pair]) -> impl Iterator<Item = (&str, &Secret)> {
    all.iter().map(|one| (one.name.as_str(), &one.value))
}

impl From<SocketError> for CommandError {
    fn from(error: SocketError) -> Self {
        let out = Self::new(error.code(), error.to_string());
        match error {
            SocketError::Refused { complaint } => {
                let out = out.until(complaint.until);
                match complaint.hint {
                    Some(hint) => out.hint(hint),
                    None => out,
                }
            }
            SocketError::Down { .. } | SocketError::Lost { .. } => out,
        }
    }
}
