//! From the text of an expression to what is evaluated. The engine of the templates reads it; of what it knows, only what can
//! be judged exactly is taken.

use std::str::FromStr as _;

use minijinja::Error;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, UnaryOpKind};
use minijinja::machinery::{Span, WhitespaceConfig, parse_expr, tokenize};
use minijinja::value::ValueKind;

use super::value::{Value, exact};
use super::{Case, Comparison, Expr, Path, Side, Step};
use crate::model::Amount;
use crate::model::suggest::instead;

const MAX_BYTES: usize = 4096;
/// A chain of operators nests as deep as it is long.
const MAX_WORDS: usize = 1_000;
/// Each look at a member reads the body once.
const MAX_MEMBERS: usize = 50;
/// Reading goes down by recursion; its depth is limited by the words, and this is enough for it on any thread.
const STACK: usize = 16 * 1024 * 1024;
/// The members of every event.
const ENVELOPE: [&str; 11] = [
    "id",
    "type",
    "schema",
    "timestamp",
    "detected_at",
    "origin",
    "company_id",
    "environment",
    "stream",
    "sequence",
    "data",
];

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(String);

pub(super) fn parse(source: &str) -> Result<Expr, SyntaxError> {
    if source.contains("{{") || source.contains("{%") {
        return Err(refused("it is an expression, and no template: write it without `{{` and `}}`"));
    }
    if source.len() > MAX_BYTES {
        return Err(refused(format!("the expression is longer than {MAX_BYTES} bytes")));
    }
    let words = tokenize(source, true, Default::default(), WhitespaceConfig::default()).map_while(Result::ok).count();
    if words > MAX_WORDS {
        return Err(refused(format!("the expression has more than {MAX_WORDS} words")));
    }
    let failed = || refused("there is no thread to read the expression in");
    std::thread::scope(|scope| {
        let work = || {
            let read = parse_expr(source).map_err(|error| syntax(&error, source))?;
            Reader { source, members: 0 }.expr(&read)
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.map_err(|_| failed())?.join().map_err(|_| failed())?
    })
}

fn syntax(error: &Error, source: &str) -> SyntaxError {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    refused(format!("the expression is wrong: {detail}; {}", cure(source)))
}

/// What to write instead: of what cannot be read, the usual slip if there is one.
fn cure(source: &str) -> &'static str {
    let mut quote = None;
    let is_bare = |letter: &char| match quote {
        Some(open) => {
            if *letter == open {
                quote = None;
            }
            false
        }
        None if matches!(letter, '\'' | '"') => {
            quote = Some(*letter);
            false
        }
        None => true,
    };
    let bare: String = source.chars().filter(is_bare).collect();
    let is_assignment =
        |three: &[u8]| matches!(three, [before, b'=', after] if !b"=!<>".contains(before) && *after != b'=');
    if format!(" {bare} ").as_bytes().windows(3).any(is_assignment) {
        "compare with `==`"
    } else if bare.split_whitespace().any(|word| matches!(word, "AND" | "OR" | "NOT" | "&&" | "||")) {
        "write `and`, `or` and `not`"
    } else {
        "write for example `data.object.amount >= 10`"
    }
}

fn refused(problem: impl Into<String>) -> SyntaxError {
    SyntaxError(problem.into())
}

fn not_available(what: &str) -> SyntaxError {
    refused(format!(
        "{what} is not available; there are `and`, `or`, `not`, comparisons, `in`, `is defined`, `is none`, \
         `is startingwith`, `is endingwith`, and the filters `default`, `lower` and `upper`"
    ))
}

struct Reader<'s> {
    source: &'s str,
    members: usize,
}

