<?php
// A receiver of lumo-bridge callbacks with nothing but PHP (8.1 or newer).
//   SHOP_WEBHOOK_SECRET="whsec_..." sh -c 'php -S 127.0.0.1:${PORT:-8800} php.php'
// SHOP_WEBHOOK_SECRET holds one secret, or two with a space between while they rotate. Put TLS in front. The same file
// serves under php-fpm; make sure that the variables reach it.
declare(strict_types=1);

const TOLERANCE = 300; // seconds, either way

/** Returns what is wrong, or null. $body is the request as it came over the wire. */
function verify(array $secrets, string $id, string $timestamp, string $signatures, string $body, int $now): ?string
{
    if (!preg_match('/^[\w-]{1,64}$/D', $id)) {
        return 'webhook-id is missing or odd';
    }
    if (!preg_match('/^\d{1,12}$/D', $timestamp)) {
        return 'webhook-timestamp is missing or odd';
    }
    if (abs($now - (int) $timestamp) > TOLERANCE) {
        return 'webhook-timestamp is too far from now';
    }
    foreach ($secrets as $secret) {
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $secret, true));
        foreach (explode(' ', $signatures) as $given) {
            if (hash_equals($expected, $given)) {
                return null;
            }
        }
    }
    return 'no signature matches';
}

function readSecrets(string $text): array
{
    $secrets = [];
    foreach (preg_split('/ +/', $text, -1, PREG_SPLIT_NO_EMPTY) as $one) {
        $secret = base64_decode(preg_replace('/^whsec_/', '', $one), true);
        if ($secret === false || strlen($secret) < 16) {
            throw new RuntimeException('SHOP_WEBHOOK_SECRET is not whsec_ and base64');
        }
        $secrets[] = $secret;
    }
    return $secrets ?: throw new RuntimeException('SHOP_WEBHOOK_SECRET is not set');
}

// Keeps the event exactly once: true when it is new. A file that appears whole or not at all, under the event's id,
// stands here for a row with a unique key in your own database (see receivers.md), where it belongs in production.
function store(string $inbox, string $id, string $body): bool
{
    if (!is_dir($inbox) && !@mkdir($inbox, 0700, true) && !is_dir($inbox)) {
        throw new RuntimeException("no directory $inbox");
    }
    $draft = tempnam($inbox, 'tmp');
    $file = fopen($draft, 'wb');
    try {
        if (fwrite($file, $body) !== strlen($body) || !fsync($file)) {
            throw new RuntimeException("cannot write to $inbox");
        }
        if (@link($draft, "$inbox/$id.json")) { // fails when the name is taken
            return true;
        }
        clearstatcache();
        return file_exists("$inbox/$id.json") ? false : throw new RuntimeException("cannot write to $inbox");
    } finally {
        fclose($file);
        unlink($draft);
    }
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    http_response_code(405);
    return;
}
http_response_code(500); // unless what follows comes to its end: then the bridge tries again
$secrets = readSecrets(getenv('SHOP_WEBHOOK_SECRET') ?: '');
$body = file_get_contents('php://input');
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$wrong = verify(
    $secrets,
    $id,
    $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '',
    $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '',
    $body,
    time(),
);
if ($wrong !== null) {
    http_response_code(401);
    header('content-type: text/plain');
    echo "$wrong\n";
    return;
}
if ((json_decode($body, true, 512, JSON_THROW_ON_ERROR)['origin'] ?? null) === 'test') {
    http_response_code(204); // `endpoint test` reads that it arrived; nothing is stored
    error_log("test $id");
    return;
}
$fresh = store(getenv('INBOX') ?: 'inbox', $id, $body);
http_response_code(204); // answered; the work itself comes after, from the inbox
error_log(($fresh ? 'stored ' : 'duplicate ') . $id);
