//! What a person types in a chat, where it is a command. Pure: nothing is looked up here.

use coderclaw_types::Code;

/// A command of the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// `/model ...`, or `/ALIAS`.
    Model(ModelWish),
    /// `/models ...`
    Models(Listing),
    /// `/new [MODEL or message]`: another conversation under the same key, and what stands behind the word.
    New(Option<String>),
    /// `/reset`: the same without a message.
    Reset,
    /// `/unpin`: the user's own pin goes.
    Unpin,
    /// `/status`
    Status,
    /// `/help`
    Help,
    /// `/quit` or `/exit`
    Quit,
}

/// What `/model` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelWish {
    /// Tell the model and the account in use.
    Show,
    /// Tell which there are.
    List,
    /// Tell more about each.
    Status,
    /// Use this one: an alias or `provider/model`, perhaps with `@profile` behind it.
    Choose(String),
}

/// Which models are to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Only of this provider; without it, the providers.
    pub provider: Option<String>,
    /// Which page, from 1.
    pub page: usize,
    /// How many on a page; `None`: all of them.
    pub size: Option<usize>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { provider: None, page: 1, size: Some(PAGE) }
    }
}

/// How many models stand on a page where nothing is said, and how many at the most: the original's numbers.
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;
/// No model and profile together come near this.
const LONGEST: usize = 1_024;

/// A command that cannot be carried out as it stands. Nothing was changed, and nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlashError {
    /// No such command.
    #[error("there is no command /{0}; /help lists them. A space before it makes it a message")]
    Unknown(String),
    /// `/model list@x` or `/model @x`.
    #[error("a profile goes with a model: /model MODEL@PROFILE")]
    ProfileWithoutModel,
    /// `/model 3`
    #[error("models have no numbers here; say its name. /models lists them")]
    Number,
    /// More than one word behind `/model`.
    #[error("/{0} takes one name; nothing was changed and nothing was sent. Send the message after it")]
    MoreThanAName(String),
    /// Longer than any name.
    #[error("that is too long for a name")]
    TooLong,
    /// A page of `/models` that is none.
    #[error("\"{0}\" is neither a provider nor a page; say /models PROVIDER PAGE")]
    NoPage(String),
}

impl SlashError {
    /// The code of this failure.
    pub fn code(&self) -> Code {
        Code::Usage
    }
}

/// The command that `text` is; `None` where it is a message. `is_alias` says what `/NAME` may stand for besides the
/// commands themselves, which win.
///
/// # Errors
/// Where it is a command that cannot be carried out as it stands.
pub fn read_slash(text: &str, is_alias: impl Fn(&str) -> bool) -> Result<Option<Slash>, SlashError> {
    if !text.starts_with('/') {
        return Ok(None);
    }
    let word = &text[1..];
    let end = word.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(word.len());
    let (name, rest) = word.split_at(end);
    // A path, or a line of a program.
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Ok(None);
    }
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim();
    let alone = |command: Slash| match rest {
        "" => Ok(Some(command)),
        _ => Err(SlashError::MoreThanAName(name.to_owned())),
    };
    match name.to_ascii_lowercase().as_str() {
        "model" => model_wish(rest).map(|wish| Some(Slash::Model(wish))),
        "models" => listing(rest).map(|listing| Some(Slash::Models(listing))),
        "new" => Ok(Some(Slash::New((!rest.is_empty()).then(|| rest.to_owned())))),
        "reset" => alone(Slash::Reset),
        "unpin" => alone(Slash::Unpin),
        "status" => alone(Slash::Status),
        "help" => alone(Slash::Help),
        "quit" | "exit" => alone(Slash::Quit),
        _ if is_alias(name) => alone(Slash::Model(ModelWish::Choose(name.to_owned()))),
        _ => Err(SlashError::Unknown(name.to_owned())),
    }
}

fn model_wish(rest: &str) -> Result<ModelWish, SlashError> {
    let (head, profile) = rest.split_once('@').map_or((rest, None), |(head, rest)| (head, Some(rest)));
    match head.to_ascii_lowercase().as_str() {
        _ if rest.len() > LONGEST => Err(SlashError::TooLong),
        "" | "list" | "status" if profile.is_some() => Err(SlashError::ProfileWithoutModel),
        "" => Ok(ModelWish::Show),
        "list" => Ok(ModelWish::List),
        "status" => Ok(ModelWish::Status),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Err(SlashError::Number),
        // A profile's id may have spaces in it; a model's name has none.
        model if model.contains(char::is_whitespace) || rest.contains(char::is_control) => {
            Err(SlashError::MoreThanAName("model".into()))
        }
        _ => Ok(ModelWish::Choose(rest.to_owned())),
    }
}