impl Reader<'_> {
    fn expr(&mut self, read: &ast::Expr<'_>) -> Result<Expr, SyntaxError> {
        Ok(match read {
            ast::Expr::Const(constant) => Expr::Literal(self.literal(&constant.value, constant.span(), "")?),
            ast::Expr::List(list) => Expr::List(self.all(&list.items)?),
            ast::Expr::Var(_) | ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) => Expr::Member(self.path(read)?),
            ast::Expr::UnaryOp(operation) => match (&operation.op, &operation.expr) {
                (UnaryOpKind::Not, of) => Expr::Not(Box::new(self.expr(of)?)),
                (UnaryOpKind::Neg, ast::Expr::Const(constant)) => {
                    Expr::Literal(self.literal(&constant.value, constant.span(), "-")?)
                }
                (UnaryOpKind::Neg, _) => return Err(not_available("arithmetic")),
            },
            ast::Expr::BinOp(operation) => self.operation(operation.op, read)?,
            ast::Expr::Compare(comparison) => {
                let rest = comparison.ops.iter().map(|op| Ok((compared(op.op), self.expr(&op.expr)?)));
                let rest = rest.collect::<Result<_, _>>()?;
                Expr::Compare(Box::new(self.expr(&comparison.expr)?), rest)
            }
            ast::Expr::Test(test) => self.test(test)?,
            ast::Expr::Filter(filter) => self.filter(filter)?,
            ast::Expr::IfExpr(_) => return Err(not_available("`if`")),
            ast::Expr::Call(_) => return Err(not_available("a call")),
            ast::Expr::Slice(_) => return Err(not_available("`[:]`")),
            ast::Expr::Map(_) => return Err(not_available("`{}`")),
        })
    }

    fn all(&mut self, read: &[ast::Expr<'_>]) -> Result<Vec<Expr>, SyntaxError> {
        read.iter().map(|one| self.expr(one)).collect()
    }

    /// The digits are taken from the text, as the engine's own numbers are doubles.
    fn literal(&self, value: &minijinja::Value, span: Span, sign: &str) -> Result<Value, SyntaxError> {
        Ok(match value.kind() {
            ValueKind::None => Value::None,
            ValueKind::Bool => Value::Bool(value.is_true()),
            ValueKind::String => Value::Text(value.as_str().unwrap_or_default().to_owned()),
            ValueKind::Number => {
                let written = usize::try_from(span.start_offset).ok().zip(usize::try_from(span.end_offset).ok());
                let digits = written.and_then(|(from, to)| self.source.get(from..to)).unwrap_or_default();
                let amount = Amount::from_str(&format!("{sign}{digits}"));
                Value::Number(exact(&amount.map_err(|error| refused(format!("the number `{digits}` {error}")))?))
            }
            _ => return Err(not_available("such a value")),
        })
    }

    fn operation(&mut self, kind: BinOpKind, read: &ast::Expr<'_>) -> Result<Expr, SyntaxError> {
        match kind {
            BinOpKind::ScAnd => Ok(Expr::All(self.chain(|kind| matches!(kind, BinOpKind::ScAnd), read)?)),
            BinOpKind::ScOr => Ok(Expr::Any(self.chain(|kind| matches!(kind, BinOpKind::ScOr), read)?)),
            _ => self.comparison(kind, read),
        }
    }

    fn chain(&mut self, goes_on: fn(BinOpKind) -> bool, read: &ast::Expr<'_>) -> Result<Vec<Expr>, SyntaxError> {
        let mut parts = Vec::new();
        let mut rest = read;
        while let ast::Expr::BinOp(operation) = rest
            && goes_on(operation.op)
        {
            parts.push(&operation.right);
            rest = &operation.left;
        }
        parts.push(rest);
        parts.into_iter().rev().map(|part| self.expr(part)).collect()
    }

    fn comparison(&mut self, kind: BinOpKind, read: &ast::Expr<'_>) -> Result<Expr, SyntaxError> {
        let ast::Expr::BinOp(operation) = read else { return Err(not_available("this")) };
        let comparison = match kind {
            BinOpKind::Eq => Comparison::Equal,
            BinOpKind::Ne => Comparison::Unequal,
            BinOpKind::Lt => Comparison::Less,
            BinOpKind::Lte => Comparison::AtMost,
            BinOpKind::Gt => Comparison::Greater,
            BinOpKind::Gte => Comparison::AtLeast,
            BinOpKind::In => Comparison::In,
            BinOpKind::Concat => return Err(not_available("`~`")),
            _ => return Err(not_available("arithmetic")),
        };
        let (left, right) = (self.expr(&operation.left)?, self.expr(&operation.right)?);
        Ok(Expr::Compare(Box::new(left), vec![(comparison, right)]))
    }

    fn test(&mut self, test: &ast::Test<'_>) -> Result<Expr, SyntaxError> {
        match (test.name, test.args.as_slice()) {
            ("defined", []) => Ok(Expr::IsDefined(self.path(&test.expr)?)),
            ("undefined", []) => Ok(Expr::Not(Box::new(Expr::IsDefined(self.path(&test.expr)?)))),
            ("none", []) => Ok(Expr::IsNone(Box::new(self.expr(&test.expr)?))),
            (name @ ("startingwith" | "endingwith"), [CallArg::Pos(affix)]) => {
                let side = if name == "startingwith" { Side::Start } else { Side::End };
                Ok(Expr::Affix(side, Box::new(self.expr(&test.expr)?), Box::new(self.expr(affix)?)))
            }
            (name, _) => Err(not_available(&format!("`is {name}`"))),
        }
    }

    fn filter(&mut self, filter: &ast::Filter<'_>) -> Result<Expr, SyntaxError> {
        let Some(of) = &filter.expr else { return Err(not_available("a filter of nothing")) };
        match (filter.name, filter.args.as_slice()) {
            ("default" | "d", [CallArg::Pos(other)]) => Ok(Expr::Default(self.path(of)?, Box::new(self.expr(other)?))),
            ("lower", []) => Ok(Expr::Cased(Case::Lower, Box::new(self.expr(of)?))),
            ("upper", []) => Ok(Expr::Cased(Case::Upper, Box::new(self.expr(of)?))),
            (name, _) => Err(not_available(&format!("the filter `{name}`"))),
        }
    }

    fn path(&mut self, read: &ast::Expr<'_>) -> Result<Path, SyntaxError> {
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(refused(format!("the expression names more than {MAX_MEMBERS} members")));
        }
        let mut steps = Vec::new();
        let mut rest = read;
        loop {
            match rest {
                ast::Expr::GetAttr(member) => {
                    steps.push(Step::Name(member.name.to_owned()));
                    rest = &member.expr;
                }
                ast::Expr::GetItem(member) => {
                    steps.push(subscript(&member.subscript_expr)?);
                    rest = &member.expr;
                }
                ast::Expr::Var(name) => {
                    known(name.id)?;
                    steps.push(Step::Name(name.id.to_owned()));
                    steps.reverse();
                    return Ok(Path(steps));
                }
                ast::Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Neg) => {
                    return Err(not_available("arithmetic"));
                }
                _ => return Err(refused("`is defined`, `default` and `.` follow the name of a member")),
            }
        }
    }
}

