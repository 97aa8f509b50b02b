//! Takes secrets out of a text that repeats them, in whatever way they are spelled there.
//!
//! A receiver that echoes a request may put it into JSON, HTML or an address, several times over: `a/b` comes back as
//! `a\/b`, `a\u002fb`, `a%2Fb`, `a&#47;b`, in hexadecimal digits, or within base64. So a secret is not searched for as a
//! text, but character by character, each in any of its spellings.

use std::borrow::Cow;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::secret::REDACTED;

/// Backslashes before one character: each time that a text is put into another as JSON they double.
const MAX_BACKSLASHES: usize = 16;
/// Less of a secret in base64 or hexadecimal digits could be in any text.
const MIN_ENCODED: usize = 8;

/// The characters that are written by name in HTML.
const NAMED: [(&str, char); 8] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("sol", '/'),
    ("plus", '+'),
    ("equals", '='),
];

/// Knows some secrets, and takes them out of texts.
#[derive(Default)]
pub struct Redactor(Vec<Vec<char>>);

impl Redactor {
    /// Empty texts are no secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: Vec<Vec<char>> = Vec::new();
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            let spellings = [secret.to_owned()].into_iter().chain(in_base64(secret)).chain(in_hex(secret));
            known.extend(spellings.map(|text| text.chars().collect()));
        }
        // Of two that begin alike the longer one is taken out as a whole.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.dedup();
        Self(known)
    }

    /// The text with `[redacted]` in place of each secret.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let chars: Vec<char> = text.chars().collect();
        let (mut clean, mut at, mut found) = (String::new(), 0, false);
        while let Some(rest) = chars.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(length) = self.0.iter().find_map(|secret| spelled(rest, secret)) {
                clean.push_str(REDACTED);
                at += length;
                found = true;
            } else {
                clean.extend(rest.first());
                at += 1;
            }
        }
        if found { Cow::Owned(clean) } else { Cow::Borrowed(text) }
    }
}

/// What base64 of a text that contains the secret contains, wherever in it the secret stands.
fn in_base64(secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for before in 0..3 {
        let bytes = [vec![0; before], secret.as_bytes().to_vec()].concat();
        // Characters that also depend on what stands before or after are left out.
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let encoded = encoding.encode(&bytes);
            if let Some(part) = encoded.get(first..last).filter(|part| part.len() >= MIN_ENCODED) {
                found.push(part.to_owned());
            }
        }
    }
    found
}

fn in_hex(secret: &str) -> impl Iterator<Item = String> {
    let both = [HEXLOWER, HEXUPPER].map(|encoding| encoding.encode(secret.as_bytes()));
    both.into_iter().filter(|digits| digits.len() >= MIN_ENCODED)
}

