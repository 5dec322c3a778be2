package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
)

// What doctor says of an external cluster's acknowledgements: well, wrong, or unknown.
func TestDoctorTellsWhetherNATSSyncs(t *testing.T) {
	for _, tc := range []struct {
		name, varz, want string
		lost             bool
	}{
		{"always", `{"jetstream":{"config":{"store_dir":"/d","sync_interval":120000000000,"sync_always":true}}}`, "ok", false},
		{"every two minutes", `{"jetstream":{"config":{"store_dir":"/d","sync_interval":120000000000}}}`, "wrong", true},
		{"no JetStream", `{"jetstream":{}}`, "wrong", false},
		{"another server", `<html>`, "wrong", false},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/varz" {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, tc.varz)
		}))
		if c := checkSync(t.Context(), natsqueue.Config{Monitor: s.URL + "/"}); c.state != tc.want {
			t.Errorf("%s: got %v, want %s", tc.name, c, tc.want)
		}
		if err := natsSyncs(t.Context(), s.URL); errors.Is(err, errNotSynced) != tc.lost {
			t.Errorf("%s: got %v", tc.name, err)
		}
		s.Close()
	}
	if c := checkSync(t.Context(), natsqueue.Config{}); c.state != "unknown" {
		t.Errorf("without a monitoring port: got %v", c)
	}
}
