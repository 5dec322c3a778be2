package client

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// vectors reads a table that the tests of the clients in other languages read too.
func vectors[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows []T
	if err := json.Unmarshal(text, &rows); err != nil || len(rows) < 20 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows
}

func TestURLVectors(t *testing.T) {
	type row struct {
		Name, Base, Key, Salt, Source, Options, URL string
		KeyID                                       string  `json:"key_id"`
		EncryptionKey                               string  `json:"encryption_key"` // "" = the source is not encrypted
		Size                                        int     `json:"signature_size"`
		TTL, Round                                  float64 // seconds
		Now                                         int64
	}
	seconds := func(s float64) time.Duration { return time.Duration(s*1000) * time.Millisecond }
	for _, r := range vectors[row](t, "urls.json") {
		cfg := Config{BaseURL: r.Base, Key: r.Key, Salt: r.Salt, KeyID: r.KeyID, SignatureSize: r.Size}
		cfg.EncryptionKey = r.EncryptionKey
		s, err := newSigner(cfg, func() time.Time { return time.Unix(r.Now, 0) })
		url := ""
		if err == nil {
			sign := s.URL
			if r.EncryptionKey != "" {
				sign = s.EncryptedURL
			}
			url, err = sign(r.Source, r.Options, seconds(r.TTL), seconds(r.Round))
		}
		if url != r.URL || (err != nil) != (r.URL == "") {
			t.Errorf("%s: %q, %v\nwant %q", r.Name, url, err, r.URL)
		}
	}
}

func TestWebhookVectors(t *testing.T) {
	type row struct {
		Name, Secret, ID, At, Body, Signature, Want string
		Now, Tolerance                              int64
	}
	for _, r := range vectors[row](t, "webhooks.json") {
		err := VerifyWebhook(r.Secret, hookHeader(r.ID, r.At, r.Signature), []byte(r.Body), time.Unix(r.Now, 0), time.Duration(r.Tolerance)*time.Second)
		ok := false
		switch r.Want {
		case "ok":
			ok = err == nil
		case "bad":
			ok = errors.Is(err, ErrWebhook)
		case "stale":
			ok = errors.Is(err, ErrWebhookAge)
		case "secret":
			ok = err != nil && !errors.Is(err, ErrWebhook) && !strings.Contains(err.Error(), "MfKQ")
		}
		if !ok {
			t.Errorf("%s: %v, want %s", r.Name, err, r.Want)
		}
	}
}
