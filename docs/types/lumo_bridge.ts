// Made from docs/events.schema.json: LUMO_TEST_WRITE=1 cargo test --test it -- generated

/** A field that has changed. */
export interface Change {
  /** Its value before; null if there was none. */
  from: unknown;
  /** Its value now; null if there is none. */
  to: unknown;
}

/** What the tables are filled from. */
export interface AccountObject {
  /** Whose key was found instead. */
  found_company_id: string;
  /** Which server was to be asked instead. */
  found_server: string;
  /** The company that the tables belong to. */
  id: string;
  /** What it is: `account`. */
  kind: "account";
  /** The server that they are filled from: scheme, host, and port. */
  server: string;
  /** Since when nothing is read. */
  since: string;
}

/** A delivery that was given up. */
export interface DeliveryObject {
  /** How often it was tried. */
  attempts: number;
  /** To whom. */
  endpoint: string;
  /** The event that was not delivered. */
  event_id: string;
  /** The delivery's id, `evt_…@endpoint`, for `lumo-bridge delivery show`. */
  id: string;
  /** What it is: `delivery`. */
  kind: "delivery";
  /** What went wrong last. */
  last_error?: string;
  /** The last HTTP status, if there was an answer. */
  last_status?: number;
}

/** A deposit, as it is now. What could not be derived from the listed item is absent. */
export interface DepositObject {
  /** The address that was paid to. */
  address?: string;
  /** Exact, as decimal digits. */
  amount?: string;
  /** Its block. */
  block_number?: number;
  /** The company's id at Lumo. */
  company_id?: string;
  /** Blocks on top of it. */
  confirmations?: number;
  /** When it appeared. */
  created_at?: string;
  /** Of what. */
  currency?: string;
  /** Your own id of the user. */
  external_id?: string;
  /** The address that paid. */
  from_address?: string;
  /** The deposit's id at Lumo. */
  id: string;
  /** What it is: `deposit`. */
  kind: "deposit";
  /** How far it has come, as Lumo spells it; `new` comes first. */
  status: string;
  /** The transaction on the chain. */
  tx_hash?: string;
  /** When it last changed. */
  updated_at?: string;
  /** 1, then one more with each stored change: the highest is the newest. */
  version: number;
  /** The id of the wallet that was paid to. */
  wallet_id?: string;
}

/** An endpoint of the configuration. */
export interface EndpointObject {
  /** Failures in a row that speak of the endpoint and not of one user's callbacks alone. */
  consecutive_failures: number;
  /** What went wrong last. */
  error?: string;
  /** Its name. */
  id: string;
  /** What it is: `endpoint`. */
  kind: "endpoint";
  /** Since when it is in this state. */
  since: string;
  /** `active`, `failing` or `suspended`. */
  state: string;
}

/** How a listing of the API stands. */
export interface ListingObject {
  /** Everything that was listed before is in the tables, by counts and order. */
  complete_through?: string;
  /** Why the last round was not complete, or rows are held back. */
  error?: string;
  /** `wallets`, `blocked` or `deposits`. */
  id: string;
  /** What it is: `listing`. */
  kind: "listing";
  /** Everything that was listed before is in the tables, by a reading of the whole list. */
  proved_through?: string;
  /** How many rows left the list and are held back from being called missing. */
  removals_held?: number;
  /** Since when there is, or was, trouble. */
  since?: string;
}

/** An item of a listing that cannot be read. */
export interface RejectObject {
  /** The item's id at Lumo; `#` and a hash of the item where it has none of its own. */
  id: string;
  /** What it is: `reject`. */
  kind: "reject";
  /** The list that it is in: `wallets`, `blocked` or `deposits`. */
  listing: string;
  /** Which field, and what is wrong with it. */
  reason: string;
}

/** The endpoint that is tried. */
export interface TestObject {
  /** Its name. */
  id: string;
  /** What it is: `endpoint`. */
  kind: "endpoint";
}

/** A wallet, as it is now. What could not be read of the listed item is absent. */
export interface WalletObject {
  /** Where the user pays to. */
  address?: string;
  /** Why it is blocked, if that was told. */
  block_reason?: string;
  /** The company's id at Lumo. */
  company_id: string;
  /** When it was created. */
  created_at: string;
  /** Your own id of the user. */
  external_id: string;
  /** The wallet's id at Lumo. */
  id: string;
  /** Whether it is blocked. */
  is_blocked: boolean;
  /** What it is: `wallet`. */
  kind: "wallet";
  /** Exact, as decimal digits. */
  last_trx_balance?: string;
  /** Exact, as decimal digits. */
  last_usdt_balance?: string;
  /** 1, then one more with each stored change: the highest is the newest. */
  version: number;
}

/** The body of a callback. */
export interface Envelope {
  /** The company whose key reads; absent until it is known. */
  company_id?: string;
  /** What it is about. */
  data: object;
  /** When the bridge noticed. */
  detected_at: string;
  /** Where it is read: `production`, `staging`, or the server's host; absent until the company is known. */
  environment?: string;
  /** The event's id, the same on every attempt and replay: keep each once. Also the header `webhook-id`. */
  id: string;
  /** How the bridge came to know of it. `live`: noticed as it happened; `import`: there before the first import; `backfill`: history that an endpoint asked for; `test`: an operator tries the endpoint. */
  origin: "live" | "import" | "backfill" | "test";
  /** The version of this contract. */
  schema: 1;
  /** 1, 2, 3 … within the stream; 0 in a test. An endpoint does not get every number: never wait for one. */
  sequence: number;
  /** Whom it concerns. The events of one stream are numbered and sent in order. */
  stream: string;
  /** When it happened. */
  timestamp: string;
  /** What happened. */
  type: string;
}

