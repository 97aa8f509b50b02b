//! Refuses templates that would cost too much, by their tokens and before anything is compiled.
//!
//! The engine parses and compiles by recursion, and its operators combine values without a limit: a long chain of
//! `1+1+…` overflows the stack, and a few dozen times `x ~ x` exhausts the memory. So the size of a template, the
//! length of its tags and the number of values that one value is made of are limited here. The rest is bounded by the
//! input.

use std::collections::HashMap;

use minijinja::machinery::{Span, Token, WhitespaceConfig, tokenize};

/// The engine counts lines and columns in 16 bits.
const MAX_BYTES: usize = 64_000;
const MAX_TAGS: usize = 1_000;
/// Tokens of one tag. A chain of operators nests as deep as it is long.
const MAX_WORDS: usize = 1_000;
/// The most values that one value may be made of, each counted as often as it is used.
const MAX_WEIGHT: u64 = 512;
/// The largest factor of a multiplication.
const MAX_FACTOR: u64 = 100;
/// The most passes over the template to resolve names that are made of each other.
const MAX_PASSES: usize = 600;

/// Why a template is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) line: Option<usize>,
    pub(super) problem: String,
}

/// The content of `{{ … }}` or `{% … %}`.
struct Tag<'s> {
    line: usize,
    is_statement: bool,
    words: Vec<Token<'s>>,
}

/// The number of values that the value of each name is made of. Names that are not in the map come with the event.
type Weights<'s> = HashMap<&'s str, u64>;

pub(super) fn check(source: &str) -> Result<(), Refused> {
    if source.len() > MAX_BYTES {
        return Err(Refused { line: None, problem: format!("it is longer than {MAX_BYTES} bytes") });
    }
    let tags = tags(source)?;
    check_blocks(&tags)?;
    let mut weights = Weights::new();
    for _ in 0..MAX_PASSES {
        let before = weights.clone();
        for tag in &tags {
            tag.weigh(&mut weights)?;
        }
        if weights == before {
            return Ok(());
        }
    }
    Err(Refused {
        line: None,
        problem: "its variables are made of each other; give each new value a new name".to_owned(),
    })
}

/// The tags, as far as they can be read. The engine decides whether the rest is valid.
fn tags(source: &str) -> Result<Vec<Tag<'_>>, Refused> {
    let mut tags: Vec<Tag<'_>> = Vec::new();
    let mut is_open = false;
    for (token, span) in tokenize(source, false, Default::default(), WhitespaceConfig::default()).map_while(Result::ok)
    {
        let Span { start_line, .. } = span;
        let line = usize::from(start_line);
        match token {
            Token::VariableStart | Token::BlockStart => {
                if tags.len() == MAX_TAGS {
                    return Err(refused(line, format!("there are more than {MAX_TAGS} tags")));
                }
                tags.push(Tag { line, is_statement: matches!(token, Token::BlockStart), words: Vec::new() });
                is_open = true;
            }
            Token::VariableEnd | Token::BlockEnd => is_open = false,
            word => {
                let Some(tag) = tags.last_mut().filter(|_| is_open) else { continue };
                if tag.words.len() == MAX_WORDS {
                    return Err(refused(line, format!("a tag has more than {MAX_WORDS} words")));
                }
                tag.words.push(word);
            }
        }
    }
    Ok(tags)
}

fn refused(line: usize, problem: impl Into<String>) -> Refused {
    Refused { line: Some(line), problem: problem.into() }
}

