package natsqueue

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/usage"
)

// Instances that share a queue learn of each other's images and units. An instance that starts later finds what was
// used before.
func TestQuotaOfInstancesThatShareAQueue(t *testing.T) {
	t.Parallel()
	q, w := open(t, t.TempDir(), nil), newWorld()
	began, noon := time.Now(), time.Now().UTC().Truncate(24*time.Hour).Add(12*time.Hour)
	quotas := func(_ *prewarm.Config, deps *prewarm.Deps) {
		deps.Now = func() time.Time { return noon.Add(time.Since(began)) } // no day ends during the test
		deps.Quotas = func() map[string]usage.Quota {
			return map[string]usage.Quota{"backend": {UnitsQueued: 6, ImagesADay: 100}}
		}
	}
	ask := func(i *instance, n int) string {
		t.Helper()
		_, err := i.Accept(t.Context(), "backend", "", sha256.Sum256(nil), call(0, n))
		if f := fault.Of(err); f != nil && f.Kind == fault.QuotaExceeded {
			return f.Public
		}
		t.Fatalf("%d images: %v, want quota_exceeded", n, err)
		return ""
	}
	becomes := func(i *instance, n int, want string) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		text := ""
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
			if text = ask(i, n); strings.Contains(text, want) {
				return
			}
		}
		t.Fatalf("refused with %q, want %q", text, want)
	}
	a, b := start(t, q, w, false, quotas), start(t, q, w, false, quotas) // there are no workers: no job ends
	accept(t, a, call(0, 1))
	accept(t, b, call(1, 1)) // from here on it has loaded the day, and relies on reports
	accept(t, a, call(2, 3))
	becomes(b, 101, "images_a_day")
	becomes(b, 96, "5 were")
	becomes(b, 7, "5 are")
	a.stop()
	b.stop()
	later := start(t, q, w, false, quotas)
	if text := ask(later, 96); !strings.Contains(text, "5 were") {
		t.Errorf("after a restart: %q", text)
	}
	if text := ask(later, 2); !strings.Contains(text, "5 are") {
		t.Errorf("after a restart: %q", text)
	}
	u, err := later.Usage(t.Context(), everyone, "backend", 2)
	if err != nil || len(u) != 1 || u[0].Days[0].Units != 5 || u[0].Days[0].Images != 5 || u[0].Days[0].Refused < 5 || u[0].Quota.UnitsQueued.Remaining != 1 {
		t.Errorf("usage: %+v, %v", u, err)
	}
}
