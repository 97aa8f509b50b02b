//! Listings: order, paging, filters, and who is in them.
//!
//! Every preset is paged from one end to the other and compared with the world it serves.

use super::*;
use crate::serving::{Total, Visibility};
use crate::world::Order;

#[tokio::test]
async fn every_preset_lists_every_row_once_in_its_order() {
    for (name, quirks) in Quirks::presets() {
        // A cap of its own: what is tested here is completeness; refusing a limit is tested elsewhere.
        let fixture = Fixture::seeded(Quirks { over_cap: OverCap::Clamp, ..quirks.clone() }).await;
        let snapshot = fixture.world.snapshot();
        let deposits = fixture.ids("/user-wallets/deposits", "deposits").await;
        let wallets = fixture.ids("/user-wallets", "wallets").await;

        let mut expected = texts(snapshot.deposits.iter().map(|deposit| deposit.id));
        let visible = snapshot.wallets.iter().filter(|wallet| {
            (quirks.blocked == Visibility::Listed || !wallet.is_blocked())
                && (quirks.replaced == Visibility::Listed || !wallet.is_replaced())
        });
        let mut expected_wallets = texts(visible.map(|wallet| wallet.id));
        match quirks.order {
            Order::Oldest => {}
            Order::Newest => {
                expected.reverse();
                expected_wallets.reverse();
            }
            Order::Scattered => {
                assert_ne!(deposits, expected, "{name}");
                let again = fixture.ids("/user-wallets/deposits", "deposits").await;
                assert_eq!(again, deposits, "{name}");
                let sort = |mut ids: Vec<String>| {
                    ids.sort_unstable();
                    ids
                };
                assert_eq!(sort(deposits), sort(expected), "{name}");
                assert_eq!(sort(wallets), sort(expected_wallets), "{name}");
                continue;
            }
        }
        assert_eq!(deposits, expected, "{name}");
        assert_eq!(wallets, expected_wallets, "{name}");
    }
}

#[tokio::test]
async fn the_cap_clamps_or_refuses_in_any_order() {
    for order in [Order::Oldest, Order::Newest, Order::Scattered] {
        for (over_cap, status) in [(OverCap::Clamp, 200), (OverCap::Refuse400, 400), (OverCap::Refuse422, 422)] {
            let quirks = Quirks { page_cap: 25, default_limit: 10, over_cap, order, ..Quirks::default() };
            let fixture = Fixture::seeded(quirks).await;
            let over = fixture.get("/user-wallets/deposits?limit=26").await;
            assert_eq!(over.status, status);
            if status == 200 {
                assert_eq!(count(&over.json(), "deposits"), 25);
            }
            let within = fixture.get("/user-wallets/deposits?limit=25&offset=140").await;
            assert_eq!(count(&within.json(), "deposits"), 10, "the end of 150");
            let default = fixture.get("/user-wallets/deposits").await;
            assert_eq!(count(&default.json(), "deposits"), 10);
        }
    }
}

#[tokio::test]
async fn garbage_in_a_query_is_a_bad_request() {
    let fixture = Fixture::start(Quirks::default()).await;
    let limits = ["0", "-1", "x", "", "1.5", "%2B1", "%201", "99999999999999999999999", "1&limit=2"];
    let offsets = ["-1", "x", ""].map(|offset| format!("offset={offset}"));
    for query in limits.map(|limit| format!("limit={limit}")).into_iter().chain(offsets) {
        for path in ["/user-wallets", "/user-wallets/blocked", "/user-wallets/deposits"] {
            assert_eq!(fixture.get(&format!("{path}?{query}")).await.status, 400, "{path}?{query}");
        }
    }
    assert_eq!(fixture.get("/user-wallets/deposits?status=nonsense").await.status, 400);
    assert_eq!(fixture.get("/user-wallets?unknown=1").await.status, 200);
}

