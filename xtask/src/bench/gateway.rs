//! `cargo xtask bench gateway`: the gateway beside nginx, in front of the same upstream, with the same load, by turns.
//!
//! What a proxy costs is only told beside another one on the same machine in the same minute.

mod client;
mod programs;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use client::{first_bytes, hold_streams, median};
use programs::{Nginx, OurGateway, resident_mb, wrk};
use upstream::Upstream;

use crate::bench::table::{self, Table, judged};
use crate::bench::{PAGE, headline};
use crate::marked;
use crate::program::Program;
use crate::repository::Repository;

/// Clients at a time.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Each way is measured so often, by turns; medians are shown.
const ROUNDS: usize = 3;
/// How long wrk runs each time.
const SECONDS: u64 = 4;
/// Requests of which the first byte is timed, for each way.
const TIMED: usize = 1_000;
/// Open at once.
const STREAMS: usize = 1_000;

/// What the design allows.
const FIRST_BYTE_MS: f64 = 0.3;
const SHARE: f64 = 0.8;
const RESIDENT_MB: f64 = 40.0;

/// Measures the gateway, and prints it; with `write`, onto the page as well.
pub(crate) fn bench(repository: &Repository, write: bool) -> Result<(), String> {
    programs::installed()?;
    Program::cargo(&["build", "--release", "--package", "coderclaw"]).inside(repository.root()).run()?;
    let target = repository.target()?;
    let upstream = Upstream::start()?;
    let nginx = Nginx::start(upstream.address())?;
    let ours = OurGateway::start(&target.join("release/coderclaw"), upstream.address())?;
    let tables = [
        first_byte(&nginx, &ours, upstream.address())?,
        throughput(&nginx, &ours, upstream.address())?,
        open_streams(&ours, &upstream)?,
    ];
    let how = format!("each way of {ROUNDS} times {SECONDS} s, by turns, nginx with one worker beside it");
    let mut text = headline(&how)?;
    for table in &tables {
        text.push_str(&format!("\n{table}"));
    }
    print!("\n{text}");
    let changes = table::changes(&target.join("bench/last-gateway.tsv"), &tables)?;
    if !changes.is_empty() {
        println!("\nSince the last run here:\n  {}", changes.join("\n  "));
    }
    if write { marked::put(repository, PAGE, "bench gateway --write", &text) } else { Ok(()) }
}

fn first_byte(nginx: &Nginx, ours: &OurGateway, upstream: SocketAddr) -> Result<Table, String> {
    let ways =
        [("straight", upstream, ""), ("nginx", nginx.address(), ""), ("gateway", ours.address(), ours.key())];
    let mut timed = ways.map(|_| Vec::new());
    // By turns, so that what disturbs the machine disturbs all of them.
    for _ in 0..10 {
        for (times, (_, address, key)) in timed.iter_mut().zip(ways) {
            times.extend(first_bytes(address, key, TIMED / 10)?);
        }
    }
    let medians = timed.map(median);
    let title = "First byte of a streamed answer, 1 client that keeps its connection, median";
    let mut table = Table::new(title, &["way", "ms", "more than nginx", "budget", ""]);
    for ((name, ..), ms) in ways.iter().zip(medians) {
        let is_ours = *name == "gateway";
        let more = ms - medians[1];
        table.row([
            (*name).to_owned(),
            format!("{ms:.3}"),
            if is_ours { format!("{more:.3}") } else { String::new() },
            if is_ours { format!("{FIRST_BYTE_MS}") } else { String::new() },
            judged(more, is_ours.then_some(FIRST_BYTE_MS)).to_owned(),
        ]);
        table.figure(format!("first byte, {name}, ms"), ms);
    }
    Ok(table)
}

fn throughput(nginx: &Nginx, ours: &OurGateway, upstream: SocketAddr) -> Result<Table, String> {
    let columns = ["clients", "straight", "nginx", "gateway", "of nginx", "budget", ""];
    let mut table = Table::new("Requests a second, answers of 50 events", &columns);
    for clients in CLIENTS {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let ways = [(upstream, ""), (nginx.address(), ""), (ours.address(), ours.key())];
            for (rates, (address, key)) in rates.iter_mut().zip(ways) {
                rates.push(wrk(address, key, clients, Duration::from_secs(SECONDS))?);
            }
        }
        let [straight, by_nginx, by_us] = rates.map(median);
        let share = by_us / by_nginx;
        let has_budget = clients > 1;
        // The share is to be above its budget, so both are negated to be judged.
        let word = judged(-share, has_budget.then_some(-SHARE));
        table.row([
            clients.to_string(),
            format!("{straight:.0}"),
            format!("{by_nginx:.0}"),
            format!("{by_us:.0}"),
            format!("{share:.2}"),
            if has_budget { SHARE.to_string() } else { String::new() },
            word.to_owned(),
        ]);
        table.figure(format!("gateway, {clients} clients, requests/s"), by_us);
        table.figure(format!("gateway, {clients} clients, share of nginx"), share);
    }
    table.note("nginx: 1 worker, buffering off, connections to the upstream kept.");
    Ok(table)
}

fn open_streams(ours: &OurGateway, upstream: &Upstream) -> Result<Table, String> {
    let idle = resident_mb(ours.pid())?;
    let held = hold_streams(ours.address(), ours.key(), STREAMS)?;
    let open = resident_mb(ours.pid())?;
    upstream.release();
    drop(held);
    let mut table = Table::new("Memory of the gateway, resident", &["what", "MB", "budget", ""]);
    table.row(["after the load above".to_owned(), format!("{idle:.1}"), String::new(), String::new()]);
    table.row([
        format!("with {STREAMS} open streams"),
        format!("{open:.1}"),
        format!("{RESIDENT_MB}"),
        judged(open, Some(RESIDENT_MB)).to_owned(),
    ]);
    table.figure("resident with open streams, MB", open);
    Ok(table)
}
