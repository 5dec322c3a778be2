package natsqueue

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
)

// childDir makes this test binary the process that is killed.
const childDir = "GOLDCREST_TEST_CRASH_DIR"

// TestCrashChild is not a test by itself: it accepts calls and works on them until it is killed, and prints the job of
// each accepted call.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as a child of TestFault16KillNine")
	}
	w := newWorld()
	w.onWarm = func(context.Context, string) error { return nil }
	i := start(t, open(t, dir, nil), w, true, nil)
	for n := 0; ; n++ {
		fmt.Println("accepted", accept(t, i, call(n*10, 10)).Job.ID)
	}
}

// Everything accepted before a kill -9 gets its verdicts after it, and nothing is counted twice.
func TestFault16KillNine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var jobs []string
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$") //nolint:gosec // this very test
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before := len(jobs)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "accepted "); ok {
				jobs = append(jobs, id)
			}
			if len(jobs) == before+3+5*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		if len(jobs) < before+3 {
			t.Fatalf("the child accepted %d calls", len(jobs)-before)
		}
	}
	i := start(t, open(t, dir, nil), newWorld(), true, nil)
	for _, id := range jobs {
		j := ended(t, i, id)
		if j.State != ledger.Done || j.Counts.Made+j.Counts.Present != 20 {
			t.Errorf("the job %s came to %+v", id, j)
		}
		agree(t, i, j)
	}
}

// copyTree copies a stopped queue's directory.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Damage to the end of a file, or within it, is detected and affects only the damaged records: no panic, no wrong data.
func TestFault17DamagedQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := open(t, dir, nil)
	const n = 60
	for k := range n {
		mustWrite(t, q, rec(fmt.Sprintf("task.a.%05d", k), "m", "body "+strconv.Itoa(k)+strings.Repeat(" x", 100), 0))
		if err := q.Put(t.Context(), ticket("normal", fmt.Sprintf("a.%05d", k))); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	block := filepath.Join("jetstream", "$G", "streams", ledgerStream, "msgs", "1.blk")
	info, err := os.Stat(filepath.Join(dir, block))
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	damages := map[string]func(t *testing.T, path string){
		"a flipped bit in the middle": func(t *testing.T, path string) { flip(t, path, size/2) },
		"a garbled end":               func(t *testing.T, path string) { flip(t, path, size-20) },
	}
	for _, cut := range []int64{1, 7, 30, 100, 250, 300, 1000} {
		damages[fmt.Sprintf("%d bytes cut off", cut)] = func(t *testing.T, path string) {
			if err := os.Truncate(path, size-cut); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(damages)) {
		t.Run(name, func(t *testing.T) {
			dir := copyTree(t, dir)
			// The index would hide the damage to the block.
			_ = os.Remove(filepath.Join(dir, filepath.Dir(block), "index.db"))
			damages[name](t, filepath.Join(dir, block))
			q := open(t, dir, nil)
			got := map[string]string{}
			err := q.List(t.Context(), ledger.Scan{Prefix: "task.a", Bodies: true}, func(r ledger.Record) bool {
				got[r.Key] = string(r.Body)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			for key, body := range got {
				k, err := strconv.Atoi(key[len("task.a."):])
				if err != nil || !strings.HasPrefix(body, "body "+strconv.Itoa(k)+" x") {
					t.Errorf("%s holds %.20q", key, body)
				}
			}
			if len(got) < n-5 && name != "a flipped bit in the middle" || len(got) == 0 {
				t.Errorf("%d of %d records are left", len(got), n)
			}
			mustWrite(t, q, rec("task.b.00000", "m", "b", 0))
			ledgertest.WantWaiting(t, q, ledger.LaneNormal, n)
		})
	}
}

// flip turns one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[at] ^= 0x10
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
