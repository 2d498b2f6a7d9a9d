//! What a person sees while a login waits, and what they paste.

use std::io::IsTerminal;
use std::path::PathBuf;

use coderclaw_auth::{CodeWait, LoginUi, LoginWait, Pastes};
use coderclaw_store::{WriteError, write_private};
use coderclaw_types::Env;

use super::qr::qr;
use super::remote::{Facts, Remote, has_opener, remote};
use crate::commands::Context;
use crate::report::say;
use crate::text::{clean, width, wrap};

pub(super) struct Screen {
    remote: Option<Remote>,
    opens: bool,
    qr: bool,
    url_file: Option<PathBuf>,
    quiet: bool,
    /// Standard error is a terminal that may be sent escape sequences.
    escapes: bool,
    colours: bool,
    /// Somebody sits at standard input.
    typed: bool,
}

impl Screen {
    pub(super) fn new(context: &Context, no_browser: bool, qr: bool, url_file: Option<&str>) -> Self {
        let env = context.auth.env();
        let remote = remote(env, Facts::here());
        let escapes = std::io::stderr().is_terminal() && env.get("TERM") != Some("dumb");
        Self {
            remote,
            opens: !no_browser && opens(env),
            qr,
            url_file: url_file.map(|path| env.resolve(path)),
            quiet: context.global.quiet,
            escapes,
            colours: escapes && !context.global.no_color && env.get("NO_COLOR").is_none(),
            typed: std::io::stdin().is_terminal(),
        }
    }

    /// Shows a page, and opens it where a browser can be opened.
    pub(super) fn page(&self, url: &str) {
        self.words(if self.opens {
            "A browser opens this page:\n"
        } else {
            "Open this page in a browser:\n"
        });
        say(url);
        self.words("");
        if self.opens {
            open(url.to_owned());
        }
    }

    /// Words, broken between words; an address never is.
    fn words(&self, text: &str) {
        if !self.quiet {
            say(&wrap(text, width()).join("\n"));
        }
    }

    fn untested(&self, is: bool) {
        if is {
            self.words(
                "Nobody has tried this login against its vendor: it follows what is written about it.",
            );
        }
    }

    fn show_qr(&self, url: &str) {
        let Some(lines) = qr(url, self.colours) else {
            return self.words("The address is too long for a QR code.");
        };
        // Two columns of margin on either side; the height is half the width.
        let wanted = lines.len() * 2 - 1;
        if self.escapes && wanted > width() {
            let text = format!("The QR code needs {wanted} columns, and this terminal has {}.", width());
            return self.words(&text);
        }
        say(&format!("{}\n", lines.join("\n")));
    }
}

impl LoginUi for Screen {
    fn waiting(&mut self, wait: &LoginWait<'_>) -> Result<(), WriteError> {
        if let Some(path) = &self.url_file {
            write_private(path, format!("{}\n", wait.url).as_bytes())?;
        }
        let where_to = if self.opens { "A browser opens this page" } else { "Open this page in a browser" };
        self.words(&format!("{where_to} to log in to {}:\n", wait.provider));
        // One line, however narrow the terminal is: it wraps it by itself, and can put it together again.
        say(wait.url);
        if self.escapes && !self.quiet {
            say(&format!("\n\u{1b}]8;;{}\u{1b}\\[the same as a link]\u{1b}]8;;\u{1b}\\", wait.url));
        }
        self.words("");
        if self.qr {
            self.show_qr(wait.url);
        }
        if let Some(path) = &self.url_file {
            self.words(&format!("The address is in {} too.", path.display()));
        }
        self.untested(wait.untested);
        if let Some(email) = wait.renews {
            let email = clean(email);
            self.words(&format!(
                "It renews the login of {email}. For another account, name it with --expect EMAIL."
            ));
        }
        if let Some(why) = wait.why_not {
            self.words(&format!("The browser cannot come back by itself: {why}."));
        }
        let place = self.remote.map(|remote| format!("This is {}. ", remote.words())).unwrap_or_default();
        match (wait.listening.is_some(), wait.can_paste && self.typed) {
            (true, true) => self.words(&format!(
                "{place}Waiting for the browser. If it runs on another machine, its last page will not load: copy \
                 the address of that page and paste it here."
            )),
            (true, false) => self.words(&format!("{place}Waiting for the browser on this machine.")),
            (false, true) => self.words(&format!(
                "{place}After signing in, the browser ends at {}, which may not load: copy the address of that \
                 page and paste it here.",
                wait.redirect_uri
            )),
            (false, false) => self.words("Waiting for that page's address on standard input."),
        }
        self.words("Ctrl-C ends the login and changes nothing.");
        if self.opens {
            open(wait.url.to_owned());
        }
        Ok(())
    }

    fn code(&mut self, wait: &CodeWait<'_>) -> Result<(), WriteError> {
        let link = wait.complete.unwrap_or(wait.page);
        let code = clean(wait.user_code);
        if !wait.alone {
            self.words("");
            self.words("Or type in this code on any device:\n");
            say(&format!("{code}  at  {}", wait.page));
            self.words("");
            return Ok(());
        }
        if let Some(path) = &self.url_file {
            write_private(path, format!("{link}\n").as_bytes())?;
        }
        let opens = self.opens && wait.only_way;
        let where_to = if opens { "A browser opens this page" } else { "Open this page on any device" };
        self.words(&format!("{where_to} to log in to {}:\n", wait.provider));
        say(wait.page);
        if self.escapes && !self.quiet {
            say(&format!("\n\u{1b}]8;;{link}\u{1b}\\[the same as a link]\u{1b}]8;;\u{1b}\\"));
        }
        self.words("\nand type in this code:\n");
        say(&code);
        self.words("");
        if self.qr {
            self.show_qr(link);
        }
        if let Some(path) = &self.url_file {
            self.words(&format!("The address is in {} too.", path.display()));
        }
        self.untested(wait.untested);
        let minutes = wait.lifetime.as_secs().div_ceil(60);
        let span = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
        self.words(&format!(
            "It is good for {span}. Whoever types it in lets this machine use their account: type in no code that somebody \
             else has sent you."
        ));
        self.words("Ctrl-C ends the login and changes nothing.");
        if opens {
            open(link.to_owned());
        }
        Ok(())
    }

    fn pastes(&mut self) -> Option<Pastes> {
        can_be_read().then(|| Pastes::read(std::io::stdin()))
    }

    fn said(&mut self, text: &str) {
        say(&wrap(text, width()).join("\n"));
    }
}

/// Whether a browser that is opened from here is one that the person sees.
pub(super) fn opens(env: &Env) -> bool {
    remote(env, Facts::here()).is_none() || has_opener(env)
}

/// Some programs that open browsers wait for them. Nobody waits for this thread, and a failure costs nothing: the address
/// is on the screen.
pub(super) fn open(url: String) {
    let thread = std::thread::Builder::new().name("browser".into());
    drop(thread.spawn(move || {
        let quiet = webbrowser::BrowserOptions::new().with_suppress_output(true).clone();
        webbrowser::open_browser_with_options(webbrowser::Browser::Default, &url, &quiet).ok();
    }));
}

/// A terminal, unless the program runs in its background, where reading would stop it; a pipe or a file. Not /dev/null.
fn can_be_read() -> bool {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
    }
    let Ok(stat) = rustix::fs::fstat(&stdin) else { return false };
    use rustix::fs::FileType;
    matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket | FileType::RegularFile)
}
