//! The redo log: a bad tail never changes what the records before it say, and damage never brings anything forth.

use coderclaw_store::{JournalView, Outcome, OutcomeKind, Record, TokenUpdate};
use coderclaw_types::{Code, Millis, Secret, TokenHash};

fn token(n: u32) -> TokenHash {
    TokenHash::of(&Secret::from(format!("canary-{n}")))
}

/// A refresh that went well, one that was refused, an orphan, a logout and a login after it.
fn records() -> Vec<Record> {
    let tokens = |n: u32| {
        let (access, refresh) = (format!("canary-access-{n}"), format!("canary-refresh-{n}"));
        Box::new(TokenUpdate::new(access.into(), refresh.into(), Millis(9), Millis(3)))
    };
    let done =
        |seq, kind, of, code| Record::Done(Box::new(Outcome::new(seq, kind, token(of), Millis(4), code)));
    vec![
        Record::Prepared { at: Millis(1) },
        Record::Sending { token: token(1), at: Millis(2), ambiguous: 0, failures: 0 },
        Record::Answer { spent: token(1), tokens: tokens(1) },
        Record::Applied,
        done(1, OutcomeKind::Refreshed, 1, Code::Ok),
        Record::Prepared { at: Millis(5) },
        Record::Sending { token: token(2), at: Millis(6), ambiguous: 1, failures: 2 },
        done(2, OutcomeKind::Refused, 2, Code::NeedsLogin),
        Record::Orphan { tokens: tokens(3) },
        Record::Logout { at: Millis(7) },
        Record::Login { token: token(2), at: Millis(8) },
    ]
}

fn same(one: &JournalView, other: &JournalView) -> bool {
    // Tokens are masked in it; which they are follows from the records, and those are counted by their end.
    format!("{one:?}") == format!("{other:?}")
}

/// The first byte says how many records come first, the second what else is done to them, the rest is the tail.
pub(super) fn run(bytes: &[u8]) {
    // Whatever it is as a whole, nothing is read beyond it.
    assert!(JournalView::from_bytes(bytes).end() <= bytes.len() as u64);
    let [count, at, tail @ ..] = bytes else { return };
    let records = records();
    let count = usize::from(*count) % (records.len() + 1);
    let valid = Record::lay_out(&records[..count]).expect("they are short");
    let before = JournalView::from_bytes(&valid);
    assert_eq!(before.end(), valid.len() as u64);

    let mut journal = valid.clone();
    journal.extend_from_slice(tail);
    let after = JournalView::from_bytes(&journal);
    assert!(after.end() >= before.end(), "a tail takes nothing away");
    assert!(after.end() > before.end() || same(&before, &after), "a tail that is no record says nothing");

    // Cut off anywhere, it says what the whole records before the cut say.
    let cut = usize::from(*at) * valid.len() / 256;
    let short = JournalView::from_bytes(&valid[..cut]);
    assert!(short.end() <= cut as u64);
    let whole = (0..=count).rev().find_map(|count| {
        let part = Record::lay_out(&records[..count]).expect("they are short");
        (part.len() as u64 == short.end()).then(|| JournalView::from_bytes(&part))
    });
    assert!(same(&short, &whole.expect("it ends between two records")));

    // Damaged anywhere, it ends before the damage.
    if let (Some(byte), Some(damage)) = (journal.get_mut(cut), tail.first().filter(|byte| **byte != 0)) {
        *byte ^= damage;
        let damaged = JournalView::from_bytes(&journal);
        let is_mark = |view: &JournalView| view.end() > cut as u64;
        assert!(
            cut >= valid.len() || !is_mark(&damaged) || is_only_a_mark(&valid, cut, *damage),
            "damage was read"
        );
    }
}

/// The last byte of a record's mark says whether it is known to be on the disk; one flip of it means just that.
fn is_only_a_mark(valid: &[u8], at: usize, damage: u8) -> bool {
    damage == b'0' ^ b'1' && valid.get(at.wrapping_sub(3)..=at).is_some_and(|mark| mark.starts_with(b"CCJ"))
}
