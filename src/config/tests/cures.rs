//! Slips that are often made are told with the line and with what to write instead.

use super::*;

#[test]
fn a_template_outside_quotes_is_told_with_its_line() {
    let block = "      body: |\n        {\"a\": {{ data }}}\n";
    for (line, text) in [
        (5, SHOP.replace("https://shop.example.com/hooks", "{{ data.object.id }}")),
        (8, format!("{SHOP}      headers: {{ X-Id: {{{{ id }}}} }}\n")),
        (8, format!("{SHOP}      body: {{{{ data }}}} and more\n")),
        (10, format!("{SHOP}{block}      headers: {{ X-Id: {{{{ id }}}} }}\n")),
    ] {
        let expected = format!(
            "bridge.yaml:{line}: has a value that begins with `{{{{`, which YAML takes for a map; put it in quotes, for \
             example \"{{{{ data.object.id }}}}\""
        );
        assert_eq!(problems(&text, &[]), [expected], "{text}");
    }
    let quoted = format!("{SHOP}{block}      headers: {{ X-Id: '{{{{ id }}}}' }}\n");
    assert!(loaded(&quoted, &[]).callbacks.endpoints.contains_key("shop"));
}

#[test]
fn a_template_that_does_not_compile_is_told_with_its_line_and_its_key() {
    for (key, line, text, problem) in [
        (
            "body",
            8,
            "      body: |\n        {\n          \"id\": {{ data.object.id }\n        }\n",
            "in line 2: unexpected `}`, expected end of variable block",
        ),
        ("headers.X-Id", 9, "      headers:\n        X-Id: '{{ nope( }}'\n", "in line 1: unexpected `}`"),
    ] {
        let expected = format!("bridge.yaml:{line}: callbacks.endpoints.shop.{key}: the template is wrong {problem}");
        assert_eq!(problems(&format!("{SHOP}{text}"), &[]), [expected]);
    }
}

#[test]
fn an_expression_that_is_none_is_told_with_its_line_and_its_cure() {
    for (when, cure) in [
        ("data.object.amount = 10", "compare with `==`"),
        ("data.object.amount > 10 AND type == 'deposit.created'", "write `and`, `or` and `not`"),
        ("data.object.amount >= 10 10", "write for example `data.object.amount >= 10`"),
    ] {
        let expected = format!(
            "bridge.yaml:8: callbacks.endpoints.shop.when: the expression is wrong: unexpected input after expression; {cure}"
        );
        assert_eq!(problems(&format!("{SHOP}      when: {when}\n"), &[]), [expected]);
    }
}
