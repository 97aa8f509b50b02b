<?php
// Made from docs/events.schema.json: LUMO_TEST_WRITE=1 cargo test --test it -- generated

declare(strict_types=1);

namespace LumoBridge;

/** A field that has changed. */
final class Change
{
    public function __construct(
        /** Its value before; null if there was none. */
        public readonly mixed $from,
        /** Its value now; null if there is none. */
        public readonly mixed $to,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['from'],
            $body['to'],
        );
    }
}

/** What the tables are filled from. */
final class AccountObject
{
    public function __construct(
        /** Whose key was found instead. */
        public readonly string $foundCompanyId,
        /** Which server was to be asked instead. */
        public readonly string $foundServer,
        /** The company that the tables belong to. */
        public readonly string $id,
        /** What it is: `account`. */
        public readonly string $kind,
        /** The server that they are filled from: scheme, host, and port. */
        public readonly string $server,
        /** Since when nothing is read. */
        public readonly \DateTimeImmutable $since,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['found_company_id'],
            $body['found_server'],
            $body['id'],
            $body['kind'],
            $body['server'],
            new \DateTimeImmutable($body['since']),
        );
    }
}

/** A delivery that was given up. */
final class DeliveryObject
{
    public function __construct(
        /** How often it was tried. */
        public readonly int $attempts,
        /** To whom. */
        public readonly string $endpoint,
        /** The event that was not delivered. */
        public readonly string $eventId,
        /** The delivery's id, `evt_…@endpoint`, for `lumo-bridge delivery show`. */
        public readonly string $id,
        /** What it is: `delivery`. */
        public readonly string $kind,
        /** What went wrong last. */
        public readonly ?string $lastError,
        /** The last HTTP status, if there was an answer. */
        public readonly ?int $lastStatus,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['attempts'],
            $body['endpoint'],
            $body['event_id'],
            $body['id'],
            $body['kind'],
            $body['last_error'] ?? null,
            $body['last_status'] ?? null,
        );
    }
}

/** A deposit, as it is now. What could not be derived from the listed item is absent. */
final class DepositObject
{
    public function __construct(
        /** The address that was paid to. */
        public readonly ?string $address,
        /** Exact, as decimal digits. */
        public readonly ?string $amount,
        /** Its block. */
        public readonly ?int $blockNumber,
        /** The company's id at Lumo. */
        public readonly ?string $companyId,
        /** Blocks on top of it. */
        public readonly ?int $confirmations,
        /** When it appeared. */
        public readonly ?\DateTimeImmutable $createdAt,
        /** Of what. */
        public readonly ?string $currency,
        /** Your own id of the user. */
        public readonly ?string $externalId,
        /** The address that paid. */
        public readonly ?string $fromAddress,
        /** The deposit's id at Lumo. */
        public readonly string $id,
        /** What it is: `deposit`. */
        public readonly string $kind,
        /** How far it has come, as Lumo spells it; `new` comes first. */
        public readonly string $status,
        /** The transaction on the chain. */
        public readonly ?string $txHash,
        /** When it last changed. */
        public readonly ?\DateTimeImmutable $updatedAt,
        /** 1, then one more with each stored change: the highest is the newest. */
        public readonly int $version,
        /** The id of the wallet that was paid to. */
        public readonly ?string $walletId,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['address'] ?? null,
            $body['amount'] ?? null,
            $body['block_number'] ?? null,
            $body['company_id'] ?? null,
            $body['confirmations'] ?? null,
            isset($body['created_at']) ? new \DateTimeImmutable($body['created_at']) : null,
            $body['currency'] ?? null,
            $body['external_id'] ?? null,
            $body['from_address'] ?? null,
            $body['id'],
            $body['kind'],
            $body['status'],
            $body['tx_hash'] ?? null,
            isset($body['updated_at']) ? new \DateTimeImmutable($body['updated_at']) : null,
            $body['version'],
            $body['wallet_id'] ?? null,
        );
    }
}

