# Made from docs/events.schema.json: LUMO_TEST_WRITE=1 cargo test --test it -- generated
"""The callbacks of lumo-bridge."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Dict, List, Literal, Optional, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class Model(BaseModel):
    """Takes members that are added later."""

    model_config = ConfigDict(extra="allow")


class Change(Model):
    """A field that has changed."""

    #: Its value before; null if there was none.
    from_: Any = Field(alias="from")
    #: Its value now; null if there is none.
    to: Any


class AccountObject(Model):
    """What the tables are filled from."""

    #: Whose key was found instead.
    found_company_id: str
    #: Which server was to be asked instead.
    found_server: str
    #: The company that the tables belong to.
    id: str
    #: What it is: `account`.
    kind: Literal["account"]
    #: The server that they are filled from: scheme, host, and port.
    server: str
    #: Since when nothing is read.
    since: datetime


class DeliveryObject(Model):
    """A delivery that was given up."""

    #: How often it was tried.
    attempts: int
    #: To whom.
    endpoint: str
    #: The event that was not delivered.
    event_id: str
    #: The delivery's id, `evt_…@endpoint`, for `lumo-bridge delivery show`.
    id: str
    #: What it is: `delivery`.
    kind: Literal["delivery"]
    #: What went wrong last.
    last_error: Optional[str] = None
    #: The last HTTP status, if there was an answer.
    last_status: Optional[int] = None


class DepositObject(Model):
    """A deposit, as it is now. What could not be derived from the listed item is absent."""

    #: The address that was paid to.
    address: Optional[str] = None
    #: Exact, as decimal digits.
    amount: Optional[Decimal] = None
    #: Its block.
    block_number: Optional[int] = None
    #: The company's id at Lumo.
    company_id: Optional[str] = None
    #: Blocks on top of it.
    confirmations: Optional[int] = None
    #: When it appeared.
    created_at: Optional[datetime] = None
    #: Of what.
    currency: Optional[str] = None
    #: Your own id of the user.
    external_id: Optional[str] = None
    #: The address that paid.
    from_address: Optional[str] = None
    #: The deposit's id at Lumo.
    id: str
    #: What it is: `deposit`.
    kind: Literal["deposit"]
    #: How far it has come, as Lumo spells it; `new` comes first.
    status: str
    #: The transaction on the chain.
    tx_hash: Optional[str] = None
    #: When it last changed.
    updated_at: Optional[datetime] = None
    #: 1, then one more with each stored change: the highest is the newest.
    version: int
    #: The id of the wallet that was paid to.
    wallet_id: Optional[str] = None


class EndpointObject(Model):
    """An endpoint of the configuration."""

    #: Failures in a row that speak of the endpoint and not of one user's callbacks alone.
    consecutive_failures: int
    #: What went wrong last.
    error: Optional[str] = None
    #: Its name.
    id: str
    #: What it is: `endpoint`.
    kind: Literal["endpoint"]
    #: Since when it is in this state.
    since: datetime
    #: `active`, `failing` or `suspended`.
    state: str


class ListingObject(Model):
    """How a listing of the API stands."""

    #: Everything that was listed before is in the tables, by counts and order.
    complete_through: Optional[datetime] = None
    #: Why the last round was not complete, or rows are held back.
    error: Optional[str] = None
    #: `wallets`, `blocked` or `deposits`.
    id: str
    #: What it is: `listing`.
    kind: Literal["listing"]
    #: Everything that was listed before is in the tables, by a reading of the whole list.
    proved_through: Optional[datetime] = None
    #: How many rows left the list and are held back from being called missing.
    removals_held: Optional[int] = None
    #: Since when there is, or was, trouble.
    since: Optional[datetime] = None


class RejectObject(Model):
    """An item of a listing that cannot be read."""

    #: The item's id at Lumo; `#` and a hash of the item where it has none of its own.
    id: str
    #: What it is: `reject`.
    kind: Literal["reject"]
    #: The list that it is in: `wallets`, `blocked` or `deposits`.
    listing: str
    #: Which field, and what is wrong with it.
    reason: str


class TestObject(Model):
    """The endpoint that is tried."""

    #: Its name.
    id: str
    #: What it is: `endpoint`.
    kind: Literal["endpoint"]


class WalletObject(Model):
    """A wallet, as it is now. What could not be read of the listed item is absent."""

    #: Where the user pays to.
    address: Optional[str] = None
    #: Why it is blocked, if that was told.
    block_reason: Optional[str] = None
    #: The company's id at Lumo.
    company_id: str
    #: When it was created.
    created_at: datetime
    #: Your own id of the user.
    external_id: str
    #: The wallet's id at Lumo.
    id: str
    #: Whether it is blocked.
    is_blocked: bool
    #: What it is: `wallet`.
    kind: Literal["wallet"]
    #: Exact, as decimal digits.
    last_trx_balance: Optional[Decimal] = None
    #: Exact, as decimal digits.
    last_usdt_balance: Optional[Decimal] = None
    #: 1, then one more with each stored change: the highest is the newest.
    version: int


class AccountData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: AccountObject
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class DeliveryData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: DeliveryObject
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class DepositData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: DepositObject
    #: The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change.
    upstream: Dict[str, Any]
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class EndpointData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: EndpointObject
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class ListingData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: ListingObject
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class RejectData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: RejectObject
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class TestData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: TestObject
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class WalletData(Model):
    """What it is about."""

    #: What differs from before, by the name of the field; null where there was nothing before.
    changes: Optional[Dict[str, Change]]
    #: The thing as it is now.
    object: WalletObject
    #: The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change.
    upstream: Dict[str, Any]
    #: Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    upstream_altered: Optional[List[str]] = None


class Envelope(Model):
    """The body of a callback."""

    #: The company whose key reads; absent until it is known.
    company_id: Optional[str] = None
    #: When the bridge noticed.
    detected_at: datetime
    #: Where it is read: `production`, `staging`, or the server's host; absent until the company is known.
    environment: Optional[str] = None
    #: The event's id, the same on every attempt and replay: keep each once. Also the header `webhook-id`.
    id: str
    #: How the bridge came to know of it. `live`: noticed as it happened; `import`: there before the first import; `backfill`: history that an endpoint asked for; `test`: an operator tries the endpoint.
    origin: Literal["live", "import", "backfill", "test"]
    #: The version of this contract.
    schema_: Literal[1] = Field(alias="schema")
    #: 1, 2, 3 … within the stream; 0 in a test. An endpoint does not get every number: never wait for one.
    sequence: int
    #: Whom it concerns. The events of one stream are numbered and sent in order.
    stream: str
    #: When it happened.
    timestamp: datetime


class WalletCreated(Envelope):
    """A user has a wallet, the first one. If it is blocked already, `wallet.blocked` follows."""

    type: Literal["wallet.created"]
    data: WalletData


class WalletBlocked(Envelope):
    """A wallet was blocked, or is blocked when it is first seen: then `changes` has nothing before, and it follows `wallet.created` or `wallet.replaced`."""

    type: Literal["wallet.blocked"]
    data: WalletData


class WalletUnblocked(Envelope):
    """A wallet is no longer blocked. It is sent after two reads have shown it."""

    type: Literal["wallet.unblocked"]
    data: WalletData


class WalletReplaced(Envelope):
    """A user has another wallet; `changes` names the one before. If it is blocked already, `wallet.blocked` follows."""

    type: Literal["wallet.replaced"]
    data: WalletData


class WalletBalanceChanged(Envelope):
    """Nothing but balances has changed. Only for endpoints that name this type; a newer one replaces one that was not delivered yet."""

    type: Literal["wallet.balance_changed"]
    data: WalletData


class WalletUpdated(Envelope):
    """Something else about a wallet has changed, or a missing one is listed again."""

    type: Literal["wallet.updated"]
    data: WalletData


class WalletMissing(Envelope):
    """A wallet is no longer listed, by proof."""

    type: Literal["wallet.missing"]
    data: WalletData


class DepositCreated(Envelope):
    """A user has paid something in."""

    type: Literal["deposit.created"]
    data: DepositData


class DepositSettled(Envelope):
    """The money is there: the deposit has one of `lumo.settled_statuses` for the first time, as it appears or later. Once, whatever its status does afterwards; never for what was stored in silence."""

    type: Literal["deposit.settled"]
    data: DepositData


class DepositStatusChanged(Envelope):
    """A deposit has come further."""

    type: Literal["deposit.status_changed"]
    data: DepositData


class DepositUpdated(Envelope):
    """Something else about a deposit has changed, or a missing one is listed again."""

    type: Literal["deposit.updated"]
    data: DepositData


class DepositMissing(Envelope):
    """A deposit is no longer listed, by proof."""

    type: Literal["deposit.missing"]
    data: DepositData


class SyncStalled(Envelope):
    """A listing has not been read completely for too long."""

    type: Literal["sync.stalled"]
    data: ListingData


class SyncRecovered(Envelope):
    """A trouble of a listing is over: it is read completely again, its key is taken, or no removal is held back; see `changes`."""

    type: Literal["sync.recovered"]
    data: ListingData


class SyncUnauthorized(Envelope):
    """The API refuses the key."""

    type: Literal["sync.unauthorized"]
    data: ListingData


class SyncWrongAccount(Envelope):
    """The API key is of another company than the tables, or `lumo.base_url` names another server. Nothing is read until that is put right or adopted: `lumo-bridge account show`."""

    type: Literal["sync.wrong_account"]
    data: AccountData


class SyncRemovalsHeld(Envelope):
    """Rows left a listing and are held back from being called missing: they are confirmed in portions, or, where they are most of it, wait for `lumo-bridge sync all --accept-removals`. `error` says which."""

    type: Literal["sync.removals_held"]
    data: ListingData


class SyncItemRejected(Envelope):
    """An item of a listing cannot be read and is kept aside: `lumo-bridge sync rejects`. Once, and again when the item changes."""

    type: Literal["sync.item_rejected"]
    data: RejectData


class EndpointFailing(Envelope):
    """An endpoint has failed five times running; what is for it is held."""

    type: Literal["endpoint.failing"]
    data: EndpointData


class EndpointSuspended(Envelope):
    """An endpoint has answered 410 or failed for 72 hours; nothing is sent to it."""

    type: Literal["endpoint.suspended"]
    data: EndpointData


class EndpointRecovered(Envelope):
    """An endpoint has taken a callback again; what was held goes out."""

    type: Literal["endpoint.recovered"]
    data: EndpointData


class DeliveryDead(Envelope):
    """A delivery was given up after its last attempt."""

    type: Literal["delivery.dead"]
    data: DeliveryData


class BridgeTest(Envelope):
    """The operator tries the endpoint: `lumo-bridge endpoint test`."""

    type: Literal["bridge.test"]
    data: TestData


Event = Annotated[
    Union[
        WalletCreated,
        WalletBlocked,
        WalletUnblocked,
        WalletReplaced,
        WalletBalanceChanged,
        WalletUpdated,
        WalletMissing,
        DepositCreated,
        DepositSettled,
        DepositStatusChanged,
        DepositUpdated,
        DepositMissing,
        SyncStalled,
        SyncRecovered,
        SyncUnauthorized,
        SyncWrongAccount,
        SyncRemovalsHeld,
        SyncItemRejected,
        EndpointFailing,
        EndpointSuspended,
        EndpointRecovered,
        DeliveryDead,
        BridgeTest,
    ],
    Field(discriminator="type"),
]

#: Reads the body of a callback: `event.validate_json(body)`. It refuses a type that was added later; `parse` does not.
event: TypeAdapter[Event] = TypeAdapter(Event)


def parse(body: Union[str, bytes]) -> Optional[Event]:
    """Reads a body whose signature was verified. None for a type that was added later: answer 2xx."""
    try:
        return event.validate_json(body)
    except ValidationError as error:
        if error.errors()[0]["type"] == "union_tag_invalid":
            return None
        raise
