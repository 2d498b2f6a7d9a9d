//! Parts of an answer that are there together go on together.
//!
//! Each part that is written by itself is a system call here and a wake-up at the client, and a stream has many small
//! ones. Nothing waits for what is not there.

use bytes::{Bytes, BytesMut};

/// What has come and is not passed on yet.
#[derive(Default)]
pub(crate) struct Gathered {
    first: Option<Bytes>,
    more: BytesMut,
}

/// Enough to be worth a call of its own.
const ENOUGH: usize = 16 * 1024;

impl Gathered {
    /// Takes a part; gives all back where that is enough.
    pub(crate) fn add(&mut self, bytes: Bytes) -> Option<Bytes> {
        match &self.first {
            // One alone is not copied.
            None => self.first = Some(bytes),
            Some(first) => {
                if self.more.is_empty() {
                    self.more.extend_from_slice(first);
                }
                self.more.extend_from_slice(&bytes);
            }
        }
        let size = self.more.len().max(self.first.as_ref().map_or(0, Bytes::len));
        if size < ENOUGH { None } else { self.take() }
    }

    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let first = self.first.take()?;
        Some(if self.more.is_empty() { first } else { self.more.split().freeze() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes together goes together, in order, and not beyond what is enough; one part alone is passed on as it is.
    #[test]
    fn parts_are_gathered_in_order() {
        let mut gathered = Gathered::default();
        assert!(gathered.take().is_none());
        let one = Bytes::from_static(b"one");
        assert!(gathered.add(one.clone()).is_none());
        assert_eq!(gathered.take().unwrap().as_ptr(), one.as_ptr(), "not copied");
        for _ in 0..2 {
            for part in ["a", "bc", "", "def"] {
                assert!(gathered.add(Bytes::from_static(part.as_bytes())).is_none());
            }
            assert_eq!(gathered.take().unwrap(), "abcdef");
            assert!(gathered.take().is_none());
        }
        let large = Bytes::from(vec![b'x'; ENOUGH]);
        assert_eq!(gathered.add(large.clone()).unwrap().as_ptr(), large.as_ptr());
        assert!(gathered.add(one).is_none());
        assert_eq!(gathered.add(large).unwrap().len(), 3 + ENOUGH);
        assert!(gathered.take().is_none());
    }
}
