package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// Someone with write access to the store writes entries that are valid except for the seal: none is served. Keys are
// then rotated as in docs/operate.md, and entries stay readable while their key is known.
func TestAttackForgedEntries(t *testing.T) {
	corpus(t)
	dir, o := t.TempDir(), startOrigin(t)
	path := signed("rs:fit:100:0/f:jpg", o.URL+"/photos/groceries.jpg")
	first, second := strings.Repeat("first-", 8), filepath.Join(dir, "second")
	write(t, second, strings.Repeat("second-", 8)+"\n")
	const miss, hit = "goldcrest; fwd=miss", "goldcrest; hit; detail=store"
	for i, step := range []struct{ keys, want string }{
		{"[]", miss},
		{"[]", hit},
		{"[{key: " + first + "}]", miss}, // The existing entry was written without the key.
		{"[{key: " + first + "}]", hit},
		{"[{key: " + first + "}, {key_file: " + second + "}]", hit},
		{"[{key_file: " + second + "}, {key: " + first + "}]", hit},
		{"[{key_file: " + second + "}]", miss}, // Nothing has been written since the second key became the first.
		{"[{key_file: " + second + "}]", hit},
		{"[]", miss},
	} {
		s := startIn(t, dir, "GOLDCREST_CACHE_SEAL_KEY="+step.keys)
		a := s.get(path)
		if a.StatusCode != 200 {
			t.Fatalf("step %d: %d\n%s", i, a.StatusCode, s.log)
		}
		a.want(t, "Cache-Status", step.want)
		s.stop() // Pending writes are completed.
		if log := s.log.String(); strings.Contains(log, first) || strings.Contains(log, "second-second") {
			t.Errorf("step %d: a key is in the log:\n%s", i, log)
		}
	}
}
