//! Tables for people: columns as wide as what stands in them, colours only where the reader's terminal shows them.

/// Between two columns.
const GAP: &str = "   ";

/// The most characters of a free text in a table; what is longer is cut and ends in `…`.
const LONGEST_TEXT: usize = 60;

/// What a colour says. The word in the cell says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As it should be.
    Green,
    /// Somebody or something is waited for.
    Yellow,
    /// It will not happen, or is not as it should be.
    Red,
}

/// Whether colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// For a terminal.
    Colours,
    /// For everything else.
    Plain,
}

impl Paint {
    /// As standard output takes it.
    pub fn of_output() -> Self {
        if crate::terminal::coloured() { Self::Colours } else { Self::Plain }
    }
}

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A word in a colour.
    pub fn coloured(text: impl Into<String>, colour: Option<Colour>) -> Self {
        Self { text: printable(&text.into()), colour }
    }

    /// Text that somebody wrote, cut where it is too long for a table.
    pub fn free_text(text: &str) -> Self {
        let text = printable(text);
        let cut: String = text.chars().take(LONGEST_TEXT).collect();
        let text = if cut.len() < text.len() { format!("{cut}…") } else { cut };
        Self { text, colour: None }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text, None)
    }
}

/// Nothing that an object holds moves a terminal's cursor or breaks a line. An empty field is `-`.
fn printable(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A heading and rows of as many cells.
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// With this heading and no rows.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(Cell::from).to_vec()] }
    }

    /// One more row. Missing cells are empty.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Without the column of this number, counted from 0: what is the same in every row.
    pub fn without(mut self, column: usize) -> Self {
        for row in &mut self.rows {
            if column < row.len() {
                row.remove(column);
            }
        }
        self
    }

    /// The text, a line for each row; no line ends in spaces.
    pub fn text(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column| self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let mut owed = 0;
            for (cell, width) in row.iter().zip(&widths) {
                line.extend(std::iter::repeat_n(' ', owed));
                line.push_str(&painted(&cell.text, cell.colour, paint));
                owed = width.saturating_sub(cell.width()).saturating_add(GAP.len());
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// The text in its colour.
pub fn painted(text: &str, colour: Option<Colour>, paint: Paint) -> String {
    let code = match (paint, colour) {
        (Paint::Plain, _) | (Paint::Colours, None) => return text.to_owned(),
        (Paint::Colours, Some(Colour::Green)) => "32",
        (Paint::Colours, Some(Colour::Yellow)) => "33",
        (Paint::Colours, Some(Colour::Red)) => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["NAME", "PHASE", "REASON"]);
        table.row(vec!["é".into(), Cell::coloured("Ready", Some(Colour::Green)), "order 7".into()]);
        table.row(vec!["orders-x7k2p".into(), "Pending".into(), "".into()]);
        table
    }

    #[test]
    fn a_column_is_as_wide_as_what_stands_in_it() {
        let lines = [
            "NAME           PHASE     REASON",
            "é              Ready     order 7",
            "orders-x7k2p   Pending   -",
        ];
        assert_eq!(table().text(Paint::Plain).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn colours_move_no_column_and_stand_on_a_terminal_only() {
        let coloured = table().text(Paint::Colours);
        assert!(coloured.contains("\x1b[32mReady\x1b[0m     order 7"), "{coloured:?}");
        assert!(!table().text(Paint::Plain).contains('\x1b'));
    }

    #[test]
    fn a_name_can_not_write_over_the_terminal() {
        let mut table = Table::new(["NAME"]);
        table.row(vec!["a\x1b[2Jb\nc\r".into()]);
        assert_eq!(table.text(Paint::Plain), "NAME\na [2Jb c \n");
    }

    #[test]
    fn a_long_reason_is_cut_and_says_so() {
        let mut table = Table::new(["REASON"]);
        table.row(vec![Cell::free_text(&"r".repeat(61))]);
        table.row(vec![Cell::free_text(&"r".repeat(60))]);
        let text = table.text(Paint::Plain);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines, ["r".repeat(60) + "…", "r".repeat(60)]);
    }

    #[test]
    fn a_column_that_is_the_same_everywhere_can_go() {
        assert_eq!(table().without(0).text(Paint::Plain).lines().next(), Some("PHASE     REASON"));
    }
}
