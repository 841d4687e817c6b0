//! What search compares: names and file names as a row of plain words.
//!
//! The same for every store, so that all supernodes find the same. Knows nothing of ranking.

use std::collections::HashSet;

/// Longest row of words of one torrent, in bytes.
const MAX_WORDS: usize = 4_096;
/// Longest word, in bytes; what is longer is cut off.
const MAX_WORD: usize = 64;
/// Most words of a query.
const MAX_QUERY: usize = 16;

/// The words of these texts: letters and digits in lower case, each word once. Scripts without spaces count each sign as
/// a word.
#[must_use]
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    let mut length = 0;
    for text in texts {
        for word in split(text) {
            if length + word.len() + 1 > MAX_WORDS {
                return all;
            }
            if seen.insert(word.clone()) {
                length += word.len() + 1;
                all.push(word);
            }
        }
    }
    all
}

/// The words of a query, all of which must be found.
#[must_use]
pub fn query(text: &str) -> Vec<String> {
    let mut words = words([text]);
    words.truncate(MAX_QUERY);
    words
}

fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let alone = is_alone(c);
        if (alone || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if alone {
            words.push(c.to_string());
        } else if c.is_alphanumeric() && word.len() + c.len_utf8() <= MAX_WORD {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Signs of scripts that put no space between words: Thai to Khmer, kana, Chinese characters.
fn is_alone(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
        && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_people_see_a_word_end() {
        assert_eq!(
            words(["Ubuntu-24.04_desktop.ISO", "ubuntu readme"]),
            ["ubuntu", "24", "04", "desktop", "iso", "readme"]
        );
        assert_eq!(words(["Ünïcode ÄRGER"]), ["ünïcode", "ärger"]);
        assert_eq!(words(["東京 2020"]), ["東", "京", "2020"]);
        assert_eq!(words(["\"' OR 1=1; --"]), ["or", "1"]);
    }

    #[test]
    fn a_torrent_of_many_files_has_a_bounded_row_of_words() {
        let names: Vec<String> = (0..10_000).map(|number| format!("file{number}")).collect();
        let all = words(names.iter().map(String::as_str));
        assert!(all.iter().map(|word| word.len() + 1).sum::<usize>() <= MAX_WORDS);
        assert_eq!(words(["a".repeat(1_000).as_str()])[0].len(), MAX_WORD);
        assert_eq!(query(&"a b c d e f g h i j k l m n o p q r s t".repeat(2)).len(), MAX_QUERY);
    }
}
