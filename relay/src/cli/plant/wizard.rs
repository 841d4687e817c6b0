//! `anatomic plant` without arguments on a terminal: asks what, on which nodes, and for whom.
//!
//! Questions and answers only; every question has a default that Enter takes.

use anatomic_mesh::Listing;
use anatomic_mesh::api::NodeEntry;
use std::io::{self, BufRead, Write};

/// Asks one question; an empty answer is the default. Fails at the end of the input.
fn ask(input: &mut impl BufRead, output: &mut impl Write, question: &str) -> io::Result<String> {
    write!(output, "{question} ")?;
    output.flush()?;
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answers ended; nothing was planted"));
    }
    Ok(line.trim().to_owned())
}

/// What is to be planted.
pub(super) fn source(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<String> {
    loop {
        let answer =
            ask(input, output, "What shall be planted? File, folder, .torrent file, magnet or link:")?;
        // As file managers and shells quote what is dropped on a terminal.
        let plain = answer.trim_matches(['\'', '"']).to_owned();
        if !plain.is_empty() {
            return Ok(plain);
        }
    }
}

/// On which of the nodes offered; all of them in the order of preference, and how many.
pub(super) fn nodes(
    input: &mut impl BufRead,
    output: &mut impl Write,
    offered: &[NodeEntry],
    default: usize,
) -> io::Result<(Vec<NodeEntry>, usize)> {
    let count = default.min(offered.len()).max(1);
    writeln!(output, "Nodes that take torrents now:")?;
    for (at, node) in offered.iter().enumerate() {
        let free = node.free.map_or_else(String::new, |free| format!(", room for {free}"));
        let seen = node.seen.map_or_else(String::new, |age| format!(", seen {age} s ago"));
        writeln!(output, "  {}  {}{free}{seen}", at + 1, node.url)?;
    }
    loop {
        let question = format!("On which? Numbers such as 1 3 [the first {count}]:");
        let answer = ask(input, output, &question)?;
        if answer.is_empty() {
            return Ok((offered.to_vec(), count));
        }
        let words = answer.split([' ', ',']).filter(|word| !word.is_empty());
        let chosen: Option<Vec<NodeEntry>> = words
            .map(|word| word.parse::<usize>().ok()?.checked_sub(1).and_then(|at| offered.get(at)).cloned())
            .collect();
        match chosen {
            Some(chosen) if (1..=8).contains(&chosen.len()) => {
                let count = chosen.len();
                return Ok((chosen, count));
            }
            _ => writeln!(output, "Write 1 to 8 numbers of the list.")?,
        }
    }
}

/// A yes or no.
fn yes(input: &mut impl BufRead, output: &mut impl Write, question: &str, default: bool) -> io::Result<bool> {
    let hint = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        match ask(input, output, &format!("{question} {hint}"))?.to_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// Whether search may find it.
pub(super) fn listing(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<Listing> {
    let listed = yes(input, output, "May people find it by searching? Without, by its link alone.", true)?;
    Ok(if listed { Listing::Listed } else { Listing::Unlisted })
}

/// Whether the files are seeded right away.
pub(super) fn seed(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    yes(input, output, "Seed it from here until Ctrl-C?", true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<NodeEntry> {
        let node = |number: u8| {
            let json = format!(r#"{{"key":"{}","url":"http://n{number}","free":5}}"#, "0".repeat(64));
            serde_json::from_str(&json).unwrap()
        };
        (1..=4).map(node).collect()
    }

    #[test]
    fn enter_takes_the_default_and_nonsense_is_asked_again() {
        let mut output = Vec::new();
        let mut input = io::Cursor::new("\n'/tmp/a b'\n9\n4 2\n\nmaybe\nn\n\n");
        assert_eq!(source(&mut input, &mut output).unwrap(), "/tmp/a b");
        let (chosen, count) = nodes(&mut input, &mut output, &offered(), 3).unwrap();
        let urls: Vec<_> = chosen.iter().map(|node| node.url.as_str()).collect();
        assert_eq!((urls, count), (vec!["http://n4", "http://n2"], 2));
        let (all, count) = nodes(&mut input, &mut output, &offered(), 3).unwrap();
        assert_eq!((all.len(), count), (4, 3));
        assert_eq!(listing(&mut input, &mut output).unwrap(), Listing::Unlisted);
        assert!(seed(&mut input, &mut output).unwrap());
        assert!(seed(&mut input, &mut output).is_err(), "the input ended");
        assert!(String::from_utf8(output).unwrap().contains("1  http://n1, room for 5"));
    }
}
