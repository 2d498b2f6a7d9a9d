//! The server as seen from another process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use coderclaw_sandbox::browse;
use serde_json::Value;

use crate::client::{get, post_bytes, refresh, send, start, start_with};

#[test]
fn admin_pages_exist_only_where_they_were_asked_for() {
    let sandbox = start();
    assert_eq!(get(&sandbox, "/admin/log", "").status(), 404);

    let (sandbox, _) = start_with(|o| o.admin = true);
    let set = |path: &str, body: &str| send(&sandbox, &post_bytes(path, "application/json", body));
    let policy = set("/admin/policy", r#"{"access_lifetime":60,"reuse":"tolerate","skew":-5}"#);
    assert_eq!((policy.status(), policy.json()["access_lifetime"].as_i64()), (200, Some(60)));
    assert_eq!(set("/admin/policy", r#"{"acces_lifetime":60}"#).status(), 400);
    assert_eq!(set("/admin/policy", "[").status(), 400);
    assert_eq!(set("/admin/script", r#"{"fault":"rotate_then_drop"}"#).status(), 200);
    assert_eq!(set("/admin/script", r#"{"fault":"no_such_thing"}"#).status(), 400);
    assert_eq!(set("/admin/user", r#"{"subject":"s","email":"e","account":"a","plan":"p"}"#).status(), 200);
    assert_eq!(get(&sandbox, "/admin/nothing", "").status(), 404);

    let grant = sandbox.grant("s");
    assert!(grant.expires_in == 60 && grant.user.account == "a");
    assert!(refresh(&sandbox, &grant.refresh).bytes.is_empty());
    assert_eq!(refresh(&sandbox, &grant.refresh).status(), 200);
    let log = get(&sandbox, "/admin/log", "");
    let json = log.json();
    assert_eq!((json["counts"]["refreshes"].as_u64(), json["counts"]["reuses"].as_u64()), (Some(2), Some(1)));
    assert_eq!(json["log"][0]["fault"], "rotate_then_drop");
    assert_eq!(
        (json["log"][0]["kind"].as_str(), json["log"][0]["family"].as_u64()),
        (Some("refresh"), Some(1))
    );
    assert!(!log.text().contains(grant.refresh.expose()));
}

#[test]
fn the_program_lives_as_long_as_its_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coderclaw-sandbox"))
        .arg("--admin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let origin = serde_json::from_str::<Value>(&line).unwrap()["origin"].as_str().unwrap().to_owned();
    let page = browse(&format!("{origin}/admin/log")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&page.body).unwrap()["counts"]["refreshes"], 0);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let mut wrong = Command::new(env!("CARGO_BIN_EXE_coderclaw-sandbox"));
    assert!(!wrong.arg("--help-me").stderr(Stdio::null()).status().unwrap().success());
}
