//! The types of event: a closed list of names.

use std::fmt;
use std::str::FromStr;

macro_rules! event_types {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// Every type of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType {
            $($variant),+
        }

        impl EventType {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in tables, patterns and callbacks.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

event_types! {
    WalletCreated = "wallet.created",
    WalletBlocked = "wallet.blocked",
    WalletUnblocked = "wallet.unblocked",
    WalletReplaced = "wallet.replaced",
    WalletBalanceChanged = "wallet.balance_changed",
    WalletUpdated = "wallet.updated",
    WalletMissing = "wallet.missing",
    DepositCreated = "deposit.created",
    DepositSettled = "deposit.settled",
    DepositStatusChanged = "deposit.status_changed",
    DepositUpdated = "deposit.updated",
    DepositMissing = "deposit.missing",
    SyncStalled = "sync.stalled",
    SyncRecovered = "sync.recovered",
    SyncUnauthorized = "sync.unauthorized",
    SyncWrongAccount = "sync.wrong_account",
    SyncRemovalsHeld = "sync.removals_held",
    SyncItemRejected = "sync.item_rejected",
    EndpointFailing = "endpoint.failing",
    EndpointSuspended = "endpoint.suspended",
    EndpointRecovered = "endpoint.recovered",
    DeliveryDead = "delivery.dead",
    BridgeTest = "bridge.test",
}

impl EventType {
    /// Whether it can happen only once for an object, so that its id holds nothing but the object.
    #[must_use]
    pub const fn happens_once(self) -> bool {
        matches!(self, Self::WalletCreated | Self::WalletReplaced | Self::DepositCreated | Self::DepositSettled)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no event's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no event")]
pub struct UnknownEvent(pub String);

impl FromStr for EventType {
    type Err = UnknownEvent;

    fn from_str(name: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name).ok_or_else(|| UnknownEvent(name.to_owned()))
    }
}