fn subscript(read: &ast::Expr<'_>) -> Result<Step, SyntaxError> {
    let constant = if let ast::Expr::Const(constant) = read { Some(&constant.value) } else { None };
    let name = constant.and_then(|value| value.as_str()).map(|name| Step::Name(name.to_owned()));
    let step = name.or_else(|| constant.and_then(minijinja::Value::as_usize).map(Step::Item));
    step.ok_or_else(|| refused("`[]` takes a name in quotes or the number of an item, from 0"))
}

fn known(name: &str) -> Result<(), SyntaxError> {
    if ENVELOPE.contains(&name) {
        return Ok(());
    }
    Err(refused(format!("an event has no member `{name}`; {}", instead(name, &ENVELOPE, ""))))
}

const fn compared(kind: CompareOpKind) -> Comparison {
    match kind {
        CompareOpKind::Eq => Comparison::Equal,
        CompareOpKind::Ne => Comparison::Unequal,
        CompareOpKind::Lt => Comparison::Less,
        CompareOpKind::Lte => Comparison::AtMost,
        CompareOpKind::Gt => Comparison::Greater,
        CompareOpKind::Gte => Comparison::AtLeast,
        CompareOpKind::In => Comparison::In,
        CompareOpKind::NotIn => Comparison::NotIn,
    }
}
