//! `gateway run`: serves until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use coderclaw_auth::Runner;
use coderclaw_gateway::{Gateway, Limits, Note, Options, Tell, TlsFiles, Trouble};
use coderclaw_types::{AgentId, Clock, Code, Env, ProfileId};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::port;
use crate::args::GatewayRunArgs;
use crate::commands::status::answer_to;
use crate::commands::{Context, own_program};
use crate::error::{CommandError, Next, login_for};
use crate::report::{Report, say};
use crate::text;

pub(super) fn run(context: &Context, env: Env, args: &GatewayRunArgs) -> Result<Report, CommandError> {
    let clock = context.auth.clock().clone();
    let socket = args.socket.as_ref().map(|path| env.cwd().join(path));
    let options = Options {
        address: SocketAddr::new(args.bind, port(context, args.port)?),
        tls: tls(&env, args),
        socket: (!args.no_socket).then(|| socket.unwrap_or_else(|| context.auth.state().token_socket())),
        env,
        clock: clock.clone(),
        runner: Runner::Process(own_program()),
        tell: tell(context, clock),
        next_command,
        next_for_profile: answer_to,
        local_time: text::local,
        limits: Limits::default(),
    };
    more_files();
    // One thread waits for everybody; what reads files has threads of its own. The runtime for many threads would bring a
    // shared library (libm) into this program, which every command would pay for at its start.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CommandError::new(Code::Internal, format!("the network cannot be used: {e}")))?;
    let result = runtime.block_on(serve(context, options));
    // A refresh that was waited for goes on in a process of its own.
    runtime.shutdown_background();
    result
}

/// Both or neither: the arguments are parsed so.
fn tls(env: &Env, args: &GatewayRunArgs) -> Option<TlsFiles> {
    let (cert, key) = (args.tls_cert.as_ref()?, args.tls_key.as_ref()?);
    Some(TlsFiles { cert: env.cwd().join(cert), key: env.cwd().join(key) })
}

async fn serve(context: &Context, options: Options) -> Result<Report, CommandError> {
    let drain = options.limits.drain;
    // Before anybody is told that it runs: whoever reads that may stop it at once.
    let mut signals = Signals::new()?;
    let gateway = Gateway::bind(options).await?;
    let scheme = if gateway.is_tls() { "https" } else { "http" };
    let address = format!("{scheme}://{}", gateway.address());
    if context.global.json {
        let (port, pid) = (gateway.address().port(), std::process::id());
        let line = json!({"address": address, "port": port, "pid": pid, "socket": gateway.socket()});
        writeln!(std::io::stdout().lock(), "{line}").ok();
    } else if !context.global.quiet {
        say(&format!(
            "Listening on {address}. Ctrl-C ends it; `coderclaw gateway keys add NAME` lets a program in, `coderclaw gateway \
             open` a browser."
        ));
        if let Some(socket) = gateway.socket() {
            say(&format!("Token socket: {}", text::clean(&socket.to_string_lossy())));
        }
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut serving = pin!(gateway.run(async {
        // Also where the sender is gone: then there is nobody left to wait for.
        let _asked = stopped.await;
    }));
    tokio::select! {
        _ = &mut serving => {}
        () = signals.next() => {}
    }
    drop(stop);
    if !context.global.quiet && !context.global.json {
        say(&format!(
            "Finishing answers under way, for at most {} s; once more ends it now.",
            drain.as_secs()
        ));
    }
    let all_finished = tokio::select! {
        finished = &mut serving => finished,
        () = signals.next() => false,
    };
    if !all_finished && !context.global.quiet {
        say("Some answers were cut off.");
    }
    Ok(Report::default())
}

/// Being told to stop: by Ctrl-C, or by whoever runs services.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, CommandError> {
        let hear = |kind| {
            signal(kind)
                .map_err(|e| CommandError::new(Code::Internal, format!("signals cannot be heard: {e}")))
        };
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn tell(context: &Context, clock: Clock) -> Tell {
    let (is_quiet, is_verbose) = (context.global.quiet, context.global.verbose);
    Arc::new(move |note: Note| {
        if !is_quiet && (is_verbose || !note.is_detail) {
            say(&format!("{} {}", text::local(clock.now()), text::clean(&note.text)));
        }
    })
}

fn next_command(trouble: &Trouble<'_>) -> String {
    Next {
        code: trouble.code,
        login: trouble.manifest.map_or("login", |manifest| login_for(manifest, trouble.code)),
        provider: trouble.manifest.map(|manifest| manifest.id.as_ref()),
        profile: trouble.profile.map(ProfileId::as_str),
        agent: trouble.agent.map(AgentId::as_str),
        other: trouble.other.map(AgentId::as_str),
    }
    .command()
}

/// Each answer under way takes two file descriptors. Where the system allows no more, it stays as it is.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _is_raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
