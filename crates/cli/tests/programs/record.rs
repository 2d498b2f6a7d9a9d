//! Figures of the table that `cargo xtask e2e` writes: one file for each row, where `SIDE_BY_SIDE` names a folder.

use crate::field::{ALL, Program};

/// One row: what is done to all of them, and what came of it for each.
pub(crate) struct Row {
    number: u32,
    what: &'static str,
    cells: Vec<(Program, String)>,
}

impl Row {
    pub(crate) fn new(number: u32, what: &'static str) -> Self {
        Self { number, what, cells: Vec::new() }
    }

    pub(crate) fn cell(&mut self, program: Program, text: String) {
        println!("{}: {program:?}: {text}", self.what);
        self.cells.push((program, text));
    }

    /// To be called once, at the end of the test that has measured it.
    pub(crate) fn write(self) {
        let Some(folder) = std::env::var_os("SIDE_BY_SIDE") else { return };
        let path = std::path::Path::new(&folder).join(format!("{:02}.tsv", self.number));
        let of = |program| {
            self.cells.iter().find(|(one, _)| *one == program).map_or("not measured", |(_, text)| text)
        };
        let cells = ALL.map(of).join("\t");
        std::fs::write(path, format!("{}\t{cells}\n", self.what)).unwrap();
    }
}
