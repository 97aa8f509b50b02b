//! Reads an HTTP request that someone captured: the output of `nc -l`, a saved dump, headers and body pasted together.
//!
//! It is lenient with the frame, which people retype, and exact with the body, which is signed: what follows the first
//! empty line is the body, byte for byte, whatever `Content-Length` says. A request line is optional, lines may end in
//! CRLF or LF, and empty lines before the first header do not count.

use crate::model::sign::Signed;

/// A captured request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Why a text is no captured request. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    #[error("there is no header")]
    NoHeader,
    #[error("there is no empty line between the headers and the body")]
    NoBody,
    #[error("line {0} is no header: a name, a colon and a value")]
    NotAHeader(usize),
}

impl Captured {
    /// Takes a request apart.
    ///
    /// # Errors
    /// The first thing that keeps it from being one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CaptureError> {
        let mut headers = Vec::new();
        let mut rest = bytes;
        let (mut number, mut begun) = (0, false);
        loop {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return Err(if begun { CaptureError::NoBody } else { CaptureError::NoHeader });
            };
            let line = &rest[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            rest = &rest[end + 1..];
            number += 1;
            match (line.is_empty(), begun) {
                (true, false) => {}
                (true, true) if headers.is_empty() => return Err(CaptureError::NoHeader),
                (true, true) => return Ok(Self { headers, body: rest.to_vec() }),
                (false, false) if is_request_line(line) => begun = true,
                (false, _) => {
                    headers.push(header(line).ok_or(CaptureError::NotAHeader(number))?);
                    begun = true;
                }
            }
        }
    }

    /// The first header of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What stood after the empty line.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What [`crate::model::sign::verify`] looks at.
    #[must_use]
    pub fn signed(&self) -> Signed<'_> {
        Signed {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signature: self.header("webhook-signature"),
            body: &self.body,
        }
    }
}

/// `POST /hooks HTTP/1.1`
fn is_request_line(line: &[u8]) -> bool {
    line.rsplit(|byte| *byte == b' ').next().is_some_and(|version| version.starts_with(b"HTTP/"))
}

fn header(line: &[u8]) -> Option<(String, String)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_part);
    is_name.then(|| (name.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart() {
        let body = "{\"a\": 1}\r\n\r\n  ";
        for head in [
            "POST /hooks?a=b HTTP/1.1\r\nHost: shop\r\nWebhook-Id: evt_1\r\nwebhook-timestamp:17\r\n\r\n",
            "POST http://shop:80/ HTTP/1.0\nwebhook-id:   evt_1  \nwebhook-timestamp:\t17\n\n",
            "webhook-id: evt_1\nWEBHOOK-TIMESTAMP: 17\r\n\n",
            "\r\n\nwebhook-id: evt_1\nwebhook-timestamp: 17\nwebhook-id: evt_2\n\n",
        ] {
            let captured = Captured::parse(format!("{head}{body}").as_bytes()).unwrap();
            let signed = captured.signed();
            assert_eq!((signed.id, signed.timestamp, signed.signature), (Some("evt_1"), Some("17"), None), "{head}");
            assert_eq!(captured.body(), body.as_bytes(), "{head}");
        }
    }

    #[test]
    fn a_body_is_any_bytes_or_none() {
        let captured = Captured::parse(b"a: b\n\n\xff\x00\n").unwrap();
        assert_eq!((captured.header("A"), captured.body()), (Some("b"), &b"\xff\x00\n"[..]));
        assert_eq!(Captured::parse(b"a: b:c\r\n\r\n").unwrap().body(), b"");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (text, error) in [
            (&b""[..], CaptureError::NoHeader),
            (b"\n\n", CaptureError::NoHeader),
            (b"POST / HTTP/1.1\n\n{}", CaptureError::NoHeader),
            (b"a: b\nc: d\n", CaptureError::NoBody),
            (b"a: b", CaptureError::NoHeader),
            (b"POST / HTTP/1.1\nc: d", CaptureError::NoBody),
            (b"{\"a\": 1}\n\n", CaptureError::NotAHeader(1)),
            (b"POST / HTTP/1.1\na b: c\n\n", CaptureError::NotAHeader(2)),
            (b"a: b\nc\n\n", CaptureError::NotAHeader(2)),
            (b"a: \xff\n\n", CaptureError::NotAHeader(1)),
        ] {
            assert_eq!(Captured::parse(text), Err(error), "{}", String::from_utf8_lossy(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_body_comes_out_as_it_went_in(body: Vec<u8>) {
            let captured = Captured::parse(&[b"a: b\r\n\r\n", body.as_slice()].concat()).unwrap();
            proptest::prop_assert_eq!(captured.body(), body);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>) {
            let begins_a_request = Captured::parse(&bytes).is_ok();
            proptest::prop_assert!(!begins_a_request || bytes.contains(&b':'));
        }
    }
}