/** What it is about. */
export interface AccountData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: AccountObject;
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface DeliveryData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: DeliveryObject;
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface DepositData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: DepositObject;
  /** The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change. */
  upstream: { [member: string]: unknown };
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface EndpointData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: EndpointObject;
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface ListingData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: ListingObject;
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface RejectData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: RejectObject;
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface TestData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: TestObject;
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** What it is about. */
export interface WalletData {
  /** What differs from before, by the name of the field; null where there was nothing before. */
  changes: { [field: string]: Change } | null;
  /** The thing as it is now. */
  object: WalletObject;
  /** The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change. */
  upstream: { [member: string]: unknown };
  /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
  upstream_altered?: string[];
}

/** A user has a wallet, the first one. If it is blocked already, `wallet.blocked` follows. */
export interface WalletCreated extends Envelope {
  type: "wallet.created";
  data: WalletData;
}

/** A wallet was blocked, or is blocked when it is first seen: then `changes` has nothing before, and it follows `wallet.created` or `wallet.replaced`. */
export interface WalletBlocked extends Envelope {
  type: "wallet.blocked";
  data: WalletData;
}

/** A wallet is no longer blocked. It is sent after two reads have shown it. */
export interface WalletUnblocked extends Envelope {
  type: "wallet.unblocked";
  data: WalletData;
}

/** A user has another wallet; `changes` names the one before. If it is blocked already, `wallet.blocked` follows. */
export interface WalletReplaced extends Envelope {
  type: "wallet.replaced";
  data: WalletData;
}

/** Nothing but balances has changed. Only for endpoints that name this type; a newer one replaces one that was not delivered yet. */
export interface WalletBalanceChanged extends Envelope {
  type: "wallet.balance_changed";
  data: WalletData;
}

/** Something else about a wallet has changed, or a missing one is listed again. */
export interface WalletUpdated extends Envelope {
  type: "wallet.updated";
  data: WalletData;
}

/** A wallet is no longer listed, by proof. */
export interface WalletMissing extends Envelope {
  type: "wallet.missing";
  data: WalletData;
}

/** A user has paid something in. */
export interface DepositCreated extends Envelope {
  type: "deposit.created";
  data: DepositData;
}

/** The money is there: the deposit has one of `lumo.settled_statuses` for the first time, as it appears or later. Once, whatever its status does afterwards; never for what was stored in silence. */
export interface DepositSettled extends Envelope {
  type: "deposit.settled";
  data: DepositData;
}

/** A deposit has come further. */
export interface DepositStatusChanged extends Envelope {
  type: "deposit.status_changed";
  data: DepositData;
}

/** Something else about a deposit has changed, or a missing one is listed again. */
export interface DepositUpdated extends Envelope {
  type: "deposit.updated";
  data: DepositData;
}

/** A deposit is no longer listed, by proof. */
export interface DepositMissing extends Envelope {
  type: "deposit.missing";
  data: DepositData;
}

/** A listing has not been read completely for too long. */
export interface SyncStalled extends Envelope {
  type: "sync.stalled";
  data: ListingData;
}

/** A trouble of a listing is over: it is read completely again, its key is taken, or no removal is held back; see `changes`. */
export interface SyncRecovered extends Envelope {
  type: "sync.recovered";
  data: ListingData;
}

/** The API refuses the key. */
export interface SyncUnauthorized extends Envelope {
  type: "sync.unauthorized";
  data: ListingData;
}

/** The API key is of another company than the tables, or `lumo.base_url` names another server. Nothing is read until that is put right or adopted: `lumo-bridge account show`. */
export interface SyncWrongAccount extends Envelope {
  type: "sync.wrong_account";
  data: AccountData;
}

/** Rows left a listing and are held back from being called missing: they are confirmed in portions, or, where they are most of it, wait for `lumo-bridge sync all --accept-removals`. `error` says which. */
export interface SyncRemovalsHeld extends Envelope {
  type: "sync.removals_held";
  data: ListingData;
}

/** An item of a listing cannot be read and is kept aside: `lumo-bridge sync rejects`. Once, and again when the item changes. */
export interface SyncItemRejected extends Envelope {
  type: "sync.item_rejected";
  data: RejectData;
}

/** An endpoint has failed five times running; what is for it is held. */
export interface EndpointFailing extends Envelope {
  type: "endpoint.failing";
  data: EndpointData;
}

/** An endpoint has answered 410 or failed for 72 hours; nothing is sent to it. */
export interface EndpointSuspended extends Envelope {
  type: "endpoint.suspended";
  data: EndpointData;
}

/** An endpoint has taken a callback again; what was held goes out. */
export interface EndpointRecovered extends Envelope {
  type: "endpoint.recovered";
  data: EndpointData;
}

/** A delivery was given up after its last attempt. */
export interface DeliveryDead extends Envelope {
  type: "delivery.dead";
  data: DeliveryData;
}

/** The operator tries the endpoint: `lumo-bridge endpoint test`. */
export interface BridgeTest extends Envelope {
  type: "bridge.test";
  data: TestData;
}

/** The body of a callback. Others may be added: answer 2xx to a `type` that you do not know. */
export type Event =
  | WalletCreated
  | WalletBlocked
  | WalletUnblocked
  | WalletReplaced
  | WalletBalanceChanged
  | WalletUpdated
  | WalletMissing
  | DepositCreated
  | DepositSettled
  | DepositStatusChanged
  | DepositUpdated
  | DepositMissing
  | SyncStalled
  | SyncRecovered
  | SyncUnauthorized
  | SyncWrongAccount
  | SyncRemovalsHeld
  | SyncItemRejected
  | EndpointFailing
  | EndpointSuspended
  | EndpointRecovered
  | DeliveryDead
  | BridgeTest;
