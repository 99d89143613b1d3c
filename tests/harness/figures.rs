//! Figures: samples with a name and a unit, their median, and how they are printed.

use std::fmt::Write;

use serde_json::{Value, json};

/// What was measured.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    unit: &'static str,
    samples: Vec<f64>,
}

/// Everything that was measured, in order.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figure {
    /// A figure of these samples.
    pub fn of(name: &str, unit: &'static str, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { name: name.to_owned(), unit, samples }
    }

    /// The middle sample, or the mean of the two in the middle. Not a number without samples.
    pub fn median(&self) -> f64 {
        let (half, odd) = (self.samples.len() / 2, self.samples.len() % 2 == 1);
        let upper = self.samples.get(half).copied().unwrap_or(f64::NAN);
        if odd {
            upper
        } else {
            (upper + self.samples.get(half.wrapping_sub(1)).copied().unwrap_or(upper)) / 2.0
        }
    }

    /// As a line of the table.
    fn line(&self) -> String {
        let ((least, most), n) = (self.ends(), self.samples.len());
        let (name, median, unit) = (&self.name, digits(self.median()), self.unit);
        let range = if n > 1 { format!("{} .. {}", digits(least), digits(most)) } else { String::new() };
        format!("{name:<58} {median:>10} {unit:<5} {n:>4}  {range}")
    }

    fn ends(&self) -> (f64, f64) {
        let end = |sample: Option<&f64>| sample.copied().unwrap_or(f64::NAN);
        (end(self.samples.first()), end(self.samples.last()))
    }
}

impl Figures {
    /// One more.
    pub fn add(&mut self, figure: Figure) {
        self.0.push(figure);
    }

    /// The same, and tells it at once: what takes an hour may end before its table.
    pub fn tell(&mut self, figure: Figure) {
        eprintln!("{}", figure.line());
        self.add(figure);
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table =
            format!("\n{:<58} {:>10} {:<5} {:>4}  {}\n", "", "median", "", "n", "smallest .. largest");
        for figure in &self.0 {
            // Writing to a String does not fail.
            let _written = writeln!(table, "{}", figure.line());
        }
        table
    }

    /// For programs.
    pub fn json(&self) -> Value {
        self.0
            .iter()
            .map(|figure| {
                let (least, most) = figure.ends();
                json!({
                    "name": figure.name, "unit": figure.unit, "median": figure.median(),
                    "samples": figure.samples.len(), "smallest": least, "largest": most,
                })
            })
            .collect()
    }
}

/// Three digits that mean something.
fn digits(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