/// The text between `set` and `endset` is kept as a value, and a loop would multiply it.
fn check_blocks(tags: &[Tag<'_>]) -> Result<(), Refused> {
    let (mut loops, mut texts) = (0_usize, 0_usize);
    for tag in tags {
        match tag.keyword() {
            Some("for") => loops += 1,
            Some("endfor") => loops = loops.saturating_sub(1),
            Some("set") if tag.assignment().is_none() => texts += 1,
            Some("endset") => texts = texts.saturating_sub(1),
            Some("filter") => {
                return Err(refused(tag.line, "`{% filter %}` is not available; write `{{ x | filter }}`"));
            }
            _ => {}
        }
        if loops > 0 && texts > 0 {
            return Err(refused(tag.line, "`{% for %}` and a `{% set %}` without `=` cannot stand within each other"));
        }
    }
    Ok(())
}

impl<'s> Tag<'s> {
    fn keyword(&self) -> Option<&'s str> {
        match self.words.first() {
            Some(Token::Ident(name)) if self.is_statement => Some(name),
            _ => None,
        }
    }

    /// The place of the first `=` outside brackets.
    fn assignment(&self) -> Option<usize> {
        self.outermost().find(|(_, word)| matches!(word, Token::Assign)).map(|(at, _)| at)
    }

    /// The tokens outside brackets, with their places.
    fn outermost(&self) -> impl Iterator<Item = (usize, &Token<'s>)> {
        let mut depth = 0_usize;
        self.words.iter().enumerate().filter(move |(_, word)| {
            match word {
                Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
                Token::ParenClose | Token::BracketClose | Token::BraceClose => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
    }

    /// Checks the weight of the tag's values, and records the weight of the names that it sets.
    fn weigh(&self, weights: &mut Weights<'s>) -> Result<(), Refused> {
        let words = self.words.as_slice();
        // The names before this place are set; the tokens after it are their values.
        let split = match self.keyword() {
            None => 0,
            Some("set") => self.assignment().map_or(words.len(), |at| at + 1),
            Some("with") => return self.weigh_with(weights),
            Some("for") => {
                if matches!(words.last(), Some(Token::Ident("recursive"))) {
                    return Err(refused(self.line, "a loop that calls itself is not available; take `recursive` out"));
                }
                let mut outermost = self.outermost();
                outermost.find(|(_, word)| matches!(word, Token::Ident("in"))).map_or(words.len(), |(at, _)| at + 1)
            }
            Some(_) => 1,
        };
        let (given, made_of) = words.split_at(split.min(words.len()));
        let weight = self.weight(made_of, weights)?;
        for word in given.iter().skip(1) {
            self.give(word, weight, weights);
        }
        Ok(())
    }

    /// `{% with a = x, b = y %}`.
    fn weigh_with(&self, weights: &mut Weights<'s>) -> Result<(), Refused> {
        let places: Vec<usize> =
            self.outermost().filter(|(_, word)| matches!(word, Token::Assign)).map(|(at, _)| at).collect();
        for (nth, at) in places.iter().enumerate() {
            // Up to the next name.
            let end = places.get(nth + 1).map_or(self.words.len(), |next| next.saturating_sub(1));
            let made_of = self.words.iter().enumerate().take(end).skip(at + 1);
            let weight = self.sum(made_of, weights)?;
            match at.checked_sub(1).and_then(|at| self.words.get(at)) {
                Some(word @ Token::Ident(_)) => self.give(word, weight, weights),
                _ => return Err(refused(self.line, "`{% with %}` takes one name for each `=`")),
            }
        }
        Ok(())
    }

    fn give(&self, word: &Token<'s>, weight: u64, weights: &mut Weights<'s>) {
        if let Token::Ident(name) = word {
            let known = weights.entry(name).or_insert(1);
            *known = weight.max(*known);
        }
    }

    fn weight(&self, words: &[Token<'s>], weights: &Weights<'s>) -> Result<u64, Refused> {
        let from = self.words.len() - words.len();
        self.sum(words.iter().enumerate().map(|(at, word)| (at + from, word)), weights)
    }

    fn sum<'a>(
        &self,
        words: impl Iterator<Item = (usize, &'a Token<'s>)>,
        weights: &Weights<'s>,
    ) -> Result<u64, Refused>
    where
        's: 'a,
    {
        let (mut sum, mut factor) = (0_u64, 1_u64);
        for (at, word) in words {
            sum += match word {
                Token::Ident(name) if self.is_value(at, name) => weights.get(name).copied().unwrap_or(1),
                Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_) => 1,
                Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => 1,
                Token::Mul => {
                    factor = factor.saturating_mul(self.factor(at)?);
                    0
                }
                Token::Pow => return Err(refused(self.line, "`**` is not available")),
                _ => 0,
            };
        }
        let weight = sum.saturating_mul(factor).max(1);
        if weight > MAX_WEIGHT {
            let problem = format!(
                "it puts more than {MAX_WEIGHT} values into one; use fewer, and make no variable of itself in a loop"
            );
            return Err(refused(self.line, problem));
        }
        Ok(weight)
    }

    /// Whether a token names a value, and not a member, a filter, a test or a keyword.
    fn is_value(&self, at: usize, name: &str) -> bool {
        const WORDS: [&str; 8] = ["and", "or", "not", "in", "is", "if", "else", "defined"];
        let before = at.checked_sub(1).and_then(|at| self.words.get(at));
        !matches!(before, Some(Token::Dot | Token::Pipe | Token::Ident("is"))) && !WORDS.contains(&name)
    }

    /// The factor of a `*`.
    fn factor(&self, at: usize) -> Result<u64, Refused> {
        let number = |at: Option<usize>| match at.and_then(|at| self.words.get(at)) {
            Some(Token::Int(number)) if *number <= MAX_FACTOR => Some((*number).max(1)),
            _ => None,
        };
        let factor = number(Some(at + 1)).or_else(|| number(at.checked_sub(1)));
        let problem =
            format!("`*` takes a whole number of at most {MAX_FACTOR} on one side; it repeats texts and lists");
        factor.ok_or_else(|| refused(self.line, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_taken() {
        let many = (0..60).map(|n| format!("\"field_{n}\": data.object.a{n} | default(none)")).collect::<Vec<_>>();
        for source in [
            "",
            "no template at all",
            r#"{"user": {{ data.object.external_id | tojson }}, "all": {{ data }}}"#,
            "{{ 'u-' ~ data.object.external_id ~ '/' ~ type }}",
            "{% set url = 'https://x/' ~ data.object.tx_hash %}{% set url2 = url ~ '?a=1' %}{{ url }}{{ url2 }}",
            "{% for x in data.list %}{% if x.a is defined and x.a in ['a', 'b'] %}{{ loop.index * 2 }}{% endif %}{% endfor %}",
            "{% with a = data.object, b = a.id %}{{ a }}{{ b }}{% endwith %}",
            "{% set u %}{{ data.object.external_id }}{% endset %}{{ u }}",
            "{{ data.upstream.block * 100 + 1 }}",
            "{% raw %}{{ x ** y }}{% endraw %}{# x ** y #}",
            &format!("{{{{ {{{}}} }}}}", many.join(", ")),
        ] {
            assert_eq!(check(source), Ok(()), "{source}");
        }
    }

    #[test]
    fn what_could_grow_without_end_is_refused() {
        let doubling = "{% set x = x ~ x %}".repeat(40);
        let lists = "{% set x = [x, x] %}".repeat(40);
        let deep = "{% set x = [x] %}".repeat(3_000);
        let nested = "{% for x in [x ~ x] %}".repeat(100);
        let texts = "{% set x %}{% for i in range(9999) %}text{% endfor %}{% endset %}";
        let chain = format!("{{{{ {} }}}}", vec!["1"; 100_000].join("+"));
        let alternating = "{% for i in l %}{% set a = b ~ b %}{% set b = a %}{% endfor %}";
        for (source, problem) in [
            (doubling.as_str(), "into one"),
            (&lists, "into one"),
            (&deep, "more than 1000 tags"),
            (&deep[..deep.len() / 3], "into one"),
            (&nested, "into one"),
            (texts, "cannot stand within each other"),
            (&chain, "longer than 64000 bytes"),
            (&chain[..60_000], "more than 1000 words"),
            (alternating, "into one"),
            ("{% for i in l %}{% set x = x ~ i %}{% endfor %}", "into one"),
            ("{% for i in l %}{% with x = x ~ x %}{{ x }}{% endwith %}{% endfor %}", "into one"),
            ("{{ [1] * 10**12 }}", "`**` is not available"),
            ("{{ [1] * 1000000000000 }}", "`*` takes a whole number"),
            ("{{ 2 ** 100 }}", "`**` is not available"),
            ("{{ 'x' * 1000 }}", "`*` takes a whole number"),
            ("{{ 'x' * 100 * 100 }}", "into one"),
            ("{{ x * y }}", "`*` takes a whole number"),
            ("{% filter upper %}x{% endfilter %}", "`{% filter %}` is not available"),
            ("{% for x in l recursive %}{{ loop(x) }}{% endfor %}", "take `recursive` out"),
        ] {
            let error = check(source).unwrap_err();
            assert!(error.problem.contains(problem), "{}: {error:?}", source.get(..60).unwrap_or(source));
        }
        assert_eq!(check("\n\n{{ a ** b }}").unwrap_err().line, Some(3));
    }
}
