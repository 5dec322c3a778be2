package client

import (
	"net/http"
	"testing"
	"time"
)

// The example that the makers of Standard Webhooks publish; the proxy's own tests sign the same one.
const (
	hookSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	hookID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	hookAt        = "1614265330"
	hookBody      = `{"test": 2432232314}`
	hookSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func hookHeader(id, at, signature string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", at)
	h.Set("webhook-signature", signature)
	return h
}

func FuzzVerifyWebhook(f *testing.F) {
	f.Add(hookID, hookAt, hookSignature, hookBody)
	f.Add("", "", "v1, v1,,v1,=", "")
	f.Fuzz(func(t *testing.T, id, at, signature, body string) {
		err := VerifyWebhook(hookSecret, hookHeader(id, at, signature), []byte(body), time.Unix(1614265330, 0), 0)
		if err == nil && (id != hookID || at != hookAt || body != hookBody) {
			t.Errorf("%q %q %q %q verifies", id, at, signature, body)
		}
	})
}
