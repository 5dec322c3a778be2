package client

import (
	"errors"
	"net/http"
	"strings"
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

func TestVerifyWebhook(t *testing.T) {
	then := time.Unix(1614265330, 0)
	day := 24 * time.Hour
	tests := []struct {
		name      string
		secret    string
		header    http.Header
		body      string
		now       time.Time
		tolerance time.Duration
		want      error
	}{
		{"published", hookSecret, hookHeader(hookID, hookAt, hookSignature), hookBody, then, 0, nil},
		{"with the file's line end", hookSecret + "\n", hookHeader(hookID, hookAt, hookSignature), hookBody, then, 0, nil},
		{"second of two", hookSecret, hookHeader(hookID, hookAt, "v1,AAAA v2,x v1a,y "+hookSignature), hookBody, then, 0, nil},
		{"at the edge", hookSecret, hookHeader(hookID, hookAt, hookSignature), hookBody, then.Add(5 * time.Minute), 0, nil},
		{"late", hookSecret, hookHeader(hookID, hookAt, hookSignature), hookBody, then.Add(5*time.Minute + 1), 0, ErrWebhookAge},
		{"early", hookSecret, hookHeader(hookID, hookAt, hookSignature), hookBody, then.Add(-6 * time.Minute), 0, ErrWebhookAge},
		{"late, but tolerated", hookSecret, hookHeader(hookID, hookAt, hookSignature), hookBody, then.Add(day), day, nil},
		{"other body", hookSecret, hookHeader(hookID, hookAt, hookSignature), hookBody + " ", then, 0, ErrWebhook},
		{"other id", hookSecret, hookHeader("msg_x", hookAt, hookSignature), hookBody, then, 0, ErrWebhook},
		{"other time", hookSecret, hookHeader(hookID, "1614265331", hookSignature), hookBody, then, 0, ErrWebhook},
		{"other secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", hookHeader(hookID, hookAt, hookSignature), hookBody, then, 0, ErrWebhook},
		{"the secret's text as key", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", hookHeader(hookID, hookAt, hookSignature), hookBody, then, 0, ErrWebhook},
		{"other version", hookSecret, hookHeader(hookID, hookAt, "v2"+hookSignature[2:]), hookBody, then, 0, ErrWebhook},
		{"cut", hookSecret, hookHeader(hookID, hookAt, hookSignature[:20]), hookBody, then, 0, ErrWebhook},
		{"no header", hookSecret, http.Header{}, hookBody, then, 0, ErrWebhook},
		{"raw secret", "a secret that is no base64", hookHeader("m", "1614265330", "v1,YsRnrz7Z759xEN0vYHOAcA3xAGsC5+PyV/CCicaEAPM="), "{}", then, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := VerifyWebhook(tt.secret, tt.header, []byte(tt.body), tt.now, tt.tolerance)
			if !errors.Is(got, tt.want) {
				t.Errorf("VerifyWebhook = %v, want %v", got, tt.want)
			}
		})
	}
	for _, secret := range []string{"", " \n", "whsec_", "whsec_MfKQ!"} {
		err := VerifyWebhook(secret, hookHeader(hookID, hookAt, hookSignature), []byte(hookBody), then, 0)
		if err == nil || errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("secret %q: %v", secret, err)
		}
	}
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
