use coderclaw_store::StateDir;
use coderclaw_types::Env;
use proptest::prelude::*;

use super::*;

/// The rules of a config with agents main, a, b and c.
fn rules(bindings: &str, session: &str) -> Rules {
    let tmp = tempfile::tempdir().unwrap();
    let env = Env::new([("CODERCLAW_STATE_DIR".into(), tmp.path().into())], None, "/".into());
    let state = StateDir::from_env(&env);
    let list = r#"[{"id":"main"},{"id":"a"},{"id":"b"},{"id":"c"}]"#;
    let text = format!(r#"{{"agents":{{"list":{list}}},"bindings":[{bindings}],"session":{session}}}"#);
    #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
    std::fs::write(state.config_path(), text).unwrap();
    let config = Config::load(&state, &env).unwrap();
    let known = config.agents().to_vec();
    Rules::new(&config, known)
}

/// `chan account peer parent guild team roles`, `-` where there is none.
fn origin(text: &str) -> Origin {
    let words: Vec<_> = text.split_whitespace().collect();
    let word = |at: usize| words.get(at).filter(|word| **word != "-").map(|word| (*word).to_owned());
    let peer = |at| word(at).map(|text| Peer::from_text(&text).unwrap());
    Origin {
        channel: word(0).unwrap_or_default(),
        account: word(1),
        peer: peer(2),
        parent: peer(3),
        guild: word(4),
        team: word(5),
        roles: word(6).map(|roles| roles.split(',').map(str::to_owned).collect()).unwrap_or_default(),
    }
}

fn to(rules: &Rules, from: &str) -> (String, String) {
    let route = rules.route(&origin(from));
    let by = serde_json::to_value(route.matched_by).unwrap();
    (route.agent_id.to_string(), by.as_str().unwrap().to_owned())
}

fn bind(agent: &str, on: &str) -> String {
    format!(r#"{{"agentId":"{agent}","match":{on}}}"#)
}

/// Every tier beats those below it, wherever its binding stands in the list.
#[test]
fn each_tier_beats_the_next() {
    let all = [
        (r#"{"channel":"x","accountId":"*"}"#, "x w -", "binding.channel"),
        (r#"{"channel":"x"}"#, "x - -", "binding.account"),
        (r#"{"channel":"x","teamId":"T"}"#, "x - - - - T", "binding.team"),
        (r#"{"channel":"x","guildId":"G"}"#, "x - - - G T", "binding.guild"),
        (r#"{"channel":"x","guildId":"G","roles":["r","s"]}"#, "x - - - G T s", "binding.guild+roles"),
        (
            r#"{"channel":"x","peer":{"kind":"channel","id":"P"}}"#,
            "x - group:Q channel:P G T s",
            "binding.peer.parent",
        ),
        (
            r#"{"channel":"x","peer":{"kind":"group","id":"Q"}}"#,
            "x - group:Q channel:P G T s",
            "binding.peer",
        ),
    ];
    // With all tiers up to this one, each tier's own message goes to its own agent: the last in the list, and the first.
    for upto in 1..=all.len() {
        for reversed in [false, true] {
            let mut list: Vec<_> =
                (0..upto).map(|i| bind(if i + 1 == upto { "a" } else { "b" }, all[i].0)).collect();
            if reversed {
                list.reverse();
            }
            let rules = rules(&list.join(","), "{}");
            let (_, from, by) = all[upto - 1];
            assert_eq!(to(&rules, from), ("a".into(), by.into()), "{by} reversed: {reversed}");
        }
    }
}

#[test]
fn what_does_not_match() {
    let table = [
        // No account named means the account `default` only.
        (r#"{"channel":"x"}"#, "x work -", "default"),
        (r#"{"channel":"x","accountId":"Work Team"}"#, "x work-team -", "binding.account"),
        (r#"{"channel":"x","accountId":"*"}"#, "x anything -", "binding.channel"),
        (r#"{"channel":"X "}"#, "x - -", "binding.account"),
        (r#"{"channel":"y"}"#, "x - -", "default"),
        // dm and direct are one kind; a group of the same id is another peer.
        (r#"{"channel":"x","peer":{"kind":"dm","id":"7"}}"#, "x - direct:7", "binding.peer"),
        (r#"{"channel":"x","peer":{"kind":"direct","id":"7"}}"#, "x - dm:7", "binding.peer"),
        (r#"{"channel":"x","peer":{"kind":"group","id":"7"}}"#, "x - direct:7", "default"),
        // What is no peer is never met, and is not taken for "any peer".
        (r#"{"channel":"x","peer":{"kind":"room","id":"7"}}"#, "x - direct:7", "default"),
        (r#"{"channel":"x","peer":{"kind":"direct","id":" "}}"#, "x - direct:7", "default"),
        (r#"{"channel":"x","peer":{}}"#, "x - -", "default"),
        (r#"{"channel":"x","peer":null}"#, "x - -", "binding.account"),
        // Everything must hold: a peer in a guild is not the guild.
        (r#"{"channel":"x","peer":{"kind":"direct","id":"7"},"guildId":"G"}"#, "x - direct:8 - G", "default"),
        (r#"{"channel":"x","peer":{"kind":"direct","id":"7"},"guildId":"G"}"#, "x - direct:7 - H", "default"),
        (
            r#"{"channel":"x","peer":{"kind":"direct","id":"7"},"guildId":"G"}"#,
            "x - direct:7 - G",
            "binding.peer",
        ),
        (r#"{"channel":"x","guildId":"G","teamId":"T"}"#, "x - - - G U", "default"),
        // Roles: one of them will do; none in the list is no question; a role needs no guild.
        (r#"{"channel":"x","guildId":"G","roles":["r"]}"#, "x - - - G - s", "default"),
        (r#"{"channel":"x","guildId":"G","roles":["r"]}"#, "x - - - G", "default"),
        (r#"{"channel":"x","guildId":"G","roles":[]}"#, "x - - - G", "binding.guild"),
        (r#"{"channel":"x","roles":["r"]}"#, "x - - - - - r", "binding.account"),
        (r#"{"channel":"x","roles":["r"]}"#, "x - - - - - s", "default"),
        // Not bindings at all.
        (r#"{"accountId":"*"}"#, "x - -", "default"),
        (r#""x""#, "x - -", "default"),
    ];
    for (on, from, by) in table {
        let rules = rules(&bind("a", on), "{}");
        let agent = if by == "default" { "main" } else { "a" };
        assert_eq!(to(&rules, from), (agent.into(), by.into()), "{on} for {from}");
    }
}

#[test]
fn the_first_in_the_list_counts_within_a_tier() {
    let on = r#"{"channel":"x"}"#;
    let rules = rules(&[bind("b", on), bind("a", on)].join(","), "{}");
    assert_eq!(to(&rules, "x - -").0, "b");
    // A binding to nobody leads to the default agent, and says what it was.
    let rules = super::tests::rules(&[bind("ghost", on), bind("a", on)].join(","), "{}");
    assert_eq!(to(&rules, "x - -"), ("main".into(), "binding.account".into()));
}

#[test]
fn session_keys() {
    let key = |session: &str, from: &str| {
        let route = rules(&bind("a", r#"{"channel":"tg","accountId":"*"}"#), session).route(&origin(from));
        (route.session_key, route.main_session_key)
    };
    let table = [
        ("{}", "tg - direct:Me", "agent:a:main"),
        ("{}", "tg - -", "agent:a:main"),
        (r#"{"mainKey":"Home"}"#, "tg - direct:Me", "agent:a:home"),
        (r#"{"dmScope":"per-peer"}"#, "tg w direct:Me", "agent:a:direct:me"),
        (r#"{"dmScope":"per-channel-peer"}"#, "tg w dm:Me", "agent:a:tg:direct:me"),
        (r#"{"dmScope":"per-account-channel-peer"}"#, "tg W direct:Me", "agent:a:tg:w:direct:me"),
        (r#"{"dmScope":"per-account-channel-peer"}"#, "tg - direct:Me", "agent:a:tg:default:direct:me"),
        (r#"{"dmScope":"per-peer"}"#, "tg - -", "agent:a:main"),
        ("{}", "tg - group:G1", "agent:a:tg:group:g1"),
        (r#"{"dmScope":"per-peer"}"#, "TG - channel:C1", "agent:a:tg:channel:c1"),
        (
            r#"{"dmScope":"per-peer","identityLinks":{"Ann":["tg:7","9"]}}"#,
            "tg - direct:7",
            "agent:a:direct:ann",
        ),
        (
            r#"{"dmScope":"per-peer","identityLinks":{"Ann":["tg:7","9"]}}"#,
            "tg - direct:9",
            "agent:a:direct:ann",
        ),
        (r#"{"dmScope":"per-peer","identityLinks":{"Ann":["wa:7"]}}"#, "tg - direct:7", "agent:a:direct:7"),
        (r#"{"identityLinks":{"Ann":["7"]}}"#, "tg - direct:7", "agent:a:main"),
        (r#"{"scope":"global"}"#, "tg - group:G1", "global"),
    ];
    for (session, from, wanted) in table {
        assert_eq!(key(session, from).0, wanted, "{session} {from}");
    }
    assert_eq!(key("{}", "tg - group:G1").1, "agent:a:main");
    // A message to nobody's agent: the channel is still named.
    assert_eq!(rules("", "{}").route(&origin("- - group:g")).session_key, "agent:main:unknown:group:g");
}

proptest! {
    /// Whatever the bindings say and wherever a message comes from: the answer is an agent that exists, and its session
    /// is that agent's.
    #[test]
    fn the_answer_is_always_an_agent_that_exists(
        list in proptest::collection::vec(
            ("[a-e]", "[xy]", proptest::option::of("[*w]"), proptest::option::of(("(direct|dm|group|room)", "[0-2]?")),
             proptest::option::of("[GH]"), proptest::collection::vec("[rs]", 0..2)),
            0..8,
        ),
        from in ("[xy]", "(-|w|W|default)", "(-|direct:[01]|group:[01])", "(-|channel:1)", "(-|G|H)", "(-|T)", "(-|r|s|r,s)"),
        scope in "(main|per-peer|per-channel-peer|per-account-channel-peer|other)",
    ) {
        let list: Vec<String> = list.into_iter().map(|(agent, channel, account, peer, guild, roles)| {
            let mut on = serde_json::json!({"channel": channel, "roles": roles});
            if let Some(account) = account { on["accountId"] = account.into(); }
            if let Some((kind, id)) = peer { on["peer"] = serde_json::json!({"kind": kind, "id": id}); }
            if let Some(guild) = guild { on["guildId"] = guild.into(); }
            bind(&agent, &on.to_string())
        }).collect();
        let rules = rules(&list.join(","), &format!(r#"{{"dmScope":"{scope}"}}"#));
        let (channel, account, peer, parent, guild, team, roles) = from;
        let route = rules.route(&origin(&format!("{channel} {account} {peer} {parent} {guild} {team} {roles}")));
        prop_assert!(rules.known.contains(&route.agent_id));
        let prefix = format!("agent:{}:", route.agent_id);
        prop_assert!(route.session_key.starts_with(&prefix), "{}", route.session_key);
        prop_assert_eq!(&route.session_key, &route.session_key.to_lowercase());
        if route.matched_by == MatchedBy::Default {
            prop_assert_eq!(&route.agent_id, &rules.default);
        }
    }
}
