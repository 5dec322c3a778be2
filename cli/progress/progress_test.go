package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

func TestProgressOnATerminal(t *testing.T) {
	var b bytes.Buffer
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := &Bar{w: &b, width: 120, every: time.Second, now: func() time.Time { return now }, began: now}
	p.Posted(1000)
	now = now.Add(10 * time.Second)
	p.At(Totals{Counts: client.Counts{Variants: 1000, Made: 400, Broken: 100}})
	first := b.String()
	if !strings.HasPrefix(first, "\r[") || !strings.Contains(first, " 50% 500/1,000 variants: 400 made, 0 present, 100 broken, 0 failed, 50/s, 10s left") {
		t.Errorf("drew %q", first)
	}
	hashes, dots := strings.Count(first, "#"), strings.Count(first, ".")
	if hashes == 0 || hashes-dots > 1 || dots-hashes > 1 {
		t.Errorf("half is drawn as %d of %d", hashes, hashes+dots)
	}
	p.At(Totals{Counts: client.Counts{Variants: 1000, Made: 401}})
	if b.Len() != len(first) {
		t.Error("drew again at once")
	}
	p.Line("line %d", 7)
	if rest := b.String()[len(first):]; rest != "\r\x1b[Kline 7\n" {
		t.Errorf("a message is %q", rest)
	}
	b.Reset()
	if p.Line("broken: %s", "\x1b[2J\nbroken: du_2"); b.String() != "broken: \\u001b[2J\\u000abroken: du_2\n" {
		t.Errorf("an id that controls the terminal is %q", b.String())
	}
	b.Reset()
	p.width = 20
	p.End()
	if got := strings.TrimSuffix(strings.TrimPrefix(b.String(), "\r"), "\x1b[K\n"); len(got) != 19 {
		t.Errorf("on a narrow terminal %q has %d columns", got, len(got))
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}
