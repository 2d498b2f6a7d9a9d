//! `channels list`: ids and nothing else, and nobody is asked.

use serde_json::json;

use crate::world::{ME, PROVIDER, World};

#[test]
fn the_original_s_shape_in_file_order_without_secrets() {
    let world = World::new();
    let login = world.login(3_600_000);
    let key =
        json!({"type": "api_key", "provider": "openai", "key": "sk-canary-key", "email": "canary@x.test"});
    let odd = json!({"type": "canary kind", "provider": "acme", "secret": "canary"});
    world.seed("main", &[("openai:zz", &key), (ME, &login.entry), ("acme:x", &odd), ("bad:x", &json!(7))]);
    world.config(
        "{channels: {telegram: {botToken: 'canary', accounts: {work: {botToken: 'canary'}, home: {}}}, \
          discord: {token: 'canary'}}}",
    );
    let before = world.everything();
    let requests = world.sandbox.log().len();
    let wanted = json!({
        "chat": {"telegram": ["work", "home"], "discord": ["default"]},
        "auth": [
            {"id": "openai:zz", "provider": "openai", "type": "api_key", "isExternal": false},
            {"id": ME, "provider": PROVIDER, "type": "oauth", "isExternal": false},
            {"id": "acme:x", "provider": "acme", "type": "canary kind", "isExternal": false},
            {"id": "bad:x", "provider": "bad", "type": "damaged", "isExternal": false},
        ],
    });
    for line in [
        &["channels", "list", "--json"][..],
        &["channels", "list", "--json", "--no-usage"],
        &["channels", "--json"],
        &["channels", "list", "--json", "--agent", "main"],
    ] {
        assert_eq!(world.run(line).json(), wanted, "{line:?}");
    }
    let text = world.run(&["channels", "list"]).ok();
    let wanted = format!(
        "Chat channels:\n- telegram: work, home\n- discord: default\n\nAuth providers (OAuth + API keys):\n\
         - openai:zz (api_key)\n- {ME} (oauth)\n- acme:x (canary kind)\n- bad:x (damaged)\n"
    );
    assert_eq!(text, wanted);
    assert_eq!(world.everything(), before, "looking wrote something");
    assert_eq!(world.sandbox.log().len(), requests, "somebody was asked");
}

#[test]
fn each_agent_has_its_own() {
    let world = World::new();
    let login = world.login(3_600_000);
    world.seed("work", &[(ME, &login.entry)]);
    world.config("{agents: {list: [{id: 'work', default: true}, {id: 'home'}]}}");
    assert_eq!(world.run(&["channels", "list", "--json"]).json()["auth"][0]["id"], ME);
    let home = world.run(&["channels", "list", "--json", "--agent", "home"]).json();
    assert_eq!(home, json!({"chat": {}, "auth": []}));
    let text = world.run(&["channels", "list", "--agent", "home"]).ok();
    assert_eq!(text, "Chat channels:\n- none\n\nAuth providers (OAuth + API keys):\n- none\n");
    let error = world.run(&["channels", "list", "--json", "--agent", "nobody"]).error_json();
    assert_eq!(error["code"], "unknown_agent");
    assert_eq!(world.run(&["channels", "lsit", "--json"]).error_json()["code"], "usage");
}

#[test]
fn what_cannot_be_read_is_said() {
    let world = World::new();
    world.private(&world.store(), "{torn");
    assert_eq!(world.run(&["channels", "list", "--json"]).error_json()["code"], "corrupt");
    world.config("{channels: ");
    assert_eq!(world.run(&["channels", "list", "--json"]).error_json()["code"], "config_invalid");
}
