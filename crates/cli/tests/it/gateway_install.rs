//! `gateway install`: a unit of one's own, written, shown and taken away; systemctl only where that is asked for.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::world::World;

fn unit(world: &World) -> PathBuf {
    world.home().join(".config/systemd/user/coderclaw-gateway.service")
}

/// A systemctl that writes down what it is called with.
fn systemctl(world: &mut World, exit: u8) -> PathBuf {
    let (folder, log) = (world.path().join("bin"), world.path().join("systemctl.log"));
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\necho no bus >&2\nexit {exit}\n", log.display());
    world.private(&folder.join("systemctl"), &script);
    std::fs::set_permissions(folder.join("systemctl"), std::fs::Permissions::from_mode(0o700)).unwrap();
    world.set("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    log
}

#[test]
fn a_unit_is_written_shown_and_taken_away() {
    let mut world = World::new();
    let log = systemctl(&mut world, 0);
    let before = world.everything();
    let shown = world.run(&["gateway", "install", "--print"]).ok();
    assert_eq!(world.everything(), before, "--print writes nothing");
    let said = world.run(&["gateway", "install"]).ok();
    for line in [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now coderclaw-gateway",
        "loginctl enable-linger",
    ] {
        assert!(said.contains(&format!("  {line}\n")), "{said}");
    }
    let text = std::fs::read_to_string(unit(&world)).unwrap();
    assert_eq!(text, shown);
    let program = Path::new(env!("CARGO_BIN_EXE_coderclaw")).canonicalize().unwrap();
    assert!(text.contains(&format!("\nExecStart={} gateway run\n", program.display())), "{text}");
    assert!(
        text.contains(&format!("\nEnvironment=CODERCLAW_STATE_DIR={}\n", world.state().display())),
        "{text}"
    );
    for line in ["Restart=on-failure", "NoNewPrivileges=yes", "WantedBy=default.target"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(world.run(&["gateway", "install"]).ok().starts_with("Nothing to change in"));
    let more = ["--port", "19000", "--bind", "0.0.0.0", "--tls-cert", "c.pem", "--tls-key", "a b/$k%.pem"];
    let changed = world.run(&[&["gateway", "install", "--json"], &more[..]].concat()).json();
    assert_eq!((&changed["changed"], &changed["started"]), (&json!(true), &json!(false)));
    let text = std::fs::read_to_string(unit(&world)).unwrap();
    let here = world.path().display();
    let line = format!(
        "gateway run --port 19000 --bind 0.0.0.0 --tls-cert {here}/c.pem --tls-key \"{here}/a b/$$k%%.pem\"\n"
    );
    assert!(text.contains(&line), "{line} in {text}");
    assert!(!log.exists(), "nobody asked for systemctl");
    assert!(world.run(&["gateway", "install", "--uninstall"]).ok().contains("systemctl --user stop"));
    assert!(!unit(&world).exists());
    assert!(world.run(&["gateway", "install", "--uninstall"]).ok().contains("nothing to take away"));
    assert!(!log.exists());
}

#[test]
fn systemctl_is_called_where_that_is_asked_for() {
    let mut world = World::new();
    let log = systemctl(&mut world, 0);
    world.run(&["gateway", "install", "--now"]).ok();
    world.run(&["gateway", "install", "--uninstall", "--now"]).ok();
    let called = std::fs::read_to_string(&log).unwrap();
    let expected = [
        "daemon-reload",
        "enable --now coderclaw-gateway",
        "disable --now coderclaw-gateway",
        "daemon-reload",
    ];
    assert_eq!(called.lines().collect::<Vec<_>>(), expected.map(|line| format!("--user {line}")));
    systemctl(&mut world, 1);
    let failed = world.run(&["gateway", "install", "--now"]);
    assert_eq!(failed.code(), "not_started");
    assert!(failed.stderr.contains("no bus"), "{}", failed.stderr);
}

/// A unit that somebody else wrote stays as it is; the folder is found as other programs find it.
#[test]
fn somebody_else_s_unit_is_left_alone() {
    let mut world = World::new();
    world.private(&unit(&world), "[Unit]\nDescription=mine\n");
    for more in [&[][..], &["--uninstall"]] {
        assert_eq!(world.run(&[&["gateway", "install"], more].concat()).code(), "not_writable");
    }
    assert!(std::fs::read_to_string(unit(&world)).unwrap().contains("mine"));
    let config = world.path().join("config");
    world.set("XDG_CONFIG_HOME", config.display().to_string());
    world.run(&["gateway", "install"]).ok();
    assert!(config.join("systemd/user/coderclaw-gateway.service").exists());
}
