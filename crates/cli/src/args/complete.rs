//! What the shells' completions are made of.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that you type in
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// eval "$(coderclaw completions bash)" in ~/.bashrc
    Bash,
    /// eval "$(coderclaw completions zsh)" in ~/.zshrc
    Zsh,
    /// coderclaw completions fish | source, in config.fish
    Fish,
    /// ... | Out-String | Invoke-Expression, in $PROFILE
    #[value(name = "powershell", alias = "pwsh")]
    Pwsh,
}

/// What a shell's completion asks.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// What has been typed of the word that is completed; glued to the flag, since some shells drop empty words
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub(crate) word: OsString,
    /// The words before it, without the program's name
    #[arg(last = true, value_name = "WORD")]
    pub(crate) before: Vec<OsString>,
}
