// Made from docs/events.schema.json: LUMO_TEST_WRITE=1 cargo test --test it -- generated

// Package lumobridge has the callbacks of lumo-bridge as types.
package lumobridge

import (
	"encoding/json"
	"time"
)

// What `Envelope.Type` may be. Others may be added: answer 2xx to one that you do not know.
const (
	// A user has a wallet, the first one. If it is blocked already, `wallet.blocked` follows.
	TypeWalletCreated = "wallet.created"

	// A wallet was blocked, or is blocked when it is first seen: then `changes` has nothing before, and it follows `wallet.created` or `wallet.replaced`.
	TypeWalletBlocked = "wallet.blocked"

	// A wallet is no longer blocked. It is sent after two reads have shown it.
	TypeWalletUnblocked = "wallet.unblocked"

	// A user has another wallet; `changes` names the one before. If it is blocked already, `wallet.blocked` follows.
	TypeWalletReplaced = "wallet.replaced"

	// Nothing but balances has changed. Only for endpoints that name this type; a newer one replaces one that was not delivered yet.
	TypeWalletBalanceChanged = "wallet.balance_changed"

	// Something else about a wallet has changed, or a missing one is listed again.
	TypeWalletUpdated = "wallet.updated"

	// A wallet is no longer listed, by proof.
	TypeWalletMissing = "wallet.missing"

	// A user has paid something in.
	TypeDepositCreated = "deposit.created"

	// The money is there: the deposit has one of `lumo.settled_statuses` for the first time, as it appears or later. Once, whatever its status does afterwards; never for what was stored in silence.
	TypeDepositSettled = "deposit.settled"

	// A deposit has come further.
	TypeDepositStatusChanged = "deposit.status_changed"

	// Something else about a deposit has changed, or a missing one is listed again.
	TypeDepositUpdated = "deposit.updated"

	// A deposit is no longer listed, by proof.
	TypeDepositMissing = "deposit.missing"

	// A listing has not been read completely for too long.
	TypeSyncStalled = "sync.stalled"

	// A trouble of a listing is over: it is read completely again, its key is taken, or no removal is held back; see `changes`.
	TypeSyncRecovered = "sync.recovered"

	// The API refuses the key.
	TypeSyncUnauthorized = "sync.unauthorized"

	// The API key is of another company than the tables, or `lumo.base_url` names another server. Nothing is read until that is put right or adopted: `lumo-bridge account show`.
	TypeSyncWrongAccount = "sync.wrong_account"

	// Rows left a listing and are held back from being called missing: they are confirmed in portions, or, where they are most of it, wait for `lumo-bridge sync all --accept-removals`. `error` says which.
	TypeSyncRemovalsHeld = "sync.removals_held"

	// An item of a listing cannot be read and is kept aside: `lumo-bridge sync rejects`. Once, and again when the item changes.
	TypeSyncItemRejected = "sync.item_rejected"

	// An endpoint has failed five times running; what is for it is held.
	TypeEndpointFailing = "endpoint.failing"

	// An endpoint has answered 410 or failed for 72 hours; nothing is sent to it.
	TypeEndpointSuspended = "endpoint.suspended"

	// An endpoint has taken a callback again; what was held goes out.
	TypeEndpointRecovered = "endpoint.recovered"

	// A delivery was given up after its last attempt.
	TypeDeliveryDead = "delivery.dead"

	// The operator tries the endpoint: `lumo-bridge endpoint test`.
	TypeBridgeTest = "bridge.test"
)

// Envelope: The body of a callback.
type Envelope struct {
	// The company whose key reads; absent until it is known.
	CompanyID *string `json:"company_id,omitempty"`

	// What it is about.
	Data json.RawMessage `json:"data"`

	// When the bridge noticed.
	DetectedAt time.Time `json:"detected_at"`

	// Where it is read: `production`, `staging`, or the server's host; absent until the company is known.
	Environment *string `json:"environment,omitempty"`

	// The event's id, the same on every attempt and replay: keep each once. Also the header `webhook-id`.
	ID string `json:"id"`

	// How the bridge came to know of it. `live`: noticed as it happened; `import`: there before the first import; `backfill`: history that an endpoint asked for; `test`: an operator tries the endpoint.
	Origin string `json:"origin"`

	// The version of this contract.
	Schema int64 `json:"schema"`

	// 1, 2, 3 … within the stream; 0 in a test. An endpoint does not get every number: never wait for one.
	Sequence int64 `json:"sequence"`

	// Whom it concerns. The events of one stream are numbered and sent in order.
	Stream string `json:"stream"`

	// When it happened.
	Timestamp time.Time `json:"timestamp"`

	// What happened.
	Type string `json:"type"`
}

