//! Turns `manifests/*.toml` into tables, so that the program parses nothing to know its providers.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build script is no library: it reads its folder, writes its output and talks to cargo"
)]

use std::path::Path;
use std::{env, fs};

use manifest::{Manifest, Source};

#[path = "../src/apply.rs"]
mod apply;
#[path = "../src/checked.rs"]
mod checked;
mod emit;
#[path = "../src/endpoint.rs"]
#[allow(unreachable_pub, reason = "public in the library")]
mod endpoint;
#[path = "../src/manifest.rs"]
#[allow(dead_code, unreachable_pub, reason = "public in the library")]
mod manifest;
#[path = "../src/parse.rs"]
mod parse;
#[path = "../src/words.rs"]
#[allow(dead_code, unreachable_pub, reason = "public in the library")]
mod words;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=manifests");
    let mut all = Vec::new();
    for entry in fs::read_dir("manifests").map_err(|error| format!("manifests: {error}"))? {
        let path = entry.map_err(|error| format!("manifests: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            all.push(read(&path)?);
        }
    }
    all.sort_by(|a: &Manifest, b| a.id.cmp(&b.id));
    let out = env::var("OUT_DIR").map_err(|error| format!("OUT_DIR: {error}"))?;
    fs::write(Path::new(&out).join("built_in.rs"), emit::table(&all))
        .map_err(|error| format!("{out}: {error}"))
}

fn read(path: &Path) -> Result<Manifest, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let manifest = parse::parse(&text)
        .and_then(|patch| apply::apply(patch, None, &Source::Builtin))
        .map_err(|fault| format!("{}:{}: {}", path.display(), fault.position(&text).0, fault.message))?;
    if text.lines().any(|line| line.starts_with("extends")) {
        return Err(format!("{}: a built-in provider says all of itself", path.display()));
    }
    // The file's name is the id, so that two files for one id cannot be.
    if path.file_stem().is_none_or(|stem| stem != &*manifest.id) {
        return Err(format!("{}: its id is \"{}\"", path.display(), manifest.id));
    }
    Ok(manifest)
}
