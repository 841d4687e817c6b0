//! A picture of the pieces: which parts of a torrent are here.
//!
//! Drawn as one path a shade, so that thousands of pieces cost ten elements.

use std::fmt::Write as _;
use yew::prelude::*;

/// Cells in a row.
const COLUMNS: usize = 64;
/// Width and height of a cell, gap included, in drawing units.
const CELL: usize = 10;

/// Draws the picture of `count` pieces. In `map` a digit says how full each stretch of them is: `0` none to `9` all.
pub fn pieces(map: &str, count: u32) -> Html {
    let cells = map.len();
    if cells == 0 {
        return Html::default();
    }
    let columns = cells.min(COLUMNS);
    let (width, height) = (columns * CELL, cells.div_ceil(COLUMNS) * CELL);
    let label = format!("{} pieces, {}", count, words(map));
    html! {
        <svg class="pieces" role="img" aria-label={label} viewBox={format!("0 0 {width} {height}")}
            style={format!("max-width:{}%", columns * 100 / COLUMNS)}>
            { for shades(map).into_iter().filter(|(_, path)| !path.is_empty()).map(|(shade, d)| html! {
                <path class={format!("shade-{shade}")} {d} />
            }) }
        </svg>
    }
}

fn shades(map: &str) -> Vec<(u8, String)> {
    let mut paths: Vec<(u8, String)> = (0..=9).map(|shade| (shade, String::new())).collect();
    for (at, digit) in map.bytes().enumerate() {
        if let Some((_, path)) = paths.get_mut(usize::from(digit.saturating_sub(b'0'))) {
            let (x, y) = (at % COLUMNS * CELL, at / COLUMNS * CELL);
            // Writing to a String cannot fail.
            let _ = write!(path, "M{x} {y}h8v8h-8z");
        }
    }
    paths
}

fn words(map: &str) -> &'static str {
    if map.bytes().all(|digit| digit == b'9') {
        "all here"
    } else if map.bytes().all(|digit| digit == b'0') {
        "none here yet"
    } else {
        "some here"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_drawn_once_in_its_shade() {
        let paths = shades("0900");
        assert_eq!(paths[0].1.matches('M').count(), 3);
        assert_eq!(paths[9].1, "M10 0h8v8h-8z");
        assert_eq!(shades(&"9".repeat(65))[9].1.matches("M0 10").count(), 1);
    }
}