// Change: A field that has changed.
type Change struct {
	// Its value before; null if there was none.
	From json.RawMessage `json:"from"`

	// Its value now; null if there is none.
	To json.RawMessage `json:"to"`
}

// AccountObject: What the tables are filled from.
type AccountObject struct {
	// Whose key was found instead.
	FoundCompanyID string `json:"found_company_id"`

	// Which server was to be asked instead.
	FoundServer string `json:"found_server"`

	// The company that the tables belong to.
	ID string `json:"id"`

	// What it is: `account`.
	Kind string `json:"kind"`

	// The server that they are filled from: scheme, host, and port.
	Server string `json:"server"`

	// Since when nothing is read.
	Since time.Time `json:"since"`
}

// DeliveryObject: A delivery that was given up.
type DeliveryObject struct {
	// How often it was tried.
	Attempts int64 `json:"attempts"`

	// To whom.
	Endpoint string `json:"endpoint"`

	// The event that was not delivered.
	EventID string `json:"event_id"`

	// The delivery's id, `evt_…@endpoint`, for `lumo-bridge delivery show`.
	ID string `json:"id"`

	// What it is: `delivery`.
	Kind string `json:"kind"`

	// What went wrong last.
	LastError *string `json:"last_error,omitempty"`

	// The last HTTP status, if there was an answer.
	LastStatus *int64 `json:"last_status,omitempty"`
}

// DepositObject: A deposit, as it is now. What could not be derived from the listed item is absent.
type DepositObject struct {
	// The address that was paid to.
	Address *string `json:"address,omitempty"`

	// Exact, as decimal digits.
	Amount *string `json:"amount,omitempty"`

	// Its block.
	BlockNumber *int64 `json:"block_number,omitempty"`

	// The company's id at Lumo.
	CompanyID *string `json:"company_id,omitempty"`

	// Blocks on top of it.
	Confirmations *int64 `json:"confirmations,omitempty"`

	// When it appeared.
	CreatedAt *time.Time `json:"created_at,omitempty"`

	// Of what.
	Currency *string `json:"currency,omitempty"`

	// Your own id of the user.
	ExternalID *string `json:"external_id,omitempty"`

	// The address that paid.
	FromAddress *string `json:"from_address,omitempty"`

	// The deposit's id at Lumo.
	ID string `json:"id"`

	// What it is: `deposit`.
	Kind string `json:"kind"`

	// How far it has come, as Lumo spells it; `new` comes first.
	Status string `json:"status"`

	// The transaction on the chain.
	TxHash *string `json:"tx_hash,omitempty"`

	// When it last changed.
	UpdatedAt *time.Time `json:"updated_at,omitempty"`

	// 1, then one more with each stored change: the highest is the newest.
	Version int64 `json:"version"`

	// The id of the wallet that was paid to.
	WalletID *string `json:"wallet_id,omitempty"`
}

// EndpointObject: An endpoint of the configuration.
type EndpointObject struct {
	// Failures in a row that speak of the endpoint and not of one user's callbacks alone.
	ConsecutiveFailures int64 `json:"consecutive_failures"`

	// What went wrong last.
	Error *string `json:"error,omitempty"`

	// Its name.
	ID string `json:"id"`

	// What it is: `endpoint`.
	Kind string `json:"kind"`

	// Since when it is in this state.
	Since time.Time `json:"since"`

	// `active`, `failing` or `suspended`.
	State string `json:"state"`
}

