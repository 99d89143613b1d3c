//! The demo's voice: one line for each step with the time it took, in colour where a person reads.

use std::io::IsTerminal;
use std::time::Instant;

/// Tells steps as they happen.
pub struct Story {
    began: Instant,
    step: Instant,
    colour: Colour,
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
        };
        println!("{}\n", story.painted("1", title));
        story
    }

    /// Says who does what next, and starts the step's clock.
    pub fn act(&mut self, text: &str) {
        println!("{}", self.painted("36", &format!("▸ {text}")));
        self.step = Instant::now();
    }

    /// Says how the step went: as told.
    pub fn done(&mut self, text: &str) {
        let seconds = self.step.elapsed().as_secs_f64();
        let tick = self.painted("32", "✓");
        println!("  {tick} {text} {}", self.painted("2", &format!("({seconds:.2} s)")));
        self.step = Instant::now();
    }

    /// Shows what a program printed.
    pub fn shows(&self, printed: &str) {
        for line in printed.lines().filter(|line| !line.trim().is_empty()) {
            println!("    {}", self.painted("2", line));
        }
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