/** An endpoint of the configuration. */
final class EndpointObject
{
    public function __construct(
        /** Failures in a row that speak of the endpoint and not of one user's callbacks alone. */
        public readonly int $consecutiveFailures,
        /** What went wrong last. */
        public readonly ?string $error,
        /** Its name. */
        public readonly string $id,
        /** What it is: `endpoint`. */
        public readonly string $kind,
        /** Since when it is in this state. */
        public readonly \DateTimeImmutable $since,
        /** `active`, `failing` or `suspended`. */
        public readonly string $state,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['consecutive_failures'],
            $body['error'] ?? null,
            $body['id'],
            $body['kind'],
            new \DateTimeImmutable($body['since']),
            $body['state'],
        );
    }
}

/** How a listing of the API stands. */
final class ListingObject
{
    public function __construct(
        /** Everything that was listed before is in the tables, by counts and order. */
        public readonly ?\DateTimeImmutable $completeThrough,
        /** Why the last round was not complete, or rows are held back. */
        public readonly ?string $error,
        /** `wallets`, `blocked` or `deposits`. */
        public readonly string $id,
        /** What it is: `listing`. */
        public readonly string $kind,
        /** Everything that was listed before is in the tables, by a reading of the whole list. */
        public readonly ?\DateTimeImmutable $provedThrough,
        /** How many rows left the list and are held back from being called missing. */
        public readonly ?int $removalsHeld,
        /** Since when there is, or was, trouble. */
        public readonly ?\DateTimeImmutable $since,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['complete_through']) ? new \DateTimeImmutable($body['complete_through']) : null,
            $body['error'] ?? null,
            $body['id'],
            $body['kind'],
            isset($body['proved_through']) ? new \DateTimeImmutable($body['proved_through']) : null,
            $body['removals_held'] ?? null,
            isset($body['since']) ? new \DateTimeImmutable($body['since']) : null,
        );
    }
}

/** An item of a listing that cannot be read. */
final class RejectObject
{
    public function __construct(
        /** The item's id at Lumo; `#` and a hash of the item where it has none of its own. */
        public readonly string $id,
        /** What it is: `reject`. */
        public readonly string $kind,
        /** The list that it is in: `wallets`, `blocked` or `deposits`. */
        public readonly string $listing,
        /** Which field, and what is wrong with it. */
        public readonly string $reason,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['id'],
            $body['kind'],
            $body['listing'],
            $body['reason'],
        );
    }
}

/** The endpoint that is tried. */
final class TestObject
{
    public function __construct(
        /** Its name. */
        public readonly string $id,
        /** What it is: `endpoint`. */
        public readonly string $kind,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['id'],
            $body['kind'],
        );
    }
}

/** A wallet, as it is now. What could not be read of the listed item is absent. */
final class WalletObject
{
    public function __construct(
        /** Where the user pays to. */
        public readonly ?string $address,
        /** Why it is blocked, if that was told. */
        public readonly ?string $blockReason,
        /** The company's id at Lumo. */
        public readonly string $companyId,
        /** When it was created. */
        public readonly \DateTimeImmutable $createdAt,
        /** Your own id of the user. */
        public readonly string $externalId,
        /** The wallet's id at Lumo. */
        public readonly string $id,
        /** Whether it is blocked. */
        public readonly bool $isBlocked,
        /** What it is: `wallet`. */
        public readonly string $kind,
        /** Exact, as decimal digits. */
        public readonly ?string $lastTrxBalance,
        /** Exact, as decimal digits. */
        public readonly ?string $lastUsdtBalance,
        /** 1, then one more with each stored change: the highest is the newest. */
        public readonly int $version,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['address'] ?? null,
            $body['block_reason'] ?? null,
            $body['company_id'],
            new \DateTimeImmutable($body['created_at']),
            $body['external_id'],
            $body['id'],
            $body['is_blocked'],
            $body['kind'],
            $body['last_trx_balance'] ?? null,
            $body['last_usdt_balance'] ?? null,
            $body['version'],
        );
    }
}

