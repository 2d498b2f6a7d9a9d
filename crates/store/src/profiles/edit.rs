//! Removing, renaming and bringing back entries, with everything that is said about them elsewhere in the store.

use coderclaw_types::{GrantId, ProfileId};
use serde_json::{Value, json};

use super::AuthProfiles;

impl AuthProfiles {
    /// Takes the entry out, and with it its place in every order and what the store itself remembers about its use.
    /// False where there is none; nothing has changed then.
    pub fn remove(&mut self, id: &ProfileId) -> bool {
        if self.profiles.shift_remove(id.as_str()).is_none() {
            return false;
        }
        self.forget(id.as_str(), None);
        true
    }

    /// Gives the entry another id, in its place and byte for byte, and does the same in every order and in what the
    /// store itself remembers about its use. False where there is no such entry, or the new id is taken.
    pub fn rename(&mut self, id: &ProfileId, to: &ProfileId) -> bool {
        if self.profiles.contains_key(to.as_str()) {
            return false;
        }
        let Some(at) = self.profiles.get_index_of(id.as_str()) else {
            return false;
        };
        if let Some(raw) = self.profiles.shift_remove(id.as_str()) {
            self.profiles.shift_insert(at, to.as_str().into(), raw);
        }
        self.forget(id.as_str(), Some(to.as_str()));
        true
    }

    /// Copies an entry that is missing here from another document, byte for byte. False where it is not there, or is
    /// here already.
    pub fn take_from(&mut self, other: &Self, id: &ProfileId) -> bool {
        match other.profiles.get(id.as_str()) {
            Some(raw) if !self.profiles.contains_key(id.as_str()) => {
                self.profiles.insert(id.as_str().into(), raw.clone());
                true
            }
            _ => false,
        }
    }

    /// Puts the entry of another document here, byte for byte, whatever stood under its id.
    pub fn put_from(&mut self, other: &Self, id: &ProfileId) {
        if let Some(raw) = other.profiles.get(id.as_str()) {
            self.profiles.insert(id.as_str().into(), raw.clone());
        }
    }

    /// Notes which grant a login belongs to. Everything else in its entry stays.
    pub fn set_grant(&mut self, id: &ProfileId, grant: &GrantId) {
        let Some(slot) = self.profiles.get_mut(id.as_str()) else { return };
        if let Ok(mut map) = serde_json::from_str::<serde_json::Map<String, Value>>(slot.get()) {
            map.insert("grant".into(), json!(grant));
            *slot = super::entry_text(&map);
        }
    }

    /// Whether both hold the same bytes under `id`.
    pub fn is_same(&self, other: &Self, id: &ProfileId) -> bool {
        let text = |doc: &Self| doc.profiles.get(id.as_str()).map(|raw| raw.get().to_owned());
        text(self).is_some() && text(self) == text(other)
    }

    /// One text field of an entry that has no meaning to this program by itself.
    pub fn field(&self, id: &ProfileId, name: &str) -> Option<String> {
        let fields: serde_json::Map<String, Value> =
            serde_json::from_str(self.profiles.get(id.as_str())?.get()).ok()?;
        fields.get(name)?.as_str().map(str::to_owned)
    }

    /// Puts an entry that is JSON text already.
    pub(crate) fn put_text(&mut self, id: &ProfileId, text: &str) {
        self.profiles.insert(id.as_str().into(), super::raw(text));
    }

    /// Whether both hold the same entries but for `except`, byte for byte.
    pub fn same_but_for(&self, other: &Self, except: &[&ProfileId]) -> bool {
        let rest = |doc: &Self| -> Vec<(String, String)> {
            let kept = doc.profiles.iter().filter(|(id, _)| except.iter().all(|one| one.as_str() != *id));
            kept.map(|(id, raw)| (id.clone(), raw.get().to_owned())).collect()
        };
        rest(self) == rest(other)
    }

