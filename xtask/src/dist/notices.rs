//! The licences of what others wrote and the program contains: most of them ask that their words go with it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::packages::Package;

const HEAD: &str =
    "CoderClaw contains the following works of others. Under each text stand those that it is for.\n";
const RULE: &str = "\n----------------------------------------------------------------------------\n\n";

/// All texts, each once.
pub(super) fn text(packages: &[&Package]) -> Result<String, String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bare = Vec::new();
    for package in packages {
        let licence = package.licence.as_deref().unwrap_or("no licence named");
        let name = format!("{} {} ({licence})", package.name, package.version);
        let found = of(&package.folder)?;
        if found.is_empty() {
            bare.push(name.clone());
        }
        for text in found {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut all = HEAD.to_owned();
    for (text, names) in texts {
        all.push_str(&format!("{RULE}{}\n\nfor:\n", text.trim()));
        all.extend(names.iter().map(|name| format!("  {name}\n")));
    }
    if !bare.is_empty() {
        all.push_str(&format!("{RULE}Without a text of their own:\n"));
        all.extend(bare.iter().map(|name| format!("  {name}\n")));
    }
    Ok(all)
}

/// The texts that a package brings. Where the choice is the reader's, MIT: it is the shortest.
fn of(folder: &Path) -> Result<Vec<String>, String> {
    let said = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let entry = entry.map_err(said)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let upper = name.to_uppercase();
        let is_one =
            ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"].iter().any(|one| upper.starts_with(one));
        if is_one && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort();
    let is_mit = |name: &String| name.to_uppercase().contains("MIT");
    if names.iter().any(is_mit) {
        names.retain(|name| is_mit(name) || name.to_uppercase().starts_with("NOTICE"));
    }
    names.iter().map(|name| std::fs::read_to_string(folder.join(name)).map_err(said)).collect()
}
