package app

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
)

// Doctor's result for the acknowledgements of an external cluster: good, bad, or unknown.
func TestDoctorTellsWhetherNATSSyncs(t *testing.T) {
	for _, tc := range []struct {
		name, varz string
		wrong      bool
		lost       bool
	}{
		{"always", `{"jetstream":{"config":{"store_dir":"/d","sync_interval":120000000000,"sync_always":true}}}`, false, false},
		{"every two minutes", `{"jetstream":{"config":{"store_dir":"/d","sync_interval":120000000000}}}`, true, true},
		{"no JetStream", `{"jetstream":{}}`, true, false},
		{"another server", `<html>`, true, false},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/varz" {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, tc.varz)
		}))
		if c := checkSync(t.Context(), natsqueue.Config{Monitor: s.URL + "/"}); (c.Err != nil) != tc.wrong || c.Unknown {
			t.Errorf("%s: got %v, want it wrong: %v", tc.name, c, tc.wrong)
		}
		if err := natsSyncs(t.Context(), s.URL); errors.Is(err, errNotSynced) != tc.lost {
			t.Errorf("%s: got %v", tc.name, err)
		}
		s.Close()
	}
	if c := checkSync(t.Context(), natsqueue.Config{}); !c.Unknown {
		t.Errorf("without a monitoring port: got %v", c)
	}
}
