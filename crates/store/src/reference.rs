//! A secret that is kept elsewhere: what an entry or the config has in its place.

use std::time::Duration;

use serde_json::{Value, json};

/// Nobody waits longer for a helper.
const LONGEST: Duration = Duration::from_secs(120);
/// Longer than this nobody keeps what a helper gave.
const LONGEST_TTL: Duration = Duration::from_secs(30 * 86_400);

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this variable.
    Env(String),
    /// In this file; a leading `~` is the home folder.
    File(String),
    /// A program prints it. No shell looks at the arguments.
    Exec(Vec<String>),
    /// In 1Password, whose own command line reads it: an `op://` address.
    OnePassword(String),
}

/// A secret that is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where.
    pub place: Place,
    /// What a program gave is used for so long, by all processes; `None`: it is asked for every time.
    pub ttl: Option<Duration>,
    /// So long a program may take.
    pub timeout: Duration,
}

impl Reference {
    /// From what a person types: `env:NAME`, `file:PATH`, `exec:COMMAND` or `op://VAULT/ITEM/FIELD`.
    ///
    /// # Errors
    /// Why it is none. The text is not repeated: it may be a secret that was pasted in its place.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let rest = |prefix| text.strip_prefix(prefix).map(str::trim).filter(|rest: &&str| !rest.is_empty());
        let place = if let Some(name) = rest("env:") {
            let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(ok) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("env: wants the name of a variable");
            }
            Place::Env(name.to_owned())
        } else if let Some(path) = rest("file:") {
            Place::File(path.to_owned())
        } else if let Some(command) = rest("exec:") {
            let words =
                shlex::split(command).filter(|words| words.first().is_some_and(|word| !word.is_empty()));
            Place::Exec(words.ok_or("exec: wants a program and its arguments, with quotes that match")?)
        } else if text.starts_with("op://") && text.len() > 5 && !text.chars().any(char::is_control) {
            Place::OnePassword(text.to_owned())
        } else {
            return Err("a reference is env:NAME, file:PATH, exec:COMMAND or op://VAULT/ITEM/FIELD");
        };
        Ok(Self { timeout: Self::usual_timeout(&place), place, ttl: None })
    }

    /// Whether the text has the form of a reference, so that it is no secret itself.
    pub fn is_one(text: &str) -> bool {
        ["env:", "file:", "exec:", "op://"].iter().any(|prefix| text.trim_start().starts_with(prefix))
    }

    /// From the `keyRef` or `tokenRef` of an entry: the text that a person types, or an object with `source`.
    ///
    /// # Errors
    /// Why it cannot be followed.
    pub fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(map) = value else {
            let text = value.as_str().ok_or("it is neither a text nor an object")?;
            return Ok(Self::parse(text)?);
        };
        let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let span = |key: &str, most: Duration| match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_str().and_then(seconds).filter(|span| *span <= most).map(Some).ok_or_else(|| {
                    format!("`{key}` wants a time such as \"30s\" or \"1h\", at most {} s", most.as_secs())
                })
            }
        };
        let id = || text("id").ok_or_else(|| "it has no `id`".to_owned());
        let source = text("source").ok_or("it has no `source`")?;
        let mut made = match source {
            "env" => Self::parse(&format!("env:{}", id()?))?,
            "op" => Self::parse(id()?)?,
            "file" if text("path").is_some() => {
                Self::parse(&format!("file:{}", text("path").unwrap_or_default()))?
            }
            "exec" if map.contains_key("command") => {
                let list = map.get("command").and_then(Value::as_array).into_iter().flatten();
                let words: Option<Vec<String>> = list.map(|word| word.as_str().map(str::to_owned)).collect();
                let words = words.filter(|words| words.first().is_some_and(|word| !word.is_empty()));
                let place = Place::Exec(words.ok_or("`command` wants a list: a program and its arguments")?);
                Self { timeout: Self::usual_timeout(&place), place, ttl: None }
            }
            "file" | "exec" => {
                let provider = text("provider").unwrap_or("default");
                return Err(format!(
                    "it names \"{provider}\" of OpenClaw's own secrets settings, which are not read here"
                ));
            }
            _ => return Err("its `source` is none of env, file, exec, op".to_owned()),
        };
        made.ttl = span("ttl", LONGEST_TTL)?;
        if let Some(timeout) = span("timeout", LONGEST)? {
            made.timeout = timeout;
        }
        Ok(made)
    }

    fn usual_timeout(place: &Place) -> Duration {
        // 1Password may ask a person for a finger.
        Duration::from_secs(if matches!(place, Place::OnePassword(_)) { 60 } else { 10 })
    }

    /// With other times.
    ///
    /// # Errors
    /// Where nothing is run, or a time is out of bounds.
    pub fn timed(mut self, ttl: Option<Duration>, timeout: Option<Duration>) -> Result<Self, &'static str> {
        if (ttl.is_some() || timeout.is_some()) && !self.runs() {
            return Err("a lifetime and a time limit belong to exec: and op://, which run a program");
        }
        let whole = |span: &Duration| span.as_secs() > 0 && span.subsec_nanos() == 0;
        if ttl.as_ref().is_some_and(|ttl| *ttl > LONGEST_TTL || !whole(ttl)) {
            return Err("a lifetime is whole seconds, and at most 30 days");
        }
        if timeout.as_ref().is_some_and(|limit| *limit > LONGEST || !whole(limit)) {
            return Err("a time limit is whole seconds, and at most two minutes");
        }
        self.ttl = ttl;
        self.timeout = timeout.unwrap_or(self.timeout);
        Ok(self)
    }

    /// Whether a program has to be run for it.
    pub fn runs(&self) -> bool {
        matches!(self.place, Place::Exec(_) | Place::OnePassword(_))
    }

    /// As it stands in an entry.
    pub fn to_json(&self) -> Value {
        let usual = self.timeout == Self::usual_timeout(&self.place);
        let mut value = match &self.place {
            Place::Env(name) => return json!(format!("env:{name}")),
            Place::File(path) => return json!(format!("file:{path}")),
            Place::OnePassword(address) if usual && self.ttl.is_none() => return json!(address),
            Place::OnePassword(address) => json!({"source": "op", "id": address}),
            Place::Exec(command) => json!({"source": "exec", "command": command}),
        };
        if let Some(ttl) = self.ttl {
            value["ttl"] = json!(format!("{}s", ttl.as_secs()));
        }
        if !usual {
            value["timeout"] = json!(format!("{}s", self.timeout.as_secs()));
        }
        value
    }
}

