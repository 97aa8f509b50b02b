//! The merge, case by case, and against a comparison that holds everything in memory.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_777_890_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// Judges what is older than the moment 100.
fn rule() -> Rule {
    Rule { through: at(100), statuses: vec!["done".to_owned()] }
}

fn deposit(id: &str, status: &str, amount: &str) -> Deposit {
    Deposit {
        id: id.to_owned(),
        external_id: None,
        amount: amount.parse().ok(),
        status: status.to_owned(),
        created_at: Some(at(0)),
        first_seen_at: at(1),
        settled_at: None,
        is_former: false,
    }
}

fn booking(id: &str, amount: &str) -> Booking {
    Booking { deposit_id: Some(id.to_owned()), amount: Some(amount.to_owned()) }
}

fn compared(deposits: &[Deposit], bookings: &[Booking]) -> Result<(Vec<Difference>, Counts), OutOfOrder> {
    let (mut merge, mut found) = (Merge::new(rule()), Vec::new());
    let (mut deposits, mut bookings) = (deposits.iter().cloned(), bookings.iter().cloned());
    loop {
        match merge.step()? {
            Step::Deposit => merge.take_deposit(deposits.next())?,
            Step::Booking => merge.take_booking(bookings.next()),
            Step::Found(difference) => found.push(*difference),
            Step::End => return Ok((found, merge.counts().clone())),
        }
    }
}

/// Each difference as its kind, the deposit, and what is said.
fn said(deposits: &[Deposit], bookings: &[Booking]) -> Vec<String> {
    let (found, counts) = compared(deposits, bookings).unwrap();
    assert_eq!(counts.differences(), found.len() as u64);
    let line = |one: &Difference| {
        let id = one.deposit_id.as_deref().unwrap_or("-");
        format!("{} {id} {}: {}", one.kind.as_str(), one.bookings, one.what)
    };
    found.iter().map(line).collect()
}

#[test]
fn what_agrees_is_no_difference() {
    let deposits = [deposit("a", "done", "12.5"), deposit("b", "new", "1"), deposit("c", "done", "0.3")];
    let bookings = [booking("a", "12.50"), booking("c", "0.1"), booking("c", " 2e-1")];
    let (found, counts) = compared(&deposits, &bookings).unwrap();
    assert_eq!((found, counts.settled, counts.bookings), (vec![], 2, 3));
    assert_eq!(said(&[], &[]), [""; 0]);
}

#[test]
fn each_kind_of_difference_is_told() {
    let deposits = [
        deposit("a", "done", "1"),
        deposit("c", "pending", "2"),
        deposit("d", "done", "3.000000000000000001"),
        deposit("e", "done", ""),
        deposit("f", "done", "6"),
    ];
    let bookings = [
        Booking { deposit_id: None, amount: Some("9".to_owned()) },
        booking("b", "1"),
        booking("c", "2"),
        booking("d", "3.000000000000000002"),
        booking("e", "5"),
        booking("f", "six"),
        Booking { deposit_id: Some("g".to_owned()), amount: None },
    ];
    assert_eq!(
        said(&deposits, &bookings),
        [
            "unreadable - 1: a booking whose deposit_id is null",
            "not_booked a 0: settled, not booked",
            "not_there b 1: booked, no such deposit",
            "not_settled c 1: booked, not settled: status pending",
            "other_amount d 1: booked with another amount",
            "unreadable e 1: booked, and the deposit's amount is not known",
            "unreadable f 1: the amount of a booking, `six`, is not a decimal number",
            "unreadable g 1: booked, no such deposit; the amount of a booking is null",
        ]
    );
}

#[test]
fn bookings_without_an_id_are_told_wherever_they_come() {
    let none = || Booking { deposit_id: None, amount: None };
    let told = said(&[deposit("a", "done", "1")], &[booking("a", "0.5"), none(), booking("a", "0.5"), none()]);
    assert_eq!(told, ["unreadable - 1: a booking whose deposit_id is null"; 2]);
}

#[test]
fn what_is_newer_than_the_tables_are_complete_is_not_judged() {
    let newer = |id: &str| Deposit { created_at: Some(at(100)), ..deposit(id, "done", "1") };
    let unknown = |id: &str, seen| Deposit { created_at: None, first_seen_at: at(seen), ..deposit(id, "done", "1") };
    let settled = |id: &str, seen, settled| Deposit {
        first_seen_at: at(seen),
        settled_at: Some(at(settled)),
        ..deposit(id, "other", "1")
    };
    let deposits = [
        newer("a"),
        newer("b"),
        unknown("c", 99),
        unknown("d", 100),
        settled("e", 1, 99),
        settled("f", 1, 100),
        // A first import sees everything as settled at once, after it began.
        settled("g", 101, 101),
    ];
    assert_eq!(
        said(&deposits, &[booking("b", "7")]),
        ["c", "e", "g"].map(|id| format!("not_booked {id} 0: settled, not booked"))
    );
    let (_, counts) = compared(&deposits, &[booking("b", "7"), booking("b", "7"), booking("c", "1")]).unwrap();
    assert_eq!((counts.newer, counts.newer_bookings, counts.bookings), (4, 2, 3));
}

