//! `models list`: the models that are named anywhere here, and whether they can be used. Nothing is downloaded.

use coderclaw_agents::{ModelNames, ModelRef};
use coderclaw_auth::Ask;
use coderclaw_store::AgentPaths;
use serde::Serialize;
use serde_json::Value;

use crate::args::ModelsListArgs;
use crate::commands::Context;
use crate::error::CommandError;
use crate::report::Report;
use crate::text::clean;

#[derive(Serialize)]
struct ListJson {
    count: usize,
    models: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    key: String,
    name: String,
    input: String,
    context_window: Option<u64>,
    local: bool,
    available: bool,
    tags: Vec<String>,
    missing: bool,
}

pub(super) fn run(context: &Context, args: &ModelsListArgs) -> Result<Report, CommandError> {
    let auth = &context.auth;
    let agent = context.agent()?;
    let names = ModelNames::new(auth.config(), auth.registry());
    let provider = args.provider.as_deref().map(|name| context.provider(name)).transpose()?;
    let mut asked: Vec<(String, bool)> = Vec::new();
    let mut rows = Vec::new();
    for model in names.known() {
        let is_left_out = !args.all && !names.is_allowed(&model);
        let is_other = provider.is_some_and(|provider| provider.id != model.provider.as_str());
        if is_left_out || is_other {
            continue;
        }
        let row = row(context, &agent, &names, &model, &mut asked)?;
        if row.local || !args.local {
            rows.push(row);
        }
    }
    if context.global.json {
        return Ok(Report::json(&ListJson { count: rows.len(), models: rows }));
    }
    if args.plain {
        return Ok(Report::text(rows.iter().map(|row| format!("{}\n", clean(&row.key))).collect::<String>()));
    }
    if rows.is_empty() {
        return Ok(Report::text("No models found.\n"));
    }
    Ok(Report::text(table(&rows)))
}

fn row(
    context: &Context,
    agent: &AgentPaths,
    names: &ModelNames<'_>,
    model: &ModelRef,
    asked: &mut Vec<(String, bool)>,
) -> Result<Row, CommandError> {
    let auth = &context.auth;
    let manifest = auth.registry().get(&model.provider);
    let config = auth.config().provider(&model.provider);
    let said = config.as_ref().and_then(|provider| {
        provider.models.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(&model.model))
    });
    let known =
        asked.iter().find(|(provider, _)| provider == model.provider.as_str()).map(|(_, known)| *known);
    let available = match (known, manifest) {
        (Some(known), _) => known,
        (None, None) => false,
        (None, Some(manifest)) => {
            let ask = Ask { model: Some(model.to_string()), ..Ask::default() };
            auth.explain(agent, manifest, &ask)?.winner.is_some()
        }
    };
    if known.is_none() {
        asked.push((model.provider.to_string(), available));
    }
    let text = |name: &str| said.and_then(|said| said.get(name)).and_then(Value::as_str);
    let input = said
        .and_then(|said| said.get("input"))
        .and_then(Value::as_array)
        .map(|kinds| kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("+"));
    Ok(Row {
        key: model.to_string(),
        name: text("name").unwrap_or(&model.model).to_owned(),
        input: input.filter(|input| !input.is_empty()).unwrap_or_else(|| "-".into()),
        context_window: said.and_then(|said| said.get("contextWindow")).and_then(Value::as_u64),
        local: config.is_some_and(|provider| provider.is_local()),
        available,
        tags: tags(context, agent, names, model),
        missing: false,
    })
}

/// What the model is used for, in the original's words.
fn tags(context: &Context, agent: &AgentPaths, names: &ModelNames<'_>, model: &ModelRef) -> Vec<String> {
    let mut tags = Vec::new();
    if names.chosen(&agent.agent).as_ref() == Some(model) {
        tags.push("default".to_owned());
    }
    let place = |all: &[ModelRef]| all.iter().position(|one| one == model).map(|at| at + 1);
    if let Some(n) = place(&names.fallbacks(&agent.agent)) {
        tags.push(format!("fallback#{n}"));
    }
    let (image, after) = context.auth.config().image_model();
    if image.and_then(|text| names.read(text)).as_ref() == Some(model) {
        tags.push("image".to_owned());
    }
    let after: Vec<ModelRef> = after.into_iter().filter_map(|text| names.read(text)).collect();
    if let Some(n) = place(&after) {
        tags.push(format!("img-fallback#{n}"));
    }
    if names.allowed().contains(model) {
        tags.push("configured".to_owned());
    }
    tags.extend(names.alias_of(model).map(|alias| format!("alias:{}", alias.name)));
    tags
}

fn table(rows: &[Row]) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let cells = rows.iter().map(|row| {
        let window = row.context_window.map_or_else(|| "-".into(), |n| format!("{}k", n.div_ceil(1_000)));
        [
            clean(&row.key),
            clean(&row.input),
            window,
            yes(row.local).into(),
            yes(row.available).into(),
            clean(&row.tags.join(",")),
        ]
    });
    let head = ["Model", "Input", "Ctx", "Local", "Auth", "Tags"].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(head).chain(cells).collect();
    let widths: Vec<usize> =
        (0..6).map(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    }
    out
}
