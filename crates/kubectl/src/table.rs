//! Tables as kubectl prints them: columns three spaces apart, headers in upper case.

/// A table of text.
#[derive(Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headers and no rows.
    pub fn new(headers: [&str; N]) -> Self {
        Self {
            rows: vec![headers.map(str::to_uppercase)],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }

    /// The table's lines.
    pub fn render(&self) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(&format!("{cell:<width$}   "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text from the cluster, without what would steer a terminal or break a line.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["name", "age", "note"]);
        table.row(["primary".into(), "3d4h".into(), "é".into()]);
        table.row(["b".into(), "5m".into(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME      AGE    NOTE\nprimary   3d4h   é\nb         5m\n"
        );
    }

    #[test]
    fn a_table_without_rows_is_its_headers() {
        assert_eq!(Table::new(["name"]).render(), "NAME\n");
    }

    #[test]
    fn a_cell_cannot_break_its_line_or_steer_a_terminal() {
        let mut table = Table::new(["name"]);
        table.row(["a\nb\u{1b}[2J".into()]);
        assert_eq!(table.render(), "NAME\na b [2J\n");
    }
}
