//! What a table shows at widths that are too small for it.

use super::*;

fn plain(table: &Table, room: Option<usize>) -> Vec<String> {
    table.lines(room).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
}

fn table() -> Table {
    let mut table = Table::new([
        Column::new("ID"),
        Column::new("USER").flexible(),
        Column::new("AMOUNT").right(),
        Column::new("NOTE").flexible().optional(),
    ]);
    table.row([Cell::new("w-1"), Cell::new("a rather long name"), Cell::new("12.5"), Cell::new("nothing")]);
    table.row([Cell::new("w-22"), Cell::new("ж"), Cell::maybe(None::<&str>), Cell::new("x")]);
    table
}

#[test]
fn piped_it_is_aligned_and_uncut() {
    assert_eq!(
        plain(&table(), None),
        [
            "ID    USER                AMOUNT  NOTE",
            "w-1   a rather long name    12.5  nothing",
            "w-22  ж                        -  x",
        ]
    );
}

#[test]
fn on_a_terminal_the_widest_flexible_column_gives_way() {
    assert_eq!(
        plain(&table(), Some(36)),
        ["ID    USER           AMOUNT  NOTE", "w-1   a rather lon…    12.5  nothing", "w-22  ж                   -  x"]
    );
}

#[test]
fn then_optional_columns_are_left_out() {
    assert_eq!(
        plain(&table(), Some(32)),
        ["ID    USER                AMOUNT", "w-1   a rather long name    12.5", "w-22  ж                        -"]
    );
    assert_eq!(
        plain(&table(), Some(26)),
        ["ID    USER          AMOUNT", "w-1   a rather lo…    12.5", "w-22  ж                  -"]
    );
}

#[test]
fn no_line_is_longer_than_the_room() {
    for room in 16..60 {
        for line in plain(&table(), Some(room)) {
            assert!(line.width() <= room, "{room}: {line}");
        }
    }
    // Two columns of three, the amounts in full and their gaps are the least; with less room nothing more is cut.
    assert_eq!(plain(&table(), Some(16)), ["ID   US…  AMOUNT", "w-1  a …    12.5", "w-…  ж         -"]);
    assert_eq!(plain(&table(), Some(15)), plain(&table(), Some(26)));
}

#[test]
fn width_is_counted_as_a_terminal_draws() {
    let mut table = Table::new([Column::new("USER").flexible(), Column::new("N")]);
    table.row([Cell::new("漢字漢字漢字"), Cell::new(1)]);
    table.row([Cell::new("👩‍💻"), Cell::new(2)]);
    assert_eq!(plain(&table, Some(12)), ["USER       N", "漢字漢字…  1", "👩‍💻         2"]);
}

#[test]
fn data_cannot_act_on_the_terminal() {
    let mut table = Table::new([Column::new("USER")]);
    table.row([Cell::new("\x1b[2J\u{202e}evil\n")]);
    assert_eq!(plain(&table, None), ["USER", r"\u{1b}[2J\u{202e}evil\u{a}"]);
}

const ID: &str = "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop";

fn deliveries(why: &str) -> Table {
    let mut table = Table::new([
        Column::new("DELIVERY").whole(),
        Column::new("USER").flexible(),
        Column::new("TRIES").right(),
        Column::new("AGE").right().optional(),
        Column::new("ANSWER").below(),
        Column::new("WHY").below(),
    ]);
    table.row([Cell::new(ID), Cell::new("ann"), Cell::new(3), Cell::new("10 s"), Cell::new(500), Cell::new(why)]);
    table.row([
        Cell::new(ID),
        Cell::new("u".repeat(200)),
        Cell::new(1),
        Cell::new("2 d"),
        absent(),
        Cell::new("later"),
    ]);
    table
}

fn absent() -> Cell {
    Cell::maybe(None::<&str>)
}

#[test]
fn a_sentence_that_does_not_fit_goes_below_its_row() {
    let why = "given up after 3 attempts (answered 500 Internal Server Error); nothing more is sent";
    let table = deliveries(why);
    assert_eq!(
        plain(&table, Some(80)),
        [
            "DELIVERY                             USER                    TRIES   AGE  ANSWER",
            "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop  ann                         3  10 s  500",
            "    given up after 3 attempts (answered 500 Internal Server Error); nothing more",
            "    is sent",
            "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop  uuuuuuuuuuuuuuuuuuuuu…      1   2 d  -",
            "    later",
        ]
    );
    assert!(table.is_cut(Some(80)), "a user was cut");
    assert!(!table.is_cut(None) && !table.is_cut(Some(500)));
    assert_eq!(plain(&table, None).len(), 3, "piped, a row is a line");
}

#[test]
fn ids_and_sentences_are_whole_in_every_room() {
    let table = deliveries("answered 500 Internal Server Error");
    for room in 1..120 {
        let lines = plain(&table, Some(room));
        assert_eq!(lines.iter().filter(|line| line.starts_with(ID)).count(), 2, "{room}: {lines:?}");
        let words = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("answered 500 Internal Server Error") && words.contains("later"), "{room}: {lines:?}");
        assert!(room < 60 || lines.iter().all(|line| line.width() <= room), "{room}: {lines:?}");
    }
}

#[test]
fn what_is_below_its_row_and_nothing_else_is_not_cut() {
    let mut table = Table::new([Column::new("WALLET").whole(), Column::new("ADDRESS").below()]);
    table.row([Cell::new("w-1"), Cell::new("TXqb4Kt7mv8hGYz5cQdNwLr3JpEeXuRa9s")]);
    table.row([Cell::new("w-2"), absent()]);
    assert_eq!(
        plain(&table, Some(20)),
        ["WALLET  ADDRESS", "w-1", "    TXqb4Kt7mv8hGYz5cQdNwLr3JpEeXuRa9s", "w-2     -"]
    );
    assert!(!table.is_cut(Some(20)));
}
