//! The packages that this is built from, as cargo tells of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::Program;

/// One package.
#[derive(Debug)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) licence: Option<String>,
    /// Where its sources are.
    pub(crate) folder: PathBuf,
    /// By others, from a registry.
    pub(crate) is_foreign: bool,
    is_macro: bool,
    /// The programs that it installs.
    pub(crate) programs: Vec<String>,
}

/// All packages of the lock file that this platform needs, and who needs whom.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) all: Vec<Package>,
    resolved: Value,
}

impl Packages {
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let rustc = Program::new("rustc", &["-vV"]).inside(root).text()?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
        let metadata = ["metadata", "--locked", "--format-version", "1", "--filter-platform", host];
        Self::parse(&Program::cargo(&metadata).inside(root).text()?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut told: Value = serde_json::from_str(text).map_err(|e| format!("cargo metadata: {e}"))?;
        let all = told["packages"].as_array().ok_or("cargo metadata names no packages")?;
        let all = all.iter().map(package).collect::<Option<Vec<_>>>().ok_or("cargo metadata has changed")?;
        Ok(Self { all, resolved: told["resolve"]["nodes"].take() })
    }

    pub(crate) fn named(&self, name: &str) -> Result<&Package, String> {
        self.all.iter().find(|one| one.name == name).ok_or_else(|| format!("there is no package {name}"))
    }

    /// The packages by others whose code is in what `root` builds: no macros, no build scripts, no tests.
    pub(crate) fn linked_into(&self, root: &Package) -> Vec<&Package> {
        let mut ids = BTreeSet::from([root.id.as_str()]);
        let mut open = vec![root.id.as_str()];
        while let Some(id) = open.pop() {
            let nodes = self.resolved.as_array().into_iter().flatten();
            let node = nodes.into_iter().find(|node| node["id"] == id);
            for dep in node.and_then(|node| node["deps"].as_array()).into_iter().flatten() {
                let is_linked = |kind: &Value| kind["kind"].is_null();
                let kinds = dep["dep_kinds"].as_array();
                let Some(id) =
                    dep["pkg"].as_str().filter(|_| kinds.is_some_and(|all| all.iter().any(is_linked)))
                else {
                    continue;
                };
                let is_macro = self.all.iter().any(|one| one.id == id && one.is_macro);
                if !is_macro && ids.insert(id) {
                    open.push(id);
                }
            }
        }
        self.all.iter().filter(|one| one.is_foreign && ids.contains(one.id.as_str())).collect()
    }
}

fn package(told: &Value) -> Option<Package> {
    let text = |key: &str| told[key].as_str().map(str::to_owned);
    let targets = told["targets"].as_array()?;
    let is = |target: &Value, kind: &str| {
        target["kind"].as_array().is_some_and(|all| all.iter().any(|one| one == kind))
    };
    let programs = targets.iter().filter(|target| is(target, "bin"));
    Some(Package {
        id: text("id")?,
        name: text("name")?,
        version: text("version")?,
        licence: text("license"),
        folder: Path::new(told["manifest_path"].as_str()?).parent()?.to_path_buf(),
        is_foreign: !told["source"].is_null(),
        is_macro: targets.iter().any(|target| is(target, "proc-macro")),
        programs: programs.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_in_is_told_from_what_only_builds_it() {
        let one = |name: &str, kind: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"1.0.0","license":"MIT","source":"elsewhere",
                    "manifest_path":"/x/{name}/Cargo.toml","targets":[{{"name":"{name}","kind":["{kind}"]}}]}}"#
            )
        };
        let dep = |name: &str, kind: &str| format!(r#"{{"pkg":"{name}","dep_kinds":[{{"kind":{kind}}}]}}"#);
        let packages =
            [one("a", "bin"), one("b", "lib"), one("c", "proc-macro"), one("d", "lib"), one("e", "lib")];
        let deps = [dep("b", "null"), dep("c", "null"), dep("d", "\"dev\"")].join(",");
        let text = format!(
            r#"{{"packages":[{}],"resolve":{{"nodes":[{{"id":"a","deps":[{deps}]}},{{"id":"b","deps":[{}]}}]}}}}"#,
            packages.join(","),
            dep("e", "null")
        );
        let all = Packages::parse(&text).unwrap();
        let linked = all.linked_into(all.named("a").unwrap());
        let names: Vec<&str> =
            linked.iter().map(|one| one.name.as_str()).filter(|name| *name != "a").collect();
        assert_eq!(names, ["b", "e"]);
        assert_eq!(all.named("a").unwrap().programs, ["a"]);
        assert!(all.named("z").is_err());
    }
}
