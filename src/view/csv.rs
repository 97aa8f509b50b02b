//! Rows for spreadsheets: CSV as RFC 4180 has it, a header line first, the names of the columns those of the JSON.
//!
//! A spreadsheet runs what begins like a formula, and an external id may begin with anything. Such a cell gets an apostrophe in
//! front, which spreadsheets take for "this is text". A plain number stays one, whatever its sign.

use std::borrow::Cow;

/// A column: its name, and what it shows of a row, if there is anything.
pub type Column<T> = (&'static str, fn(&T) -> Option<String>);

/// What has columns.
pub trait Row: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];
}

/// The line that names the columns.
#[must_use]
pub fn header<T: Row>() -> String {
    line(T::COLUMNS.iter().map(|(name, _)| Cow::Borrowed(*name)))
}

/// The line of a row.
#[must_use]
pub fn row<T: Row>(row: &T) -> String {
    line(T::COLUMNS.iter().map(|(_, cell)| Cow::Owned(cell(row).unwrap_or_default())))
}

/// Cells and the end of the line.
fn line<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> String {
    let cells: Vec<String> = cells.map(|cell| quoted(&defused(cell))).collect();
    format!("{}\r\n", cells.join(","))
}

/// The text, as one that no spreadsheet runs.
fn defused(cell: Cow<'_, str>) -> Cow<'_, str> {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number(&cell);
    if is_formula { Cow::Owned(format!("'{cell}")) } else { cell }
}

/// Whether it is digits, with a sign and a point at most.
fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Quoted where it must be; and where a spreadsheet of another language would see two cells.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n', ';', '\t']) || cell.starts_with(' ') || cell.ends_with(' ') {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(Option<&'static str>, &'static str);

    impl Row for Named {
        const COLUMNS: &'static [Column<Self>] =
            &[("id", |row| row.0.map(str::to_owned)), ("amount", |row| Some(row.1.to_owned()))];
    }

    #[test]
    fn cells_are_quoted_as_the_rfc_says() {
        assert_eq!(header::<Named>(), "id,amount\r\n");
        for (id, shown) in [
            (Some("plain"), "plain"),
            (None, ""),
            (Some("a,b"), "\"a,b\""),
            (Some("a;b"), "\"a;b\""),
            (Some("say \"hi\""), "\"say \"\"hi\"\"\""),
            (Some("two\nlines"), "\"two\nlines\""),
            (Some(" padded"), "\" padded\""),
            (Some("дом"), "дом"),
        ] {
            assert_eq!(row(&Named(id, "12.50")), format!("{shown},12.50\r\n"));
        }
    }

    #[test]
    fn no_cell_is_run_by_a_spreadsheet() {
        for (cell, shown) in [
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("-", "'-"),
            ("-1.", "'-1."),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "\"'\tx\""),
            ("\rx", "\"'\rx\""),
            ("-12.5", "-12.5"),
            ("+491234", "+491234"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(row(&Named(Some(cell), "1")), format!("{shown},1\r\n"), "{cell}");
        }
    }
}