/// `[provider] [page | page=N | limit=N | size=N | all]`
fn listing(rest: &str) -> Result<Listing, SlashError> {
    let mut listing = Listing::default();
    for (i, word) in rest.split_whitespace().enumerate() {
        let (key, value) = word.split_once('=').map_or(("page", word), |(key, value)| (key, value));
        let number = value.parse::<usize>().ok().filter(|n| *n > 0);
        match (key.to_ascii_lowercase().as_str(), number) {
            ("page", Some(page)) => listing.page = page,
            ("limit" | "size", Some(size)) => listing.size = Some(size.min(LARGEST_PAGE)),
            ("page", None) if word.eq_ignore_ascii_case("all") => listing.size = None,
            ("page", None) if i == 0 && !word.contains('=') => listing.provider = Some(word.to_owned()),
            _ => return Err(SlashError::NoPage(word.chars().take(64).collect())),
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<Slash>, SlashError> {
        read_slash(text, |name| name.eq_ignore_ascii_case("opus"))
    }

    fn choose(text: &str) -> Slash {
        Slash::Model(ModelWish::Choose(text.into()))
    }

    #[test]
    fn commands_as_people_type_them() {
        let table = [
            ("/model", Slash::Model(ModelWish::Show)),
            ("/MODEL: ", Slash::Model(ModelWish::Show)),
            ("/model list", Slash::Model(ModelWish::List)),
            ("/model:Status", Slash::Model(ModelWish::Status)),
            ("/model Opus@anthropic:work", choose("Opus@anthropic:work")),
            ("/model: openai/gpt-5.2", choose("openai/gpt-5.2")),
            (
                "/model Opus@openai-codex:me+news@x.test#ab cd",
                choose("Opus@openai-codex:me+news@x.test#ab cd"),
            ),
            ("/model cf/@hf/meta@p:x", choose("cf/@hf/meta@p:x")),
            ("/Opus", choose("Opus")),
            ("/opus:", choose("opus")),
            ("/new", Slash::New(None)),
            ("/new  Opus write a poem", Slash::New(Some("Opus write a poem".into()))),
            ("/reset", Slash::Reset),
            ("/unpin", Slash::Unpin),
            ("/status", Slash::Status),
            ("/help", Slash::Help),
            ("/exit", Slash::Quit),
        ];
        for (text, wanted) in table {
            assert_eq!(read(text), Ok(Some(wanted)), "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_a_message() {
        for text in [
            "",
            "hello",
            " /model",
            "what does /model do?",
            "/",
            "//",
            "/etc/passwd is there",
            "/ model",
            "/model/x",
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_and_not_sent() {
        let more = |name: &str| SlashError::MoreThanAName(name.into());
        let table = [
            ("/model list@x", SlashError::ProfileWithoutModel),
            ("/model @anthropic:work", SlashError::ProfileWithoutModel),
            ("/model status@x", SlashError::ProfileWithoutModel),
            ("/model 3", SlashError::Number),
            ("/model Opus and then tell me", more("model")),
            ("/model Opus@anthropic:work\nhello", more("model")),
            ("/opus hello", more("opus")),
            ("/reset now", more("reset")),
            ("/modle opus", SlashError::Unknown("modle".into())),
            ("/models acme zero", SlashError::NoPage("zero".into())),
            ("/models acme page=0", SlashError::NoPage("page=0".into())),
            ("/models acme fast=1", SlashError::NoPage("fast=1".into())),
        ];
        for (text, wanted) in table {
            assert_eq!(read(text), Err(wanted), "{text}");
        }
        assert_eq!(read(&format!("/model {}", "x".repeat(2_000))), Err(SlashError::TooLong));
    }

    #[test]
    fn pages_of_models() {
        let listing = |provider: Option<&str>, page, size| {
            Ok(Some(Slash::Models(Listing { provider: provider.map(str::to_owned), page, size })))
        };
        let table = [
            ("/models", listing(None, 1, Some(20))),
            ("/models acme", listing(Some("acme"), 1, Some(20))),
            ("/models acme 3", listing(Some("acme"), 3, Some(20))),
            ("/models acme page=2 limit=50", listing(Some("acme"), 2, Some(50))),
            ("/models acme size=5000", listing(Some("acme"), 1, Some(100))),
            ("/models acme all", listing(Some("acme"), 1, None)),
        ];
        for (text, wanted) in table {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_ends_the_program(text in "/?(model|models|new|opus)?[ :@]?.{0,40}") {
            if let Ok(Some(Slash::Model(ModelWish::Choose(name)))) = read(&text) {
                prop_assert!(text.contains(&name) && !name.is_empty());
            }
        }
    }
}