// ListingObject: How a listing of the API stands.
type ListingObject struct {
	// Everything that was listed before is in the tables, by counts and order.
	CompleteThrough *time.Time `json:"complete_through,omitempty"`

	// Why the last round was not complete, or rows are held back.
	Error *string `json:"error,omitempty"`

	// `wallets`, `blocked` or `deposits`.
	ID string `json:"id"`

	// What it is: `listing`.
	Kind string `json:"kind"`

	// Everything that was listed before is in the tables, by a reading of the whole list.
	ProvedThrough *time.Time `json:"proved_through,omitempty"`

	// How many rows left the list and are held back from being called missing.
	RemovalsHeld *int64 `json:"removals_held,omitempty"`

	// Since when there is, or was, trouble.
	Since *time.Time `json:"since,omitempty"`
}

// RejectObject: An item of a listing that cannot be read.
type RejectObject struct {
	// The item's id at Lumo; `#` and a hash of the item where it has none of its own.
	ID string `json:"id"`

	// What it is: `reject`.
	Kind string `json:"kind"`

	// The list that it is in: `wallets`, `blocked` or `deposits`.
	Listing string `json:"listing"`

	// Which field, and what is wrong with it.
	Reason string `json:"reason"`
}

// TestObject: The endpoint that is tried.
type TestObject struct {
	// Its name.
	ID string `json:"id"`

	// What it is: `endpoint`.
	Kind string `json:"kind"`
}

// WalletObject: A wallet, as it is now. What could not be read of the listed item is absent.
type WalletObject struct {
	// Where the user pays to.
	Address *string `json:"address,omitempty"`

	// Why it is blocked, if that was told.
	BlockReason *string `json:"block_reason,omitempty"`

	// The company's id at Lumo.
	CompanyID string `json:"company_id"`

	// When it was created.
	CreatedAt time.Time `json:"created_at"`

	// Your own id of the user.
	ExternalID string `json:"external_id"`

	// The wallet's id at Lumo.
	ID string `json:"id"`

	// Whether it is blocked.
	IsBlocked bool `json:"is_blocked"`

	// What it is: `wallet`.
	Kind string `json:"kind"`

	// Exact, as decimal digits.
	LastTrxBalance *string `json:"last_trx_balance,omitempty"`

	// Exact, as decimal digits.
	LastUsdtBalance *string `json:"last_usdt_balance,omitempty"`

	// 1, then one more with each stored change: the highest is the newest.
	Version int64 `json:"version"`
}

// AccountData: What it is about.
type AccountData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object AccountObject `json:"object"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// DeliveryData: What it is about.
type DeliveryData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object DeliveryObject `json:"object"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// DepositData: What it is about.
type DepositData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object DepositObject `json:"object"`

	// The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change.
	Upstream json.RawMessage `json:"upstream"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// EndpointData: What it is about.
type EndpointData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object EndpointObject `json:"object"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// ListingData: What it is about.
type ListingData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object ListingObject `json:"object"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// RejectData: What it is about.
type RejectData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object RejectObject `json:"object"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// TestData: What it is about.
type TestData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object TestObject `json:"object"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// WalletData: What it is about.
type WalletData struct {
	// What differs from before, by the name of the field; null where there was nothing before.
	Changes map[string]Change `json:"changes"`

	// The thing as it is now.
	Object WalletObject `json:"object"`

	// The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change.
	Upstream json.RawMessage `json:"upstream"`

	// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
	UpstreamAltered []string `json:"upstream_altered,omitempty"`
}

// Account reads the `data` of an event about such an object.
func (e Envelope) Account() (data AccountData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Delivery reads the `data` of an event about such an object.
func (e Envelope) Delivery() (data DeliveryData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Deposit reads the `data` of an event about such an object.
func (e Envelope) Deposit() (data DepositData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Endpoint reads the `data` of an event about such an object.
func (e Envelope) Endpoint() (data EndpointData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Listing reads the `data` of an event about such an object.
func (e Envelope) Listing() (data ListingData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Reject reads the `data` of an event about such an object.
func (e Envelope) Reject() (data RejectData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Test reads the `data` of an event about such an object.
func (e Envelope) Test() (data TestData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}

// Wallet reads the `data` of an event about such an object.
func (e Envelope) Wallet() (data WalletData, err error) {
	err = json.Unmarshal(e.Data, &data)
	return
}
