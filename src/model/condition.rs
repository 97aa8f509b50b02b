//! `when` of an endpoint: an expression over an event's body that says whether the event is sent.
//!
//! The grammar is that of MiniJinja's expressions, which templates have as well; the values are not: a number is an exact
//! decimal, and so are amounts and balances, which bodies carry as texts. Nothing is guessed: what is not there, or is of
//! another kind than what it is compared with, is an error and no "false".
//!
//! What an expression costs is bounded by its size, as it has no loops, calls or variables of its own.

mod parse;
mod value;

use std::cmp::Ordering;
use std::fmt;

pub use parse::SyntaxError;
pub use value::Failure;

use value::{Value, look_up};

/// A compiled expression.
#[derive(Clone, PartialEq, Eq)]
pub struct Condition {
    source: String,
    root: Expr,
}

/// A member of the body, as `data.object.amount` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Item(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Literal(Value),
    List(Vec<Expr>),
    Member(Path),
    IsDefined(Path),
    Default(Path, Box<Expr>),
    IsNone(Box<Expr>),
    Cased(Case, Box<Expr>),
    /// Whether the first begins, or ends, with the second.
    Affix(Side, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    /// `a < b < c` holds if each neighbours do.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    NotIn,
}

impl Condition {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(source: &str) -> Result<Self, SyntaxError> {
        Ok(Self { root: parse::parse(source)?, source: source.to_owned() })
    }

    /// Whether the event with this stored body is to be sent.
    ///
    /// # Errors
    /// If the body lacks a member that is asked for, or a value is of the wrong kind.
    pub fn holds(&self, body: &str) -> Result<bool, Failure> {
        self.root.truth(body)
    }

    /// The members that a body lacks although the expression may ask for them, whatever the values of the others are. What
    /// is asked for only of other types of events, or behind `is defined`, is not lacking.
    ///
    /// # Errors
    /// If the body is no JSON.
    pub fn lacking(&self, body: &str) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        self.root.lacking(body, &mut found)?;
        found.dedup();
        Ok(found)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

impl Expr {
    fn truth(&self, body: &str) -> Result<bool, Failure> {
        match self.value(body)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(Failure::NoTruth(other.kind())),
        }
    }

    fn value(&self, body: &str) -> Result<Value, Failure> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::List(items) => Value::List(items.iter().map(|item| item.value(body)).collect::<Result<_, _>>()?),
            Self::Member(path) => look_up(body, path)?.ok_or_else(|| Failure::NotThere(path.to_string()))?,
            Self::IsDefined(path) => Value::Bool(look_up(body, path)?.is_some()),
            Self::Default(path, other) => match look_up(body, path)? {
                Some(found) => found,
                None => other.value(body)?,
            },
            Self::IsNone(of) => Value::Bool(of.value(body)? == Value::None),
            Self::Cased(case, of) => Value::Text(match (case, of.text(body)?) {
                (Case::Lower, text) => text.to_lowercase(),
                (Case::Upper, text) => text.to_uppercase(),
            }),
            Self::Affix(side, of, affix) => {
                let (text, affix) = (of.text(body)?, affix.text(body)?);
                Value::Bool(match side {
                    Side::Start => text.starts_with(&affix),
                    Side::End => text.ends_with(&affix),
                })
            }
            Self::Not(of) => Value::Bool(!of.truth(body)?),
            Self::All(parts) => {
                for part in parts {
                    if !part.truth(body)? {
                        return Ok(Value::Bool(false));
                    }
                }
                Value::Bool(true)
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.truth(body)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Value::Bool(false)
            }
            Self::Compare(first, rest) => {
                let mut left = first.value(body)?;
                for (comparison, right) in rest {
                    let right = right.value(body)?;
                    if !comparison.holds(&left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
        })
    }

    fn text(&self, body: &str) -> Result<String, Failure> {
        match self.value(body)? {
            Value::Text(text) => Ok(text),
            other => Err(Failure::NoText(other.kind())),
        }
    }

    fn lacking(&self, body: &str, found: &mut Vec<String>) -> Result<(), Failure> {
        match self {
            Self::Literal(_) | Self::IsDefined(_) => {}
            Self::Member(path) => {
                if look_up(body, path)?.is_none() {
                    found.push(path.to_string());
                }
            }
            Self::Default(_, of) | Self::IsNone(of) | Self::Cased(_, of) | Self::Not(of) => of.lacking(body, found)?,
            Self::Affix(_, of, affix) => {
                of.lacking(body, found)?;
                affix.lacking(body, found)?;
            }
            Self::List(items) => items.iter().try_for_each(|item| item.lacking(body, found))?,
            Self::Compare(first, rest) => {
                first.lacking(body, found)?;
                rest.iter().try_for_each(|(_, right)| right.lacking(body, found))?;
            }
            Self::All(parts) | Self::Any(parts) => {
                let ending = matches!(self, Self::Any(_));
                for part in parts {
                    part.lacking(body, found)?;
                    // What comes behind is not asked for in any event of this type.
                    if part.is_decided() && part.truth(body).is_ok_and(|truth| truth == ending) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether it is the same for all events of a type.
    fn is_decided(&self) -> bool {
        match self {
            Self::Literal(_) | Self::IsDefined(_) => true,
            Self::Member(path) => *path == Path(vec![Step::Name("type".to_owned())]),
            Self::Default(..) => false,
            Self::IsNone(of) | Self::Cased(_, of) | Self::Not(of) => of.is_decided(),
            Self::Affix(_, of, affix) => of.is_decided() && affix.is_decided(),
            Self::List(parts) | Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_decided),
            Self::Compare(first, rest) => first.is_decided() && rest.iter().all(|(_, right)| right.is_decided()),
        }
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> Result<bool, Failure> {
        Ok(match self {
            Self::Equal => left.equals(right)?,
            Self::Unequal => !left.equals(right)?,
            Self::Less => left.order(right)? == Ordering::Less,
            Self::AtMost => left.order(right)? != Ordering::Greater,
            Self::Greater => left.order(right)? == Ordering::Greater,
            Self::AtLeast => left.order(right)? != Ordering::Less,
            Self::In => left.is_in(right)?,
            Self::NotIn => !left.is_in(right)?,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if at == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
