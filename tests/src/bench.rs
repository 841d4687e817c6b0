//! What the benchmarks share: arguments, medians with their spread, one table of ratios, one JSON line.
//!
//! Measures nothing itself. Only ratios within one run mean anything: machines differ.

use serde_json::{Value, json};

/// Arguments of a benchmark: `[RUNS] [MIB]`.
#[derive(Debug, Clone, Copy)]
pub struct Arguments {
    /// Isolated runs of each row.
    pub runs: usize,
    /// Size of the content in MiB.
    pub mib: u64,
}

impl Arguments {
    /// Those of the command line, else `runs` and `mib`.
    ///
    /// # Panics
    /// When they are no numbers.
    #[must_use]
    pub fn or(runs: usize, mib: u64) -> Self {
        let numbers: Vec<u64> = std::env::args()
            .skip(1)
            .map(|arg| arg.parse().unwrap_or_else(|_| panic!("usage: [RUNS] [MIB], not {arg}")))
            .collect();
        Self {
            runs: numbers.first().map_or(runs, |number| *number as usize),
            mib: numbers.get(1).copied().unwrap_or(mib),
        }
    }
}

/// One way of doing the same thing, with the figure of each run.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// One figure a run.
    pub figures: Vec<f64>,
}

/// Rows of one unit, compared with the first.
#[derive(Debug, Clone)]
pub struct Table {
    title: String,
    unit: String,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: &str, unit: &str) -> Self {
        Self { title: title.to_owned(), unit: unit.to_owned(), rows: Vec::new() }
    }

    /// Adds the figure of one run to the row `name`.
    pub fn add(&mut self, name: &str, figure: f64) {
        eprintln!("  {name}: {figure:.3} {}", self.unit);
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.figures.push(figure),
            None => self.rows.push(Row { name: name.to_owned(), figures: vec![figure] }),
        }
    }

    /// Median of the row `name`; NaN when there is none.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        self.rows.iter().find(|row| row.name == name).map_or(f64::NAN, |row| median(&row.figures))
    }

    /// Prints the table, each row's ratio to the first, and one line of JSON.
    pub fn print(&self) {
        let wide = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("\n{} ({}; load {})", self.title, self.unit, load.split(' ').next().unwrap_or("?"));
        println!("{:wide$}  {:>9} {:>9} {:>9}  {:>5} {:>7}", "", "median", "min", "max", "runs", "ratio");
        let base = self.rows.first().map_or(f64::NAN, |row| median(&row.figures));
        for row in &self.rows {
            let (low, high) = spread(&row.figures);
            let middle = median(&row.figures);
            println!(
                "{:wide$}  {middle:>9.3} {low:>9.3} {high:>9.3}  {:>5} {:>6.2}x",
                row.name,
                row.figures.len(),
                middle / base
            );
        }
        println!("{}", self.json());
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| json!({ "name": row.name, "median": median(&row.figures), "figures": row.figures }))
            .collect();
        json!({ "bench": self.title, "unit": self.unit, "rows": rows })
    }
}

/// Prints a promise and whether this run kept it; nothing fails by a figure.
pub fn promise(what: &str, figure: f64, at_least: f64) {
    let kept = if figure >= at_least { "kept" } else { "NOT kept" };
    println!("{kept}: {what}: {figure:.2} (at least {at_least:.2})");
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

fn spread(figures: &[f64]) -> (f64, f64) {
    let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
    (low, figures.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middle_figures() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