#[tokio::test]
async fn filters_find_users_of_any_name() {
    let fixture = Fixture::start(Quirks::default()).await;
    let names = [
        ("user-1", "user-1"),
        ("用户 🦊", "%E7%94%A8%E6%88%B7%20%F0%9F%A6%8A"),
        ("o'neil \"the\" <1>", "o%27neil+%22the%22+%3C1%3E"),
        ("a/b?x=1&y=100%", "a%2Fb%3Fx%3D1%26y%3D100%25"),
        ("a+b", "a%2Bb"),
    ];
    for (name, _) in names {
        fixture.world.add_deposit_for(name, "1").unwrap();
        let settled = fixture.world.add_deposit_for(name, "2").unwrap();
        fixture.world.set_deposit_status(settled.id, "confirmed").unwrap();
    }
    for (name, encoded) in names {
        let wallets = fixture.get(&format!("/user-wallets?externalId={encoded}")).await.json();
        assert_eq!((count(&wallets, "wallets"), &wallets["total"]), (1, &1.into()));
        assert_eq!(wallets["wallets"][0]["externalId"], name);
        let deposits = fixture.get(&format!("/user-wallets/deposits?externalId={encoded}")).await.json();
        assert_eq!((count(&deposits, "deposits"), &deposits["total"]), (2, &2.into()));
        let new = fixture.get(&format!("/user-wallets/deposits?externalId={encoded}&status=new")).await.json();
        assert_eq!((count(&new, "deposits"), &new["total"]), (1, &1.into()));
        assert_eq!(new["deposits"][0]["amount"], 1);
    }
    let new = fixture.get("/user-wallets/deposits?status=new&limit=3").await.json();
    assert_eq!((count(&new, "deposits"), &new["total"]), (3, &5.into()));
    let nobody = fixture.get("/user-wallets?externalId=nobody").await.json();
    assert_eq!((count(&nobody, "wallets"), &nobody["total"]), (0, &0.into()));
}

#[tokio::test]
async fn blocked_wallets_are_in_their_listing_and_perhaps_in_the_plain_one() {
    for (blocked, plain) in [(Visibility::Listed, 2), (Visibility::Hidden, 1)] {
        let fixture = Fixture::start(Quirks { blocked, ..Quirks::default() }).await;
        let id = fixture.world.add_wallet("1").id;
        fixture.world.add_wallet("2");
        fixture.world.block(id, "fraud").unwrap();
        let listed = fixture.get("/user-wallets/blocked").await.json();
        assert_eq!((count(&listed, "wallets"), &listed["total"]), (1, &1.into()));
        assert_eq!(listed["wallets"][0]["blockReason"], "fraud");
        assert_eq!(count(&fixture.get("/user-wallets").await.json(), "wallets"), plain);
        fixture.world.unblock(id).unwrap();
        assert_eq!(count(&fixture.get("/user-wallets/blocked").await.json(), "wallets"), 0);
        assert_eq!(count(&fixture.get("/user-wallets").await.json(), "wallets"), 2);
    }
}

#[tokio::test]
async fn a_replaced_wallet_stays_listed_or_vanishes() {
    for (replaced, plain, blocked) in [(Visibility::Listed, 2, 1), (Visibility::Hidden, 1, 0)] {
        let fixture = Fixture::start(Quirks { replaced, ..Quirks::default() }).await;
        let old = fixture.world.add_wallet("1");
        fixture.world.replace(old.id, "lost").unwrap();
        for target in ["/user-wallets", "/user-wallets?externalId=1"] {
            assert_eq!(count(&fixture.get(target).await.json(), "wallets"), plain);
        }
        assert_eq!(count(&fixture.get("/user-wallets/blocked").await.json(), "wallets"), blocked);
    }
}

#[tokio::test]
async fn total_is_present_missing_text_or_capped() {
    let totals = [
        (Total::Present, Value::from(150)),
        (Total::Missing, Value::Null),
        (Total::Text, Value::from("150")),
        (Total::CappedAt(100), Value::from(100)),
    ];
    for (total, expected) in totals {
        let fixture = Fixture::seeded(Quirks { total, ..Quirks::default() }).await;
        let page = fixture.get("/user-wallets/deposits?limit=1").await.json();
        assert_eq!(page["total"], expected);
        assert_eq!(page.as_object().unwrap().contains_key("total"), total != Total::Missing);
    }
}