    /// Removes or renames what is said about an id outside its entry. A key that does not speak of it keeps its text.
    fn forget(&mut self, id: &str, to: Option<&str>) {
        let mut orders = self.object("order");
        let mut touched = false;
        for (_, order) in &mut orders {
            let Some(ids) = order.as_array_mut() else { continue };
            let is_it = |one: &Value| one.as_str().map(str::trim) == Some(id);
            if !ids.iter().any(is_it) {
                continue;
            }
            touched = true;
            match to {
                Some(to) => ids.iter_mut().filter(|one| is_it(one)).for_each(|one| *one = json!(to)),
                None => ids.retain(|one| !is_it(one)),
            }
        }
        if touched {
            orders.retain(|_, order| order.as_array().is_none_or(|ids| !ids.is_empty()));
            self.set_object("order", orders);
        }
        let mut usage = self.object("usageStats");
        if let Some(stats) = usage.shift_remove(id) {
            if let Some(to) = to {
                usage.insert(to.into(), stats);
            }
            self.set_object("usageStats", usage);
        }
        let mut last = self.object("lastGood");
        if last.values().any(|one| one.as_str() == Some(id)) {
            match to {
                Some(to) => {
                    last.values_mut().filter(|one| one.as_str() == Some(id)).for_each(|one| *one = json!(to));
                }
                None => last.retain(|_, one| one.as_str() != Some(id)),
            }
            self.set_object("lastGood", last);
        }
    }
}

#[cfg(test)]
mod tests {
    use coderclaw_types::ProviderId;

    use super::super::tests::STORE;
    use super::*;

    /// C17, F3: a removed entry takes its place in the orders and its usage along; all others keep their bytes.
    #[test]
    fn c17_a_removed_entry_leaves_nothing_behind() {
        let text = STORE.replace(
            r#""usageStats": {"a": {"errorCount": 1}}"#,
            r#""usageStats": {"a": {"errorCount": 1}, "odd": {"lastUsed": 3}}, "lastGood": {"acme": "odd", "x": "a"}"#,
        );
        let text = text.replace(r#"" anthropic:manual ""#, r#"" anthropic:manual ", "odd""#);
        let before = AuthProfiles::parse(&text).unwrap();
        let odd = ProfileId::stored("odd");
        let mut doc = before.clone();
        assert!(doc.remove(&odd) && !doc.remove(&odd));
        let after = doc.to_text();
        assert!(
            !after.contains("odd") && after.contains("errorCount") && after.contains("2.50, 1e3"),
            "{after}"
        );
        assert!(doc.same_but_for(&before, &[&odd]));
        let manual = ProfileId::stored("anthropic:manual");
        assert!(doc.remove(&manual));
        assert_eq!(doc.order(&ProviderId::new("anthropic")), None);
        // A key that does not speak of the entry keeps its own text.
        let mut doc = before.clone();
        doc.remove(&ProfileId::stored("broken"));
        assert!(doc.to_text().contains(r#"{"acme": "odd", "x": "a"}"#));
    }

    #[test]
    fn a_renamed_entry_keeps_its_place_and_its_bytes() {
        let before = AuthProfiles::parse(STORE).unwrap();
        let (old, new) = (ProfileId::stored("anthropic:manual"), ProfileId::stored("anthropic:work"));
        let mut doc = before.clone();
        assert!(!doc.rename(&old, &ProfileId::stored("odd")) && !doc.rename(&new, &old));
        assert!(doc.rename(&old, &new));
        let place = |doc: &AuthProfiles, id: &ProfileId| doc.ids().position(|one| one == *id);
        assert_eq!(place(&doc, &new), place(&before, &old));
        assert_eq!(doc.order(&ProviderId::new("anthropic")), Some(vec![new.clone()]));
        assert!(
            doc.to_text()
                .contains(r#""anthropic:work": { "type": "token", "provider": "Anthropic", "token": "t" }"#)
        );
        assert!(doc.same_but_for(&before, &[&old, &new]));
        let mut other = AuthProfiles::empty();
        assert!(other.take_from(&doc, &new) && !other.take_from(&doc, &new) && !other.take_from(&doc, &old));
    }
}
