//! Rows of an SQLite file, read without SQLite.
//!
//! SQLite itself would make a file of its own beside a database that it only reads, and is a megabyte of C that would
//! walk through a stranger's bytes. What is needed here is one text of one table, and the format of the file has been the
//! same since 2004 (sqlite.org/fileformat2.html; the numbers below are from there). Nothing is written, locked or made.

use std::io;

/// How the file begins.
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// No row of interest comes near this.
const MAX_ROW: usize = 16 * 1024 * 1024;
/// Tables that are larger are not what is looked for. Also what ends a walk in a circle.
const MAX_PAGES: u32 = 100_000;

const LEAF: u8 = 13;
const INTERIOR: u8 = 5;

/// Why a row cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqliteError {
    #[error("it is no SQLite database")]
    NotOne,
    #[error("it is cut short")]
    CutShort,
    #[error("{0}")]
    Damaged(&'static str),
    #[error("its table {0} has a layout that is not known here")]
    Layout(String),
    #[error("{0} in it is larger than what is read")]
    TooLarge(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads so many bytes at a place.
type ReadAt<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<()>;

/// A database whose bytes somebody else gets.
pub(crate) struct Database<'a> {
    read_at: ReadAt<'a>,
    page_size: usize,
    /// What of a page is the format's own.
    usable: usize,
    pages: u32,
    encoding: Encoding,
}

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// One value of a row, as far as it is needed here.
enum Value<'a> {
    Text(&'a [u8]),
    Integer(i64),
    Other,
}

impl<'a> Database<'a> {
    /// Looks at the head of a file of `length` bytes. `None` where it is empty, as a database without tables may be.
    pub(crate) fn open(length: u64, read_at: ReadAt<'a>) -> Result<Option<Self>, SqliteError> {
        if length == 0 {
            return Ok(None);
        }
        let mut head = [0; HEADER];
        let known = head.len().min(usize::try_from(length).unwrap_or(HEADER));
        read_at(&mut head[..known], 0)?;
        if !head.starts_with(MAGIC) {
            return Err(SqliteError::NotOne);
        }
        if known < HEADER {
            return Err(SqliteError::CutShort);
        }
        let page_size = match u16_at(&head, 16) {
            Some(1) => 65_536,
            Some(size) if size >= 512 && size.is_power_of_two() => usize::from(size),
            _ => return Err(SqliteError::Damaged("its head names no size of pages")),
        };
        if head[19] > 2 {
            return Err(SqliteError::Layout("of contents".into()));
        }
        let usable = page_size - usize::from(head[20]);
        if usable < 480 {
            return Err(SqliteError::Damaged("its head leaves no room in a page"));
        }
        let encoding = match u32_at(&head, 56) {
            Some(0 | 1) => Encoding::Utf8,
            Some(2) => Encoding::Utf16Le,
            Some(3) => Encoding::Utf16Be,
            _ => return Err(SqliteError::Damaged("its head names no encoding")),
        };
        let there = u32::try_from(length / page_size as u64).unwrap_or(u32::MAX);
        // The number of pages holds where whoever wrote it is who wrote last.
        let is_known = u32_at(&head, 24) == u32_at(&head, 92);
        let pages = u32_at(&head, 28).filter(|pages| is_known && *pages > 0).unwrap_or(there);
        if there < pages || there == 0 {
            return Err(SqliteError::CutShort);
        }
        Ok(Some(Self { read_at, page_size, usable, pages, encoding }))
    }

    /// The text in `value` of the row of `table` whose `key` has the text `wanted`.
    pub(crate) fn text(
        &self,
        table: &str,
        key: &str,
        wanted: &str,
        value: &str,
    ) -> Result<Option<String>, SqliteError> {
        let Some((root, sql)) = self.table(table)? else { return Ok(None) };
        let columns = column_names(&sql);
        let place = |name: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let (Some(key), Some(value)) = (place(key), place(value)) else {
            return Err(SqliteError::Layout(table.to_owned()));
        };
        if has_no_rowid(&sql) {
            return Err(SqliteError::Layout(table.to_owned()));
        }
        self.find(root, |row| {
            let Some(Value::Text(text)) = row.get(key) else { return Ok(None) };
            if self.decode(text)? != wanted {
                return Ok(None);
            }
            match row.get(value) {
                Some(Value::Text(text)) => self.decode(text).map(Some),
                _ => Err(SqliteError::Damaged("where a text should be there is none")),
            }
        })
    }

    /// Where a table begins, and how it was made.
    fn table(&self, name: &str) -> Result<Option<(u32, String)>, SqliteError> {
        self.find(1, |row| {
            let [Value::Text(kind), Value::Text(named), _, Value::Integer(root), Value::Text(sql), ..] = row
            else {
                return Ok(None);
            };
            if self.decode(kind)? != "table" || !self.decode(named)?.eq_ignore_ascii_case(name) {
                return Ok(None);
            }
            let root = u32::try_from(*root).map_err(|_| SqliteError::Damaged("a table begins nowhere"))?;
            Ok(Some((root, self.decode(sql)?)))
        })
    }

    /// What `pick` makes of the first row that it likes of the table that begins at `root`.
    fn find<T>(
        &self,
        root: u32,
        pick: impl Fn(&[Value<'_>]) -> Result<Option<T>, SqliteError>,
    ) -> Result<Option<T>, SqliteError> {
        let broken = || SqliteError::Damaged("a page of it makes no sense");
        let mut ahead = vec![root];
        let mut walked = 0;
        while let Some(number) = ahead.pop() {
            walked += 1;
            // A page has one place in one tree, so a walk that sees more than there are goes in a circle.
            if walked > self.pages {
                return Err(broken());
            }
            if walked > MAX_PAGES {
                return Err(SqliteError::TooLarge("a table"));
            }
            let page = self.page(number)?;
            let at = if number == 1 { HEADER } else { 0 };
            let cells = usize::from(u16_at(&page, at + 3).ok_or_else(broken)?);
            let (kind, pointers) = match page.get(at) {
                Some(&LEAF) => (LEAF, at + 8),
                Some(&INTERIOR) => (INTERIOR, at + 12),
                _ => return Err(broken()),
            };
            if kind == INTERIOR {
                ahead.push(u32_at(&page, at + 8).ok_or_else(broken)?);
            }
            for cell in 0..cells {
                let start = usize::from(u16_at(&page, pointers + 2 * cell).ok_or_else(broken)?);
                if kind == INTERIOR {
                    ahead.push(u32_at(&page, start).ok_or_else(broken)?);
                    // More ways down than there are pages.
                    if ahead.len() > self.pages as usize {
                        return Err(broken());
                    }
                    continue;
                }
                let payload = self.payload(page.get(start..self.usable).ok_or_else(broken)?)?;
                let row = values(&payload).ok_or_else(broken)?;
                if let Some(found) = pick(&row)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// What a cell of a leaf holds, with what of it stands on further pages.
    fn payload(&self, cell: &[u8]) -> Result<Vec<u8>, SqliteError> {
        let broken = || SqliteError::Damaged("a row of it makes no sense");
        let (size, rest) = varint(cell).ok_or_else(broken)?;
        let (_, rest) = varint(rest).ok_or_else(broken)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_ROW);
        let size = size.ok_or(SqliteError::TooLarge("a row"))?;
        let most = self.usable - 35;
        if size <= most {
            return Ok(rest.get(..size).ok_or_else(broken)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let further = self.usable - 4;
        let local = match least + (size - least) % further {
            local if local <= most => local,
            _ => least,
        };
        let mut all = rest.get(..local).ok_or_else(broken)?.to_vec();
        let mut next = u32_at(rest, local).ok_or_else(broken)?;
        while all.len() < size {
            let page = self.page(next)?;
            next = u32_at(&page, 0).ok_or_else(broken)?;
            let part = further.min(size - all.len());
            all.extend_from_slice(page.get(4..4 + part).ok_or_else(broken)?);
        }
        Ok(all)
    }

    fn page(&self, number: u32) -> Result<Vec<u8>, SqliteError> {
        if number == 0 || number > self.pages {
            return Err(SqliteError::Damaged("it points to a page that it does not have"));
        }
        let mut page = vec![0; self.page_size];
        (self.read_at)(&mut page, u64::from(number - 1) * self.page_size as u64)?;
        Ok(page)
    }

    fn decode(&self, text: &[u8]) -> Result<String, SqliteError> {
        let wide = |unit: fn([u8; 2]) -> u16| {
            let units: Vec<u16> =
                text.chunks_exact(2).filter_map(|two| two.try_into().ok()).map(unit).collect();
            String::from_utf16(&units).ok()
        };
        let text = match self.encoding {
            Encoding::Utf8 => std::str::from_utf8(text).ok().map(str::to_owned),
            Encoding::Utf16Le => wide(u16::from_le_bytes),
            Encoding::Utf16Be => wide(u16::from_be_bytes),
        };
        text.ok_or(SqliteError::Damaged("a text in it is none"))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Seven bits a byte, the ninth has eight.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// The values of a row: first what each is, then all of them.
fn values(row: &[u8]) -> Option<Vec<Value<'_>>> {
    let (head, rest) = varint(row)?;
    let head = usize::try_from(head).ok()?;
    let mut kinds = row.get(row.len() - rest.len()..head)?;
    let mut body = row.get(head..)?;
    let mut all = Vec::new();
    while !kinds.is_empty() {
        let (kind, further) = varint(kinds)?;
        kinds = further;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (bytes, further) = body.split_at_checked(usize::try_from(length).ok()?)?;
        body = further;
        all.push(match kind {
            1..=6 => {
                let sign: i64 = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                Value::Integer(bytes.iter().fold(sign, |sum, byte| sum << 8 | i64::from(*byte)))
            }
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            13.. if kind % 2 == 1 => Value::Text(bytes),
            _ => Value::Other,
        });
    }
    Some(all)
}

/// The first word of each line of a `CREATE TABLE`: its columns in their order, then its rules.
fn column_names(sql: &str) -> Vec<String> {
    let sql = without_comments(sql);
    let Some((_, inside)) = sql.split_once('(') else { return Vec::new() };
    let mut names = Vec::new();
    let (mut depth, mut quote, mut part) = (0, None, String::new());
    for c in inside.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '[') => quote = Some(']'),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => break,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                names.push(first_word(&part));
                part.clear();
                continue;
            }
            (None, _) => {}
        }
        part.push(c);
    }
    names.push(first_word(&part));
    names
}

fn first_word(part: &str) -> String {
    let part = part.trim_start();
    let end = match part.chars().next() {
        Some('[') => Some(']'),
        Some(quote @ ('"' | '\'' | '`')) => Some(quote),
        _ => None,
    };
    match end {
        Some(end) => part[1..].split(end).next().unwrap_or_default().to_owned(),
        None => part.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default().to_owned(),
    }
}

/// Such a table is a tree of another kind.
fn has_no_rowid(sql: &str) -> bool {
    let sql = without_comments(sql);
    let after = sql.rsplit_once(')').map_or("", |(_, after)| after).to_ascii_uppercase();
    after.split_whitespace().any(|word| word == "WITHOUT")
}

fn without_comments(sql: &str) -> String {
    let mut rest = sql;
    let mut out = String::new();
    loop {
        let line = rest.find("--");
        let block = rest.find("/*");
        let (start, end) = match (line, block) {
            (None, None) => return out + rest,
            (Some(line), block) if block.is_none_or(|block| line < block) => (line, "\n"),
            (_, Some(block)) => (block, "*/"),
            (Some(line), None) => (line, "\n"),
        };
        out.push_str(&rest[..start]);
        out.push(' ');
        rest = rest[start..].split_once(end).map_or("", |(_, rest)| rest);
    }
}

#[cfg(test)]
mod tests;
