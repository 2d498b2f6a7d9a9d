//! Changes to the syntax tree of a JSON5 text. They trust that the steps lead somewhere: `doc.rs` has checked that, and
//! reads the result again.

use jsonc_parser::cst::{
    CstArray, CstContainerNode, CstInputValue, CstLeafNode, CstNode, CstObject, CstObjectProp, CstRootNode,
};
use serde_json::Value;

use super::key_path::Step;
use super::parse_options;

/// Writes `new` at `steps`.
pub(crate) fn set(root: &CstRootNode, steps: &[Step], new: &Value) {
    let Some(object) = root.object_value_or_create() else { return };
    let mut node: CstNode = object.into();
    for (depth, step) in steps.iter().enumerate() {
        match child(&node, step) {
            Some(next) => node = next,
            None => return insert(&node, step, &nested(&steps[depth + 1..], new)),
        }
    }
    become_like(&node, new);
}

/// Takes away what stands at `steps`.
pub(crate) fn remove(root: &CstRootNode, steps: &[Step]) {
    let Some((last, parent)) = steps.split_last() else { return };
    let Some(mut node) = root.value() else { return };
    for step in parent {
        match child(&node, step) {
            Some(next) => node = next,
            None => return,
        }
    }
    match (last, container(&node)) {
        (Step::Key(key), Some(CstContainerNode::Object(object))) => remove_key(&object, key),
        (step, Some(CstContainerNode::Array(list))) => {
            if let Some(element) = step.as_index().and_then(|i| list.elements().into_iter().nth(i)) {
                element.remove();
            }
        }
        _ => {}
    }
}

fn container(node: &CstNode) -> Option<CstContainerNode> {
    match node {
        CstNode::Container(node) => Some(node.clone()),
        CstNode::Leaf(_) => None,
    }
}

/// Where a key stands twice, the last one counts, as it does for every reader of JSON.
fn prop(object: &CstObject, key: &str) -> Option<CstObjectProp> {
    object.properties().into_iter().rfind(|prop| prop.decoded_name().as_deref() == Some(key))
}

fn remove_key(object: &CstObject, key: &str) {
    while let Some(prop) = prop(object, key) {
        prop.remove();
    }
}

fn child(node: &CstNode, step: &Step) -> Option<CstNode> {
    match (step, container(node)?) {
        (Step::Key(key), CstContainerNode::Object(object)) => prop(&object, key)?.value(),
        (step, CstContainerNode::Array(list)) => list.elements().into_iter().nth(step.as_index()?),
        _ => None,
    }
}

fn insert(node: &CstNode, step: &Step, new: &Value) {
    match (step, container(node)) {
        (Step::Key(key), Some(CstContainerNode::Object(object))) => {
            object.append(key, input(new));
        }
        (_, Some(CstContainerNode::Array(list))) => {
            list.append(input(new));
        }
        _ => {}
    }
}

/// `new` inside of as many objects and lists as there are steps.
fn nested(steps: &[Step], new: &Value) -> Value {
    steps.iter().rev().fold(new.clone(), |value, step| match step {
        Step::Key(key) => Value::Object([(key.clone(), value)].into_iter().collect()),
        Step::Index(_) => Value::Array(vec![value]),
    })
}

/// Changes the node into `new`, and of an object or a list only what differs.
fn become_like(node: &CstNode, new: &Value) {
    if value_of(node).as_ref() == Some(new) {
        return;
    }
    match (container(node), new) {
        (Some(CstContainerNode::Object(object)), Value::Object(new)) => {
            for prop in object.properties() {
                if let Some(name) = prop.decoded_name()
                    && !new.contains_key(&name)
                {
                    remove_key(&object, &name);
                }
            }
            for (key, value) in new {
                match prop(&object, key).and_then(|prop| prop.value()) {
                    Some(old) => become_like(&old, value),
                    None => {
                        object.append(key, input(value));
                    }
                }
            }
        }
        (Some(CstContainerNode::Array(list)), Value::Array(new)) => list_become_like(&list, new),
        _ => replace(node, input(new)),
    }
}

/// What is equal at both ends stays; between them, element by element.
fn list_become_like(list: &CstArray, new: &[Value]) {
    let old = list.elements();
    let equal = |old: Option<&CstNode>, new: Option<&Value>| match (old, new) {
        (Some(old), Some(new)) => value_of(old).as_ref() == Some(new),
        _ => false,
    };
    let head = (0..old.len()).take_while(|i| equal(old.get(*i), new.get(*i))).count();
    let rest = old.len().min(new.len()) - head;
    let tail = (1..=rest).take_while(|i| equal(old.get(old.len() - i), new.get(new.len() - i))).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let both = old_end.min(new_end);
    for i in head..both {
        become_like(&old[i], &new[i]);
    }
    for element in old[both..old_end].iter().rev() {
        element.clone().remove();
    }
    for (i, value) in new.iter().enumerate().take(new_end).skip(both) {
        list.insert(i, input(value));
    }
}

fn replace(node: &CstNode, new: CstInputValue) {
    if let Some(CstContainerNode::ObjectProp(prop)) = node.parent() {
        return prop.set_value(new);
    }
    match node.clone() {
        CstNode::Container(CstContainerNode::Object(node)) => drop(node.replace_with(new)),
        CstNode::Container(CstContainerNode::Array(node)) => drop(node.replace_with(new)),
        CstNode::Leaf(CstLeafNode::StringLit(node)) => drop(node.replace_with(new)),
        CstNode::Leaf(CstLeafNode::NumberLit(node)) => drop(node.replace_with(new)),
        CstNode::Leaf(CstLeafNode::BooleanLit(node)) => drop(node.replace_with(new)),
        CstNode::Leaf(CstLeafNode::NullKeyword(node)) => drop(node.replace_with(new)),
        CstNode::Leaf(CstLeafNode::WordLit(node)) => drop(node.replace_with(new)),
        _ => {}
    }
}

/// The value as the reader of the config reads it.
fn value_of(node: &CstNode) -> Option<Value> {
    jsonc_parser::parse_to_serde_value(&node.to_string(), &parse_options()).ok()
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(value) => CstInputValue::Number(value.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(list) => CstInputValue::Array(list.iter().map(input).collect()),
        Value::Object(map) => {
            CstInputValue::Object(map.iter().map(|(key, value)| (key.clone(), input(value))).collect())
        }
    }
}
