//! Things that happen to a company while the bridge looks on.

use lumo_simulator::World;

/// Users whose names break careless code. No two are equal, though careless code may think so.
const AWKWARD_USERS: [&str; 18] = [
    "🦊",
    "a user with spaces",
    " leading",
    "trailing ",
    "trailing",
    " ",
    "o'neil \"the\" `user`",
    "back\\slash",
    "percent%20sign%",
    "a/b?c=d&e#f",
    "case",
    "CASE",
    "cafe\u{301}",
    "caf\u{e9}",
    "null",
    "0",
    "00",
    "<b>{{ user }}</b>; DROP TABLE lumo_events; --",
];

/// Amounts that are no longer the same once they were a float.
const AWKWARD_AMOUNTS: [&str; 12] = [
    "0.000001",
    "123456789012.123456",
    "1e-7",
    "12.500000",
    "0.1",
    "9007199254740993",
    "0.30000000000000004",
    "100",
    "1E2",
    "0",
    "99999999999999.999999",
    "4.35",
];

/// Every change that there is a name for, on users and amounts that are awkward.
pub(crate) fn awkward_changes(world: &World) {
    let long = "x".repeat(200);
    for name in AWKWARD_USERS.into_iter().chain([long.as_str()]) {
        world.add_wallet(name);
    }
    for (name, amount) in AWKWARD_USERS.iter().cycle().zip(AWKWARD_AMOUNTS) {
        let deposit = world.add_deposit_for(name, amount).expect("a deposit");
        if amount.len() > 3 {
            world.set_deposit_status(deposit.id, "confirmed").expect("the deposit is there");
        }
    }
    let of = |name: &str| world.wallet_of(name).expect("the wallet is there").id;
    world.block(of("🦊"), "reported as \"stolen\" / case 42% — подозрительно").expect("blocked");
    world.block(of("trailing "), "for a moment").expect("blocked");
    world.unblock(of("trailing ")).expect("unblocked");
    world.block(of("case"), "first reason").expect("blocked");
    world.block(of("case"), "second reason").expect("blocked again");
    world.replace(of("CASE"), "lost key").expect("replaced");
    world.replace(of(&long), "lost key").expect("replaced");
    world.replace(of(&long), "lost again").expect("replaced twice");
    world.set_balance(of("trailing"), "123456789012.123456", "0.000001").expect("balance set");
    world
        .set_deposit_status(world.add_deposit_for("0", "7").expect("a deposit").id, "odd status ✓")
        .expect("status set");
}

/// A number of plausible changes.
pub(crate) fn random_changes(world: &World, count: usize) {
    for _ in 0..count {
        world.random_step();
    }
}
