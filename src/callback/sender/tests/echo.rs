//! Tests receivers that repeat the request: no secret of it is stored.

use data_encoding::BASE64;

use super::*;

/// A receiver that answers each request with this, made of the request.
fn repeating(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = crate::callback::fixture::request(&mut stream);
            let body = answer(&String::from_utf8_lossy(&request));
            let head = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    url
}

/// As PHP writes JSON.
fn php(text: &str) -> String {
    serde_json::to_string(text).unwrap().replace('/', "\\/")
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('/', "&#x2F;")
}

fn coded(text: &str) -> String {
    text.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn base64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

#[tokio::test]
async fn what_was_sent_in_confidence_is_kept_in_no_spelling() {
    let more = json!({
        "headers": { "X-Key": "abc/def\"gh", "X-Made": "{{ 'made/' ~ data.object.amount ~ '/secret' }}" },
        "auth": { "basic": { "username": "me", "password": { "value": "p4ss/word" } } },
        "extra_signatures": [{ "style": "github", "secret": { "value": "extra/secret" } }],
    });
    let spellings: [fn(&str) -> String; 7] =
        [str::to_owned, php, html, coded, percent_encoded, base64, |text| php(&php(text))];
    let hidden =
        ["abc/def\"gh", "made/12.5/secret", "p4ss/word", "me:p4ss/word", "extra/secret", "query/secret", SECRET];
    for spell in spellings {
        for secret in hidden {
            let url = repeating(move |_| format!("I know: {}!", spell(secret)));
            let attempt = attempt(&format!("{url}?key=query%2Fsecret"), more.clone()).await;
            let kept = attempt.response_body.unwrap();
            assert!(kept.starts_with("I know: ") && kept.contains("[redacted]"), "{secret} {}: {kept}", spell(secret));
            assert!(kept.len() < 40, "{secret}: {kept}");
        }
        // The whole request, as a page for debugging shows it.
        let url = repeating(spell);
        let kept = attempt(&format!("{url}?key=query%2Fsecret"), more.clone()).await.response_body.unwrap();
        for secret in &hidden[..5] {
            assert!(!kept.contains(secret) && !kept.contains(&spell(secret)), "{kept}");
        }
    }
}
