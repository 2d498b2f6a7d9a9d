//! Lines and columns of places in a text, for messages.

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, parse_to_ast};

use super::key_path::{KeyPath, Step};
use super::parse_options;

/// Line and column of `key`, both from 1; of what is nearest above it, where it is not there. `None` where not even
/// its first step is.
pub(super) fn position(text: &str, key: &KeyPath) -> Option<(usize, usize)> {
    let tree = parse_to_ast(text, &CollectOptions::default(), &parse_options()).ok()?;
    let mut value = tree.value.as_ref()?;
    let mut found: Option<Range> = key.steps().is_empty().then(|| value.range());
    for step in key.steps() {
        match (step, value) {
            (Step::Key(name), Value::Object(object)) => {
                let named = |prop: &&jsonc_parser::ast::ObjectProp<'_>| prop.name.as_str() == name;
                let Some(prop) = object.properties.iter().rfind(named) else { break };
                found = Some(match &prop.name {
                    ObjectPropName::String(name) => name.range,
                    ObjectPropName::Word(name) => name.range,
                });
                value = &prop.value;
            }
            (step, Value::Array(list)) => {
                let Some(element) = step.as_index().and_then(|i| list.elements.get(i)) else { break };
                found = Some(element.range());
                value = element;
            }
            _ => break,
        }
    }
    let before = text.get(..found?.start)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        let text = "// é\n{\n  auth: { 'ordér': [1,\n 2] },\n}\n";
        for (key, wanted) in [
            ("auth", Some((3, 3))),
            ("auth.ordér", Some((3, 11))),
            ("auth.ordér[1]", Some((4, 2))),
            ("auth.gone.x", Some((3, 3))),
            ("gone", None),
        ] {
            assert_eq!(position(text, &key.parse().unwrap()), wanted, "{key}");
        }
        assert_eq!(position(text, &KeyPath::root()), Some((2, 1)));
    }
}
