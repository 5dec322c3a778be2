package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// Anyone who can write into the store's place writes entries that are right in all but the seal: none is served. Keys
// are then rotated as docs/operate.md says, and entries stay readable while their key is known.
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
		{"[{key: " + first + "}]", miss}, // What is there was written without the key.
		{"[{key: " + first + "}]", hit},
		{"[{key: " + first + "}, {key_file: " + second + "}]", hit},
		{"[{key_file: " + second + "}, {key: " + first + "}]", hit},
		{"[{key_file: " + second + "}]", miss}, // Nothing was written since the second key is the first.
		{"[{key_file: " + second + "}]", hit},
		{"[]", miss},
	} {
		s := startIn(t, dir, "GOLDCREST_CACHE_SEAL_KEY="+step.keys)
		a := s.get(path)
		if a.StatusCode != 200 {
			t.Fatalf("step %d: %d\n%s", i, a.StatusCode, s.log)
		}
		a.want(t, "Cache-Status", step.want)
		s.stop() // What is being stored is stored.
		if log := s.log.String(); strings.Contains(log, first) || strings.Contains(log, "second-second") {
			t.Errorf("step %d: a key is in the log:\n%s", i, log)
		}
	}
}