/** What it is about. */
final class AccountData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly AccountObject $object,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            AccountObject::from($body['object']),
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class DeliveryData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly DeliveryObject $object,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            DeliveryObject::from($body['object']),
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class DepositData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly DepositObject $object,
        /** The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change. */
        public readonly array $upstream,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            DepositObject::from($body['object']),
            $body['upstream'],
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class EndpointData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly EndpointObject $object,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            EndpointObject::from($body['object']),
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class ListingData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly ListingObject $object,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            ListingObject::from($body['object']),
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class RejectData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly RejectObject $object,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            RejectObject::from($body['object']),
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class TestData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly TestObject $object,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            TestObject::from($body['object']),
            $body['upstream_altered'] ?? null,
        );
    }
}

/** What it is about. */
final class WalletData
{
    public function __construct(
        /** What differs from before, by the name of the field; null where there was nothing before. */
        public readonly ?array $changes,
        /** The thing as it is now. */
        public readonly WalletObject $object,
        /** The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change. */
        public readonly array $upstream,
        /** Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that: JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly. */
        public readonly ?array $upstreamAltered,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            isset($body['changes']) ? array_map(Change::from(...), $body['changes']) : null,
            WalletObject::from($body['object']),
            $body['upstream'],
            $body['upstream_altered'] ?? null,
        );
    }
}

/** The body of a callback. */
final class Event
{
    public function __construct(
        /** The company whose key reads; absent until it is known. */
        public readonly ?string $companyId,
        /** What it is about. */
        public readonly AccountData|DeliveryData|DepositData|EndpointData|ListingData|RejectData|TestData|WalletData $data,
        /** When the bridge noticed. */
        public readonly \DateTimeImmutable $detectedAt,
        /** Where it is read: `production`, `staging`, or the server's host; absent until the company is known. */
        public readonly ?string $environment,
        /** The event's id, the same on every attempt and replay: keep each once. Also the header `webhook-id`. */
        public readonly string $id,
        /** How the bridge came to know of it. `live`: noticed as it happened; `import`: there before the first import; `backfill`: history that an endpoint asked for; `test`: an operator tries the endpoint. */
        public readonly string $origin,
        /** The version of this contract. */
        public readonly int $schema,
        /** 1, 2, 3 … within the stream; 0 in a test. An endpoint does not get every number: never wait for one. */
        public readonly int $sequence,
        /** Whom it concerns. The events of one stream are numbered and sent in order. */
        public readonly string $stream,
        /** When it happened. */
        public readonly \DateTimeImmutable $timestamp,
        /** What happened. */
        public readonly string $type,
    ) {
    }

    public static function from(array $body): self
    {
        return new self(
            $body['company_id'] ?? null,
            self::data($body),
            new \DateTimeImmutable($body['detected_at']),
            $body['environment'] ?? null,
            $body['id'],
            $body['origin'],
            $body['schema'],
            $body['sequence'],
            $body['stream'],
            new \DateTimeImmutable($body['timestamp']),
            $body['type'],
        );
    }

    /** Reads a body whose signature was verified. Null for a type that was added later: answer 2xx. */
    public static function parse(string $body): ?self
    {
        $read = json_decode($body, true, 512, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
        try {
            return self::from($read);
        } catch (\UnhandledMatchError) {
            return null;
        }
    }

    private static function data(array $body): AccountData|DeliveryData|DepositData|EndpointData|ListingData|RejectData|TestData|WalletData
    {
        return match ($body['type']) {
            'sync.wrong_account' => AccountData::from($body['data']),
            'delivery.dead' => DeliveryData::from($body['data']),
            'deposit.created',
            'deposit.settled',
            'deposit.status_changed',
            'deposit.updated',
            'deposit.missing' => DepositData::from($body['data']),
            'endpoint.failing',
            'endpoint.suspended',
            'endpoint.recovered' => EndpointData::from($body['data']),
            'sync.stalled',
            'sync.recovered',
            'sync.unauthorized',
            'sync.removals_held' => ListingData::from($body['data']),
            'sync.item_rejected' => RejectData::from($body['data']),
            'bridge.test' => TestData::from($body['data']),
            'wallet.created',
            'wallet.blocked',
            'wallet.unblocked',
            'wallet.replaced',
            'wallet.balance_changed',
            'wallet.updated',
            'wallet.missing' => WalletData::from($body['data']),
        };
    }
}
