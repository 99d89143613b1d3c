//! The demo's voice: one line for each step with the time it took, in colour where a person reads.

use std::io::IsTerminal;
use std::time::Instant;

/// Tells steps as they happen.
pub struct Story {
    began: Instant,
    step: Instant,
    colour: Colour,
    told: Vec<String>,
}

enum Colour {
    Yes,
    No,
}

impl Story {
    /// Begins now. Colours only on a terminal and without `NO_COLOR`.
    pub fn begins(title: &str) -> Self {
        let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let story = Self {
            began: Instant::now(),
            step: Instant::now(),
            colour: if wanted { Colour::Yes } else { Colour::No },
            told: Vec::new(),
        };
        println!("{}\n", story.painted("1", title));
        story
    }

    /// Says who does what next, and starts the step's clock.
    pub fn act(&mut self, text: &str) {
        let line = format!("▸ {text}");
        println!("{}", self.painted("36", &line));
        self.told.push(line);
        self.step = Instant::now();
    }

    /// Says how the step went: as told.
    pub fn done(&mut self, text: &str) {
        let seconds = self.step.elapsed().as_secs_f64();
        let (tick, took) = ("✓", format!("({seconds:.2} s)"));
        println!("  {} {text} {}", self.painted("32", tick), self.painted("2", &took));
        self.told.push(format!("  {tick} {text} {took}"));
        self.step = Instant::now();
    }

    /// Shows what a program printed.
    pub fn shows(&mut self, printed: &str) {
        for line in printed.lines().filter(|line| !line.trim().is_empty()) {
            println!("    {}", self.painted("2", line));
            self.told.push(format!("    {line}"));
        }
    }

    /// The first line of this excerpt that was not told, or not in this order; numbers and blanks may differ.
    pub fn lacks<'a>(&self, excerpt: &'a str) -> Option<&'a str> {
        let mut told = self.told.iter().map(|line| gist(line));
        excerpt.lines().find(|line| {
            let wanted = gist(line);
            !told.any(|line| line == wanted)
        })
    }

    /// The last line.
    pub fn ends(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        println!("\n{} {}", self.painted("1", text), self.painted("2", &format!("({seconds:.1} s in all)")));
    }

    fn painted(&self, code: &str, text: &str) -> String {
        match self.colour {
            Colour::Yes => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::No => text.to_owned(),
        }
    }
}

/// The line with one blank between words and each number as `#`: times, totals and ids differ from run to run.
fn gist(line: &str) -> String {
    let mut gist = String::new();
    for letter in line.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match letter {
            '0'..='9' if gist.ends_with('#') => {}
            '0'..='9' => gist.push('#'),
            letter => gist.push(letter),
        }
    }
    gist
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Story {
        let mut story = Story::begins("a test");
        story.act("The requester reads");
        story.done("rows");
        story.shows("1\t8\t1.25\n2\t15\t2.50");
        story
    }

    #[test]
    fn an_excerpt_with_other_words_or_another_order_is_lacking() {
        assert_eq!(told().lacks("▸ The requester reads\n  ✓ lines (0.12 s)"), Some("  ✓ lines (0.12 s)"));
        assert_eq!(told().lacks("  ✓ rows (0.12 s)\n▸ The requester reads"), Some("▸ The requester reads"));
    }

    #[test]
    fn an_excerpt_may_leave_lines_out_and_have_other_numbers_and_blanks() {
        assert_eq!(told().lacks("▸ The requester reads\n    1  8   3.75\n"), None);
    }
}
