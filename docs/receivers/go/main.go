// A receiver of lumo-bridge callbacks with nothing but Go's standard library (1.19 or newer).
//
//	SHOP_WEBHOOK_SECRET="whsec_..." PORT=8800 go run .
//
// SHOP_WEBHOOK_SECRET holds one secret, or two with a space between while they rotate. Put TLS in front.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const tolerance = 5 * time.Minute // either way

var safeID = regexp.MustCompile(`^[\w-]{1,64}$`)

// verify says what is wrong, or nil. body is the bytes as they came over the wire.
func verify(secrets [][]byte, header http.Header, body []byte, now time.Time) error {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	if !safeID.MatchString(id) {
		return errors.New("webhook-id is missing or odd")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is missing or odd")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return errors.New("webhook-timestamp is too far from now")
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
			if hmac.Equal([]byte(given), expected) {
				return nil
			}
		}
	}
	return errors.New("no signature matches")
}

func readSecrets(text string) ([][]byte, error) {
	var secrets [][]byte
	for _, one := range strings.Fields(text) {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "whsec_"))
		if err != nil {
			return nil, errors.New("SHOP_WEBHOOK_SECRET is not whsec_ and base64")
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errors.New("SHOP_WEBHOOK_SECRET is not set")
	}
	return secrets, nil
}

// store keeps the event exactly once: true when it is new. A file that appears whole or not at all, under the event's
// id, stands here for a row with a unique key in your own database (see receivers.md), where it belongs in production.
func store(inbox, id string, body []byte) (bool, error) {
	draft, err := os.CreateTemp(inbox, "*.tmp")
	if err != nil {
		return false, err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	if _, err := draft.Write(body); err != nil {
		return false, err
	}
	if err := draft.Sync(); err != nil {
		return false, err
	}
	err = os.Link(draft.Name(), filepath.Join(inbox, id+".json")) // fails when the name is taken
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

func receive(secrets [][]byte, inbox string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if err := verify(secrets, r.Header, body, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		id := r.Header.Get("webhook-id")
		var event struct{ Origin string }
		if err := json.Unmarshal(body, &event); err != nil {
			log.Print(err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if event.Origin == "test" {
			w.WriteHeader(http.StatusNoContent) // `endpoint test` reads that it arrived; nothing is stored
			log.Print("test ", id)
			return
		}
		fresh, err := store(inbox, id, body)
		if err != nil {
			log.Print(err)
			w.WriteHeader(http.StatusInternalServerError) // not stored: the bridge tries again
			return
		}
		w.WriteHeader(http.StatusNoContent) // answered; the work itself comes after, from the inbox
		if fresh {
			log.Print("stored ", id)
		} else {
			log.Print("duplicate ", id)
		}
	}
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	secrets, err := readSecrets(os.Getenv("SHOP_WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	inbox := setting("INBOX", "inbox")
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr:        net.JoinHostPort("127.0.0.1", setting("PORT", "8800")),
		Handler:     receive(secrets, inbox),
		ReadTimeout: 10 * time.Second,
	}
	log.Print("listening on ", server.Addr)
	log.Fatal(server.ListenAndServe())
}
