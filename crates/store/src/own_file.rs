//! JSON files that are this program's alone: an object with a version, in which what is not known here is kept.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::read::{ReadError, read_text};

/// Reads the object; `None` where there is no such file.
///
/// # Errors
/// Where the file cannot be read, is no object, or is of another version.
pub(crate) fn read_versioned(path: &Path, version: i64) -> Result<Option<Map<String, Value>>, ReadError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let corrupt = |detail: String| ReadError::Corrupt { path: path.to_path_buf(), detail };
    match serde_json::from_str(&text) {
        Ok(Value::Object(top)) => match top.get("version").and_then(Value::as_i64) {
            Some(own) if own == version => Ok(Some(top)),
            _ => Err(corrupt(format!("its version is not {version}"))),
        },
        Ok(_) => Err(corrupt("it is not an object".into())),
        Err(e) => Err(corrupt(e.to_string())),
    }
}

/// What is written: the version first.
pub(crate) fn versioned(top: &Map<String, Value>, version: i64) -> String {
    let mut all = Map::new();
    all.insert("version".into(), json!(version));
    all.extend(
        top.iter().filter(|(key, _)| *key != "version").map(|(key, value)| (key.clone(), value.clone())),
    );
    format!("{:#}\n", Value::Object(all))
}

/// The object in this place; something else there is replaced, since it can only be damage.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made one"),
    }
}
