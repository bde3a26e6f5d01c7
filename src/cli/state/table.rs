//! A table of text for a terminal.

use crate::cli::terminal::one_line;

/// Letters of one cell that are shown.
const MAX_CELL: usize = 72;

/// Lines of cells under a heading, in columns as wide as they have to be.
pub(in crate::cli) struct TextTable {
    lines: Vec<Vec<String>>,
}

impl TextTable {
    pub(in crate::cli) fn new(heading: &[&str]) -> Self {
        Self { lines: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a line. Cells hold what attackers chose: they are made safe here.
    pub(in crate::cli) fn push(&mut self, cells: Vec<String>) {
        let safe = |cell: String| {
            let safe = one_line(&cell);
            match safe.char_indices().nth(MAX_CELL) {
                Some((end, _)) => format!("{}…", &safe[..end]),
                None => safe.into_owned(),
            }
        };
        self.lines.push(cells.into_iter().map(safe).collect());
    }

    /// The text; the last column is as long as it is.
    pub(in crate::cli) fn text(&self) -> String {
        let columns = self.lines.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for line in &self.lines {
            for (number, (cell, width)) in line.iter().zip(&widths).enumerate() {
                text.push_str(cell);
                if number + 1 < line.len() {
                    let gap = width.saturating_sub(cell.chars().count()) + 2;
                    text.extend(std::iter::repeat_n(' ', gap));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned_and_safe() {
        let mut table = TextTable::new(&["a", "issuer"]);
        table.push(vec!["100".to_owned(), "CN=\u{1b}[31mred".to_owned()]);
        assert_eq!(table.text(), "a    issuer\n100  CN=\\u{1b}[31mred\n");
    }
}
