package origin

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// TestNegativeTableUsesTheDocumentedMemory fills a table with URLs as long as may be, found out through as many hosts
// as are kept, and holds the growth of the heap against the figure in docs/operate.md.
func TestNegativeTableUsesTheDocumentedMemory(t *testing.T) {
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| broken sources .*\| (\d+) MB \|$`).FindSubmatch(text)
	if row == nil {
		t.Fatal("docs/operate.md has no row for broken sources")
	}
	said, _ := strconv.Atoi(string(row[1])) // The pattern takes digits alone.
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	n := NewNegatives(time.Now)
	for i := range maxNegatives + 500 {
		via := reach.Via("")
		for h := range 4 {
			via = via.Through(strings.Repeat(string(rune('a'+h)), 60) + ".tv")
		}
		source := strconv.Itoa(i) + strings.Repeat("x", 8000)
		n.learn(source, via, fault.New(fault.SourceNotFound, "origin.fetch", "there is no such source", os.ErrNotExist))
	}
	took := heap() - before
	runtime.KeepAlive(n)
	if took > said*1e6 || took < said*1e6/3 {
		t.Errorf("%d entries take %.1f MB; docs/operate.md says %d", maxNegatives, float64(took)/1e6, said)
	}
}
