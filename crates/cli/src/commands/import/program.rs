//! `import codex` and `import claude`: what those programs keep in a file of their own.

use std::path::PathBuf;

use coderclaw_auth::{ImportReport, ImportVerdict, Program};
use coderclaw_types::Code;

use super::{Done, in_words, report};
use crate::args::{LoginWish, ProgramArgs};
use crate::commands::{Context, login};
use crate::error::CommandError;
use crate::report::{Report, say};
use crate::secret_input;
use crate::text::{self, clean};

/// What a person wants instead of sharing one login.
enum Wish {
    Login,
    Share,
    Leave,
}

pub(super) fn run(context: &Context, program: Program, args: &ProgramArgs) -> Result<Report, CommandError> {
    let agent = context.agent()?;
    let from: Option<PathBuf> = args.from.as_deref().map(|path| context.auth.env().resolve(path));
    let import = |share: bool, dry_run: bool| {
        let done = context.auth.import_program(&agent, program, from.as_deref(), share, dry_run);
        done.map_err(in_words)
    };
    let done = |report: ImportReport| Done { reports: vec![report], left: vec![], program: program.name() };
    let plan = import(args.share, true)?;
    if args.dry_run {
        return Ok(report(context, &done(plan)));
    }
    let kept_back = plan.entries.iter().find(|entry| entry.verdict == ImportVerdict::NotShared);
    let Some(entry) = kept_back else {
        return Ok(report(context, &done(import(args.share, false)?)));
    };
    if context.global.json || !secret_input::has_terminal() {
        let message = format!(
            "{} is {}'s own login, and its refresh token works once: two programs that share it log each other out. Log in \
             here as well, or take it all the same with --share; nothing was imported",
            clean(entry.profile.as_str()),
            program.name()
        );
        return Err(CommandError::new(Code::InputRequired, message).hint(fresh_login(program)));
    }
    match ask(program, entry.profile.as_str())? {
        Wish::Share => Ok(report(context, &done(import(true, false)?))),
        Wish::Leave => Ok(report(context, &done(import(false, false)?))),
        Wish::Login => {
            let provider = entry.provider.as_ref().map_or("openai-codex", |provider| provider.as_str());
            // What needs no login comes in first: the login may be given up.
            let rest = import(false, false)?;
            if rest.taken().next().is_some() {
                say(super::words(context, &done(rest)).trim_end());
            }
            login::and_report(context, provider, LoginWish::default())
        }
    }
}

/// The command that gives a login of this program's own.
pub(super) fn fresh_login(program: Program) -> String {
    match program {
        Program::Codex => "coderclaw models auth login --provider openai-codex".into(),
        Program::Claude => "coderclaw models auth setup-token".into(),
    }
}

fn ask(program: Program, profile: &str) -> Result<Wish, CommandError> {
    let name = program.name();
    let words = format!(
        "{} is {name}'s own login. Its refresh token works once, so whichever program refreshes it first logs the other one \
         out. A login of its own here leaves {name}'s as it is.",
        clean(profile)
    );
    say(&text::wrap(&words, text::width()).join("\n"));
    say("  1  Log in here as well, in the browser");
    say(&format!("  2  Share {name}'s login all the same"));
    say("  3  Leave it");
    loop {
        let answer = secret_input::ask("Which? [1]")?;
        let cancelled = || CommandError::new(Code::InputRequired, "cancelled; nothing was imported");
        match answer.ok_or_else(cancelled)?.as_str() {
            "" | "1" => return Ok(Wish::Login),
            "2" => return Ok(Wish::Share),
            "3" => return Ok(Wish::Leave),
            _ => {}
        }
    }
}
