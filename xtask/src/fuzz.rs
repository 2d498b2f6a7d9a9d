//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, guided by coverage, on the stable compiler.
//!
//! The compiler's own pass counts the edges; no sanitizer is linked, since nothing here is `unsafe`. What is found is kept
//! below `target/fuzz`, and belongs into `fuzz/corpus` once it is mended.

use std::path::Path;

use crate::program::Program;
use crate::repository::Repository;

/// How long each target is tried where nobody says otherwise.
pub(crate) const SECONDS: &str = "60";
/// The flags that cargo-fuzz gives, without a sanitizer.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    // The tables of the counters are reached through symbols that a linker makes, and would be thrown away.
    "-Clink-arg=-Wl,-z,nostart-stop-gc",
];

/// Searches one target, or all of them one after the other.
pub(crate) fn fuzz(repository: &Repository, target: Option<&str>, seconds: &str) -> Result<(), String> {
    if !seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0) {
        return Err(format!("--seconds wants a number above 0, not `{seconds}`"));
    }
    let known = targets(repository)?;
    let chosen: Vec<&String> =
        known.iter().filter(|name| target.is_none_or(|target| target == *name)).collect();
    if chosen.is_empty() {
        return Err(format!("there is no such target; there are {}", known.join(", ")));
    }
    let triple = host()?;
    Program::cargo(&["build", "--package", "coderclaw-fuzz", "--bin", "guided", "--features", "guided"])
        // With a target of its own, build scripts and macros are not instrumented.
        .args(&["--profile", "fuzz", "--target", &triple])
        .env("RUSTFLAGS", FLAGS.join(" "))
        .inside(repository.root())
        .run()?;
    let target_dir = repository.target()?;
    let program = target_dir.join(&triple).join("fuzz/guided");
    let mut broken = Vec::new();
    for name in chosen {
        println!("\n== {name}, {seconds} s");
        let found = target_dir.join("fuzz").join(name);
        std::fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
        if let Err(why) = search(repository, &program, &found, name, seconds) {
            println!("{name}: {why}");
            broken.push(format!("{name} (see {})", found.display()));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {}", broken.join(", "))) }
}

fn search(
    repository: &Repository,
    program: &Path,
    found: &Path,
    name: &str,
    seconds: &str,
) -> Result<(), String> {
    let corpus = repository.path(&format!("fuzz/corpus/{name}"));
    let grown = found.join("corpus");
    std::fs::create_dir_all(&grown).map_err(|e| format!("{}: {e}", grown.display()))?;
    let limits =
        ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1", "-verbosity=1"];
    Program::new(program, &limits)
        .args(&[&format!("-max_total_time={seconds}"), &format!("-artifact_prefix={}/", found.display())])
        .args(&[&grown.to_string_lossy(), &corpus.to_string_lossy()])
        .env("CODERCLAW_FUZZ_TARGET", name)
        .run()
}

/// The targets are the folders of the corpus; a test of the crate holds the two together.
fn targets(repository: &Repository) -> Result<Vec<String>, String> {
    let folder = repository.path("fuzz/corpus");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn host() -> Result<String, String> {
    let text = Program::new("rustc", &["-vV"]).text()?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}
