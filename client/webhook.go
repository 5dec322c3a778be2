package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrWebhook says that a callback has no valid signature. Respond with 401 and ignore it.
var ErrWebhook = errors.New("client: the callback is not signed with this secret")

// ErrWebhookAge says that the signature of a callback is too old or in the future: it may be a replay.
var ErrWebhookAge = errors.New("client: the callback was not signed within the tolerated time")

// defaultTolerance covers clock differences and delays.
const defaultTolerance = 5 * time.Minute

// VerifyWebhook checks the Standard Webhooks signature of a callback. secret is the content of a file in
// prewarm.callbacks.secrets: "whsec_" and base64, or any other text. header and body are the request's, the body byte
// for byte. tolerance 0 means five minutes. A callback may be delivered more than once: remember its Webhook-Id for a
// day.
func VerifyWebhook(secret string, header http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	key, err := webhookKey(secret)
	if err != nil {
		return err
	}
	if tolerance == 0 {
		tolerance = defaultTolerance
	}
	at := header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header.Get("Webhook-Id") + "." + at + "."))
	mac.Write(body)
	if !signedBy(mac.Sum(nil), header.Get("Webhook-Signature")) {
		return ErrWebhook
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || header.Get("Webhook-Id") == "" {
		return ErrWebhook
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return ErrWebhookAge
	}
	return nil
}

// signedBy finds the sum among the signatures; there are several while secrets are rotated.
func signedBy(sum []byte, signatures string) bool {
	for signature := range strings.FieldsSeq(signatures) {
		text, ok := strings.CutPrefix(signature, "v1,")
		if !ok {
			continue // of another version
		}
		if got, err := base64.StdEncoding.DecodeString(text); err == nil && hmac.Equal(got, sum) {
			return true
		}
	}
	return false
}

// webhookKey decodes a secret as the proxy does.
func webhookKey(secret string) ([]byte, error) {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return nil, errors.New("client: the callback secret is empty")
	}
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("client: the callback secret begins with whsec_, but base64 does not follow")
	}
	return key, nil
}