/// How many characters at the beginning of the text spell the secret. Some spellings begin like others, so all that are
/// possible are followed at once.
fn spelled(text: &[char], secret: &[char]) -> Option<usize> {
    let mut ends = vec![0];
    for wanted in secret {
        let mut next = Vec::new();
        for end in ends {
            one(text.get(end..)?, *wanted, &mut |length| next.push(end + length));
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends.last().copied()
}

/// Tells how many characters at the beginning of the text may spell this one, with any number of the backslashes before
/// it: what looks like one may be the character itself.
fn one(text: &[char], wanted: char, spells: &mut impl FnMut(usize)) {
    let mut before = 0;
    for _ in 0..=MAX_BACKSLASHES {
        let rest = text.get(before..).unwrap_or_default();
        if before > 0
            && let Some(length) = escaped(rest, wanted)
        {
            spells(before + length);
        }
        bare(rest, wanted, &mut |length| spells(before + length));
        let Some(length) = backslash(rest) else { break };
        before += length;
        if wanted == '\\' {
            spells(before);
        }
    }
}

/// The same without a backslash before it.
fn bare(text: &[char], wanted: char, spells: &mut impl FnMut(usize)) {
    if text.first() == Some(&wanted) {
        spells(1);
    }
    match text.first() {
        Some('+') if wanted == ' ' => spells(1),
        Some('%') => {
            let blank = if wanted == ' ' { percent(text, '+') } else { None };
            percent(text, wanted).into_iter().chain(blank).for_each(&mut *spells);
            // However often it was encoded.
            let mut length = 3;
            while wanted == '%' && text.get(1..length) == Some(&['2', '5'].repeat(length / 2)) {
                spells(length);
                length += 2;
            }
        }
        Some('&') => entity(text, wanted, spells),
        _ => {}
    }
}

/// A backslash, itself in one of its spellings.
fn backslash(text: &[char]) -> Option<usize> {
    match text.first()? {
        '\\' => Some(1),
        '%' => percent(text, '\\'),
        '&' => {
            let mut found = None;
            entity(text, '\\', &mut |length| found = Some(length));
            found
        }
        _ => None,
    }
}

/// `n`, `u002f`, `u{2f}` or `x2f`, behind a backslash.
fn escaped(text: &[char], wanted: char) -> Option<usize> {
    let unit = |from: usize| -> Option<u32> {
        text.get(from..from + 4)?.iter().try_fold(0, |code, digit| Some(code * 16 + digit.to_digit(16)?))
    };
    match *text.first()? {
        'u' if text.get(1) == Some(&'{') => {
            let end = text.iter().take(12).position(|char| *char == '}')?;
            let digits: String = text.get(2..end)?.iter().collect();
            (u32::from_str_radix(&digits, 16).ok()? == u32::from(wanted)).then_some(end + 1)
        }
        'u' => {
            let mut units = [0; 2];
            match *wanted.encode_utf16(&mut units) {
                [only] => (unit(1)? == u32::from(only)).then_some(5),
                [high, low] => {
                    let is_second = text.get(5) == Some(&'\\') && text.get(6) == Some(&'u');
                    (is_second && unit(1)? == u32::from(high) && unit(7)? == u32::from(low)).then_some(11)
                }
                _ => None,
            }
        }
        'x' => {
            let code = text.get(1)?.to_digit(16)? * 16 + text.get(2)?.to_digit(16)?;
            (code == u32::from(wanted)).then_some(3)
        }
        letter => {
            let meant = match letter {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return None,
            };
            (meant == wanted).then_some(1)
        }
    }
}

/// `%2F`, or `%252F` where an address stands in another.
fn percent(text: &[char], wanted: char) -> Option<usize> {
    let mut at = 0;
    let mut buffer = [0; 4];
    for byte in wanted.encode_utf8(&mut buffer).bytes() {
        (text.get(at) == Some(&'%')).then_some(())?;
        at += 1;
        let code = |at: usize| Some(text.get(at)?.to_digit(16)? * 16 + text.get(at + 1)?.to_digit(16)?);
        while code(at)? != u32::from(byte) {
            (code(at)? == u32::from(b'%')).then_some(())?;
            at += 2;
        }
        at += 2;
    }
    Some(at)
}

/// `&#47;`, `&#x2f;`, `&sol;`, or with `&amp;` for its first character.
fn entity(text: &[char], wanted: char, spells: &mut impl FnMut(usize)) {
    let mut at = 1;
    while let Some(length) = text.iter().skip(at).take(10).position(|char| *char == ';') {
        let name: String = text.iter().skip(at).take(length).collect();
        at += length + 1;
        let code = match name.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => digits.parse().ok(),
            },
            None => NAMED.iter().find(|(known, _)| *known == name).map(|(_, char)| u32::from(*char)),
        };
        if code == Some(u32::from(wanted)) {
            spells(at);
        }
        if code != Some(u32::from('&')) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64URL};
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    const SECRET: &str = r#"abc/def+"g<h>&i=j\k l'm%n"#;

    fn redact(text: &str) -> String {
        Redactor::new([SECRET, "s3cret-token"]).redact(text).into_owned()
    }

    /// As PHP writes JSON.
    fn php(text: &str) -> String {
        serde_json::to_string(text).unwrap().replace('/', "\\/")
    }

    /// With every character as its code.
    fn coded(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
    }

    fn percent_encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    fn html(text: &str) -> String {
        let named = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        named.replace('\'', "&#039;").replace('/', "&#x2F;")
    }

    fn form(text: &str) -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    fn spellings(secret: &str) -> Vec<String> {
        vec![
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            php(secret),
            php(&php(secret)),
            php(&php(&php(secret))),
            coded(secret),
            coded(secret).to_lowercase().replace("\\U", "\\u"),
            percent_encoded(secret),
            form(secret),
            form(&form(secret)),
            form(&php(secret)),
            html(secret),
            html(&html(secret)),
            html(&php(secret)),
            BASE64.encode(format!("Aladdin:{secret}").as_bytes()),
            BASE64.encode(format!("me:{secret} and more").as_bytes()),
            BASE64URL.encode(secret.as_bytes()),
            php(&BASE64.encode(format!("a{secret}").as_bytes())),
            HEXLOWER.encode(format!("a{secret}").as_bytes()),
            HEXUPPER.encode(format!("{secret},").as_bytes()),
        ]
    }

    #[test]
    fn a_secret_is_taken_out_in_every_spelling() {
        for spelling in spellings(SECRET) {
            let clean = redact(&format!("you sent <{spelling}> to us"));
            assert!(clean.contains(REDACTED) && clean.len() < "you sent <> to us".len() + 30, "{spelling}: {clean}");
            assert!(clean.starts_with("you sent <") && clean.ends_with("> to us"), "{clean}");
        }
        // What looks like an encoded backslash may be part of the secret.
        for secret in ["A  aA0AA0%5C", "%5Cn-secret", "&#92;-secret&bsol;"] {
            for spelling in spellings(secret) {
                let clean = Redactor::new([secret]).redact(&spelling).into_owned();
                assert!(clean.contains(REDACTED), "{secret} as {spelling}: {clean}");
            }
        }
        assert_eq!(redact("a s3cret-token, and s3cret\\u002dtoken"), "a [redacted], and [redacted]");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in ["", "abc", r"a\nb\\ %2 %zz & &amp; &#; \u00", "ж&unknown;", "\\\\\\\\"] {
            assert!(matches!(Redactor::new(["s3cret"]).redact(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(Redactor::new([""]).redact("abc"), "abc");
    }

    proptest! {
        #[test]
        fn any_secret_is_found_in_any_spelling(secret in "[ -~]{12,40}") {
            let redactor = Redactor::new([secret.as_str()]);
            for spelling in spellings(&secret) {
                let clean = redactor.redact(&spelling);
                prop_assert!(clean.contains(REDACTED), "{spelling}");
            }
        }

        #[test]
        fn any_text_is_taken(text: String, secret: String) {
            drop(Redactor::new([secret.as_str()]).redact(&text));
        }
    }
}
