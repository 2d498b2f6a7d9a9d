//! The sandbox as a process of its own, for tests in other languages: it prints `{"origin": ...}` and runs until its
//! standard input closes. `--admin` opens `/admin/`.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use coderclaw_sandbox::{Options, Sandbox};
use coderclaw_types::{Clock, Millis};

#[expect(clippy::disallowed_methods, reason = "a binary is where the system's clock comes in")]
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn serve(admin: bool) -> io::Result<()> {
    let sandbox = Sandbox::start(Options { admin, ..Options::new(Clock::from_fn(now)) })?;
    let mut out = io::stdout();
    writeln!(out, "{}", serde_json::json!({ "origin": sandbox.origin() }))?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve(false),
        ["--admin"] => serve(true),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: coderclaw-sandbox [--admin]")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            writeln!(io::stderr(), "coderclaw-sandbox: {e}").ok();
            ExitCode::FAILURE
        }
    }
}