/// For people: without a program's arguments, which may hold anything.
impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Env(name) => write!(f, "env:{name}"),
            Place::File(path) => write!(f, "file:{path}"),
            Place::OnePassword(address) => f.write_str(address),
            Place::Exec(command) => {
                let more = if command.len() > 1 { " ..." } else { "" };
                write!(f, "exec:{}{more}", command.first().map_or("", String::as_str))
            }
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(unit)?)).filter(|span| !span.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["env:ACME_KEY", "file:~/keys/acme", "op://vault/item/field", "exec:helper --as 'a b'"] {
            let one = Reference::parse(text).unwrap();
            assert_eq!(Reference::read(&one.to_json()).unwrap(), one, "{text}");
        }
        for text in ["op://vault/item/field", "exec:helper"] {
            let one = Reference::parse(text).unwrap();
            let timed = one.timed(Some(Duration::from_secs(3600)), Some(Duration::from_secs(5))).unwrap();
            assert_eq!(Reference::read(&timed.to_json()).unwrap(), timed);
        }
        let theirs = json!({"source": "env", "provider": "default", "id": "OPENAI_API_KEY"});
        assert_eq!(Reference::read(&theirs).unwrap().to_string(), "env:OPENAI_API_KEY");
        assert_eq!(Reference::parse("exec:helper --key canary").unwrap().to_string(), "exec:helper ...");
    }

    #[test]
    fn what_cannot_be_followed_says_why_and_repeats_nothing() {
        for bad in
            ["", "sk-canary", "env:", "env:A-B", "env:1A", "exec:", "exec:'a", "op://", "file:", "op:x"]
        {
            let why = Reference::parse(bad).unwrap_err();
            assert!(!why.contains("canary"), "{bad}: {why}");
        }
        for (bad, said) in [
            (json!(1), "neither"),
            (json!({}), "`source`"),
            (json!({"source": "vault", "id": "x"}), "none of"),
            (json!({"source": "env"}), "`id`"),
            (json!({"source": "file", "provider": "mounted", "id": "/a"}), "\"mounted\""),
            (json!({"source": "exec", "command": []}), "`command`"),
            (json!({"source": "exec", "command": ["x"], "ttl": "soon"}), "`ttl`"),
            (json!({"source": "exec", "command": ["x"], "timeout": "1h"}), "`timeout`"),
        ] {
            let why = Reference::read(&bad).unwrap_err();
            assert!(why.contains(said), "{bad}: {why}");
        }
        let env = Reference::parse("env:A").unwrap();
        assert!(env.timed(Some(Duration::from_secs(60)), None).is_err());
    }
}
