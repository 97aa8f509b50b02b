//! "Did you mean …?": the candidate that a mistyped word was most likely meant to be.
//!
//! The measure is the number of single slips between two words: a character too many, one missing, one wrong, or two
//! neighbours swapped. Case does not count. A word that shares too little with every candidate gets no suggestion,
//! because a wrong one is worse than none.

/// The candidate nearest to `word`, if one is near enough to be meant: at most one slip in three characters. Of equally
/// near ones the first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters = letters(candidate);
            let allowed = word.len().max(letters.len()) / 3;
            // Cheap, and keeps a pasted novel from being compared letter by letter.
            if word.len().abs_diff(letters.len()) > allowed {
                return None;
            }
            let slips = slips(&word, &letters);
            (slips <= allowed).then_some((slips, candidate))
        })
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// What to write instead of a name that is none of these; `none` if there are none.
#[must_use]
pub fn instead(word: &str, known: &[&str], none: &str) -> String {
    nearest_or_all(word, known, "there are ", none)
}

/// What to write instead of a name that no configured endpoint has.
#[must_use]
pub fn endpoint_instead(name: &str, configured: &[&str]) -> String {
    nearest_or_all(name, configured, "configured: ", "no endpoint is configured")
}

fn nearest_or_all(word: &str, known: &[&str], all: &str, none: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => none.to_owned(),
        None => format!("{all}{}", known.join(", ")),
    }
}

fn letters(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// The optimal string alignment distance, kept in three rows.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["deposit.created", "deposit.updated", "wallet.blocked", "url"];

    #[test]
    fn a_slip_is_recognised() {
        for (word, meant) in [
            ("deposit.create", "deposit.created"),
            ("depositcreated", "deposit.created"),
            ("Wallet.Blokced", "wallet.blocked"),
            ("wallet.block", "wallet.blocked"),
            ("uri", "url"),
            ("url", "url"),
        ] {
            assert_eq!(nearest(word, NAMES), Some(meant), "{word}");
        }
    }

    #[test]
    fn something_else_gets_no_suggestion() {
        for word in ["", "x", "invoice.paid", "ab", &"deposit.created".repeat(100)] {
            assert_eq!(nearest(word, NAMES), None, "{word}");
        }
        assert_eq!(nearest("url", []), None);
    }

    #[test]
    fn an_endpoint_is_found_by_a_slip_or_in_the_list_of_all() {
        for (name, configured, hint) in [
            ("shpo", &["crm", "shop"][..], "did you mean `shop`?"),
            ("till", &["crm", "shop"], "configured: crm, shop"),
            ("till", &["shop"], "configured: shop"),
            ("till", &[], "no endpoint is configured"),
        ] {
            assert_eq!(endpoint_instead(name, configured), hint);
        }
    }

    #[test]
    fn slips_are_counted_one_by_one() {
        for (a, b, count) in [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("abc", "abd", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(slips(&letters(a), &letters(b)), count, "{a} {b}");
            assert_eq!(slips(&letters(b), &letters(a)), count, "{b} {a}");
        }
    }
}
