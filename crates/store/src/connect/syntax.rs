//! A settings file as a text in which single places are changed.

use std::path::Path;

use jsonc_parser::cst::CstRootNode;
use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::{ConnectError, SettingsFormat};
use crate::config::Step;
use crate::config::{parse_options, tree};

/// A settings file that was understood.
#[derive(Debug)]
pub(super) enum Settings {
    Json(CstRootNode),
    Toml(DocumentMut),
}

impl Settings {
    pub(super) fn parse(path: &Path, format: SettingsFormat, text: &str) -> Result<Self, ConnectError> {
        let invalid = |detail: String| ConnectError::Invalid { path: path.to_path_buf(), detail };
        match format {
            SettingsFormat::Json => {
                let text = if text.trim().is_empty() { "{}\n" } else { text };
                let root = CstRootNode::parse(text, &parse_options()).map_err(|e| invalid(e.to_string()))?;
                let settings = Self::Json(root);
                if !settings.value().is_object() {
                    return Err(invalid("an object is wanted: {...}".into()));
                }
                Ok(settings)
            }
            SettingsFormat::Toml => text.parse().map(Self::Toml).map_err(|e: toml_edit::TomlError| {
                let at = e.span().map_or(0, |span| span.start.min(text.len()));
                let line = 1 + text[..at].matches('\n').count();
                invalid(format!("line {line}: {}", e.message().lines().next().unwrap_or("not TOML")))
            }),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Json(root) => root.to_string(),
            Self::Toml(doc) => doc.to_string(),
        }
    }

    /// All that it says.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Json(root) => {
                jsonc_parser::parse_to_serde_value(&root.to_string(), &parse_options()).unwrap_or_default()
            }
            Self::Toml(doc) => value_of_table(doc.as_table()),
        }
    }

    /// What stands there. Nothing, and `null`, are both nothing.
    pub(super) fn get(&self, key: &[String]) -> Option<Value> {
        let whole = self.value();
        key.iter().try_fold(&whole, |value, key| value.get(key)).filter(|value| !value.is_null()).cloned()
    }

    /// Writes `value` there, or takes away what stands there, with what was only made for it. Everything else says what it
    /// said before, or nothing is changed and this is false.
    #[must_use]
    pub(super) fn put(&mut self, key: &[String], value: Option<&Value>) -> bool {
        let mut expected = self.value();
        if !put_value(&mut expected, key, value) {
            return false;
        }
        let before = self.text();
        match self {
            Self::Json(root) => {
                let steps: Vec<Step> = key.iter().cloned().map(Step::Key).collect();
                match value {
                    Some(value) => tree::set(root, &steps, value),
                    None => remove_json(root, &steps),
                }
            }
            Self::Toml(doc) => match value {
                Some(value) => set_toml(doc.as_item_mut(), key, value),
                None => remove_toml(doc.as_item_mut(), key),
            },
        }
        // What counts is what the program will read.
        let format = match self {
            Self::Json(_) => SettingsFormat::Json,
            Self::Toml(_) => SettingsFormat::Toml,
        };
        let read = |text: &str| Self::parse(Path::new(""), format, text).ok();
        let is_right = read(&self.text()).is_some_and(|now| now.value() == expected);
        if !is_right && let Some(old) = read(&before) {
            *self = old;
        }
        is_right
    }
}

/// The same change on the value alone. A parent that is empty then goes as well: one of ours is never left behind.
fn put_value(root: &mut Value, key: &[String], new: Option<&Value>) -> bool {
    let Some((first, rest)) = key.split_first() else { return false };
    let Some(map) = root.as_object_mut() else { return false };
    match (rest.is_empty(), new) {
        (true, Some(new)) => drop(map.insert(first.clone(), new.clone())),
        (true, None) => drop(map.shift_remove(first)),
        (false, _) => {
            let inner = map.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !put_value(inner, rest, new) {
                return false;
            }
            if new.is_none() && inner.as_object().is_some_and(Map::is_empty) {
                map.shift_remove(first);
            }
        }
    }
    true
}

fn remove_json(root: &CstRootNode, steps: &[Step]) {
    tree::remove(root, steps);
    for depth in (1..steps.len()).rev() {
        let whole: Value =
            jsonc_parser::parse_to_serde_value(&root.to_string(), &parse_options()).unwrap_or_default();
        let inner = steps[..depth].iter().try_fold(&whole, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(_) => None,
        });
        if inner.and_then(Value::as_object).is_some_and(Map::is_empty) {
            tree::remove(root, &steps[..depth]);
        }
    }
}

fn set_toml(parent: &mut Item, key: &[String], value: &Value) {
    let Some((first, rest)) = key.split_first() else { return };
    // In `{...}` no table of its own can stand, nor below `a.b = ...`.
    let is_inline = parent.is_inline_table() || parent.as_table().is_some_and(Table::is_dotted);
    let Some(table) = parent.as_table_like_mut() else { return };
    if rest.is_empty() {
        let Some(item) = item_of(value, is_inline) else { return };
        match (table.get_mut(first), item) {
            // In its place, so that the comments around it stay with it.
            (Some(Item::Value(old)), Item::Value(mut new)) => {
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            (_, item) => drop(table.insert(first, item)),
        }
        return;
    }
    if table.get(first).is_none() {
        let mut made = Table::new();
        // Only `[a.b]` is written for what holds nothing but `b`.
        made.set_implicit(true);
        let made = if is_inline { Item::Value(InlineTable::new().into()) } else { Item::Table(made) };
        table.insert(first, made);
    }
    if let Some(inner) = table.get_mut(first) {
        set_toml(inner, rest, value);
    }
}

fn remove_toml(parent: &mut Item, key: &[String]) {
    let Some((first, rest)) = key.split_first() else { return };
    let Some(table) = parent.as_table_like_mut() else { return };
    if rest.is_empty() {
        table.remove(first);
    } else if let Some(inner) = table.get_mut(first) {
        remove_toml(inner, rest);
        if inner.as_table_like().is_some_and(TableLike::is_empty) {
            table.remove(first);
        }
    }
}

fn item_of(value: &Value, is_inline: bool) -> Option<Item> {
    let Value::Object(map) = value else { return value_in_toml(value).map(Item::Value) };
    if is_inline {
        return value_in_toml(value).map(Item::Value);
    }
    let mut table = Table::new();
    for (key, value) in map {
        table.insert(key, item_of(value, false)?);
    }
    Some(Item::Table(table))
}

fn value_in_toml(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => list.iter().map(value_in_toml).collect::<Option<Array>>()?.into(),
        Value::Object(map) => {
            let mut table = InlineTable::new();
            for (key, value) in map {
                table.insert(key, value_in_toml(value)?);
            }
            table.into()
        }
    })
}

fn value_of_table(table: &dyn TableLike) -> Value {
    Value::Object(table.iter().map(|(key, item)| (key.to_owned(), value_of_item(item))).collect())
}

fn value_of_item(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => value_of(value),
        Item::Table(table) => value_of_table(table),
        Item::ArrayOfTables(list) => Value::Array(list.iter().map(|table| value_of_table(table)).collect()),
    }
}

fn value_of(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => text.value().as_str().into(),
        Toml::Integer(number) => (*number.value()).into(),
        Toml::Float(number) => (*number.value()).into(),
        Toml::Boolean(value) => (*value.value()).into(),
        Toml::Datetime(time) => time.value().to_string().into(),
        Toml::Array(list) => Value::Array(list.iter().map(value_of).collect()),
        Toml::InlineTable(table) => value_of_table(table),
    }
}
