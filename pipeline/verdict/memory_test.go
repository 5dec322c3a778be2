package verdict

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

// TestVerdictTablesUseTheDocumentedMemory fills the tables with URLs of maximum length, and compares the growth of the
// heap with the figure in docs/operate.md.
func TestVerdictTablesUseTheDocumentedMemory(t *testing.T) {
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| costly sources.*\| (\d+) MB \|$`).FindSubmatch(text)
	if row == nil {
		t.Fatal("docs/operate.md has no row for costly sources")
	}
	said, _ := strconv.Atoi(string(row[1])) // the pattern matches digits only
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	v := New(time.Now)
	original := make([]byte, 3*maxJudged)
	for i := range maxJudged + 500 {
		via := reach.Via("")
		for h := range 4 {
			via = via.Through(strings.Repeat(string(rune('a'+h)), 60) + ".tv")
		}
		copy(original, strconv.Itoa(i))
		source := strconv.Itoa(i) + strings.Repeat("x", 8000)
		failure := fault.New(fault.DecodeFailed, "codec.decode", "the picture cannot be decoded", os.ErrInvalid)
		v.Judge(source, via, original[:maxJudged+i], failure)
	}
	took := heap() - before - len(original)
	runtime.KeepAlive(v)
	runtime.KeepAlive(original)
	if took > said*1e6 || took < said*1e6/3 {
		t.Errorf("%d verdicts take %.1f MB; docs/operate.md says %d", maxJudged, float64(took)/1e6, said)
	}
}