#[test]
fn rows_of_a_former_company_are_left_out() {
    let former = |id: &str| Deposit { is_former: true, ..deposit(id, "done", "1") };
    let (found, counts) = compared(&[former("a"), former("b")], &[booking("b", "7")]).unwrap();
    assert_eq!((found, counts.former, counts.former_bookings, counts.settled), (vec![], 1, 1, 0));
}

#[test]
fn a_sum_that_has_too_many_digits_is_told() {
    let most = "99999999999999999999999999999999999";
    let told = said(&[deposit("a", "done", "1")], &[booking("a", most), booking("a", most), booking("a", "1")]);
    assert_eq!(told, ["unreadable a 3: the sum of 2 bookings has more than 35 digits before the point or 30 after it"]);
}

#[test]
fn streams_that_are_not_sorted_are_refused() {
    let deposits = [deposit("b", "done", "1"), deposit("a", "done", "1")];
    assert_eq!(compared(&deposits, &[]), Err(OutOfOrder("deposits")));
    assert_eq!(compared(&[], &[booking("b", "1"), booking("a", "1")]), Err(OutOfOrder("bookings")));
    let twice = [deposit("a", "done", "1"), deposit("a", "done", "1")];
    assert_eq!(compared(&twice, &[]), Err(OutOfOrder("deposits")));
}

fn ids() -> impl Strategy<Value = String> {
    prop_oneof!["[aAbZé]{1,2}", Just("a ".to_owned()), Just("😀".to_owned()), Just("\u{ffff}".to_owned())]
}

fn amounts() -> impl Strategy<Value = String> {
    prop_oneof![Just("1"), Just("1.0"), Just("0.5"), Just("-0.5"), Just("1e-18"), Just("x")].prop_map(str::to_owned)
}

fn deposits() -> impl Strategy<Value = Vec<Deposit>> {
    let one = (ids(), amounts(), prop::bool::ANY, 90..110_i64, 0..8_u8);
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let made = |(id, amount, is_settled, made, former): (String, String, bool, i64, u8)| {
            let status = if is_settled { "done" } else { "new" };
            let one = Deposit { created_at: Some(at(made)), is_former: former == 0, ..deposit(&id, status, &amount) };
            (id, one)
        };
        all.into_iter().map(made).collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn bookings() -> impl Strategy<Value = Vec<Booking>> {
    prop::collection::vec((prop::option::weighted(0.9, ids()), prop::option::weighted(0.9, amounts())), 0..16).prop_map(
        |all| {
            let mut all: Vec<_> = all.into_iter().map(|(deposit_id, amount)| Booking { deposit_id, amount }).collect();
            all.sort_by(|one, other| one.deposit_id.cmp(&other.deposit_id));
            all
        },
    )
}

/// The kinds of difference by deposit, as one would find them with everything in memory.
fn naive(deposits: &[Deposit], bookings: &[Booking]) -> BTreeSet<(Option<String>, Kind)> {
    let mut by_id: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for one in bookings {
        match &one.deposit_id {
            Some(id) => by_id.entry(id).or_default().push(one.amount.as_deref()),
            None => drop(found.insert((None, Kind::Unreadable))),
        }
    }
    let sum = |amounts: &[Option<&str>]| {
        let read = amounts.iter().map(|amount| amount.and_then(|text| text.parse::<bigdecimal::BigDecimal>().ok()));
        read.collect::<Option<Vec<_>>>().map(|all| all.into_iter().sum::<bigdecimal::BigDecimal>())
    };
    for one in deposits {
        let booked = by_id.remove(one.id.as_str());
        if one.is_former || one.created_at.unwrap() >= at(100) {
            continue;
        }
        let own = one.amount.as_ref().map(|amount| amount.as_str().parse::<bigdecimal::BigDecimal>().unwrap());
        let kind = match (one.status == "done", booked.as_deref().map(sum)) {
            (true, None) => Kind::NotBooked,
            (false, None) => continue,
            (_, Some(None)) => Kind::Unreadable,
            (false, Some(Some(_))) => Kind::NotSettled,
            (true, Some(Some(_))) if own.is_none() => Kind::Unreadable,
            (true, Some(booked)) if booked != own => Kind::OtherAmount,
            (true, Some(_)) => continue,
        };
        found.insert((Some(one.id.clone()), kind));
    }
    for (id, amounts) in by_id {
        let kind = if sum(&amounts).is_some() { Kind::NotThere } else { Kind::Unreadable };
        found.insert((Some(id.to_owned()), kind));
    }
    found
}

proptest! {
    #[test]
    fn the_merge_finds_what_is_found_with_everything_in_memory(deposits in deposits(), bookings in bookings()) {
        let (found, counts) = compared(&deposits, &bookings).unwrap();
        let kinds: BTreeSet<_> = found.iter().map(|one| (one.deposit_id.clone(), one.kind)).collect();
        prop_assert_eq!(kinds, naive(&deposits, &bookings));
        prop_assert_eq!(counts.bookings, bookings.len() as u64);
        let ids: Vec<_> = found.iter().filter_map(|one| one.deposit_id.as_ref()).collect();
        prop_assert!(ids.windows(2).all(|two| two[0] < two[1]), "each once, in order: {:?}", ids);
    }
}
