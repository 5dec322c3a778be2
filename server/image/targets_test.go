package image

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

func TestTargetsAreBounded(t *testing.T) {
	targets := newTargets()
	targets.limit = 10 * (knownBytes + 100) // Ten of those below.
	name := func(i int) digest { return digestOf(fmt.Sprint(i)) }
	for i := range 1000 {
		targets.put(name(i), &known{target: exchange.Target{Options: strings.Repeat("x", 50)}})
		targets.put(name(i), &known{target: exchange.Target{Options: strings.Repeat("x", 50)}}) // The same again takes no more room.
		if targets.get(name(0)) == nil {
			t.Fatalf("what is asked for all the time is forgotten after %d others", i)
		}
		if n := len(targets.young) + len(targets.old); n > 20 {
			t.Fatalf("%d are kept", n)
		}
	}
	for i, want := range map[int]bool{0: true, 999: true, 1: false, 900: false} {
		if got := targets.get(name(i)) != nil; got != want {
			t.Errorf("%d is known: %v", i, got)
		}
	}
}

// Answers count too, whenever they come: all that is held costs no more than both halves may.
func TestAnswersCountAgainstTheBound(t *testing.T) {
	targets := newTargets()
	targets.limit = 100_000
	for i := range 200 {
		n := &known{}
		targets.put(digestOf(fmt.Sprint(i)), n)
		for k := range maxReady {
			targets.keep(n, &ready{accept: variant.Accept{Formats: variant.FormatSet(k + 1)}, headers: make([]byte, 800)})
		}
		sum := 0
		for _, half := range []map[digest]*known{targets.young, targets.old} {
			for _, n := range half {
				sum += n.cost()
			}
		}
		if most := 2*targets.limit + 20_000; sum > most || i == 199 && sum < targets.limit/2 { // One URL may straddle the halves.
			t.Fatalf("%d URLs take %d bytes, at most %d may be", i+1, sum, most)
		}
	}
}

func TestReadyAnswersAreBounded(t *testing.T) {
	n := &known{}
	for i := range 3 * maxReady {
		a := variant.Accept{Formats: variant.FormatSet(i + 1)}
		n.keep(&ready{accept: a, key: "old"})
		n.keep(&ready{accept: a, key: fmt.Sprint(i)})
		if y := n.readyFor(a); y == nil || y.key != fmt.Sprint(i) {
			t.Errorf("%d: %+v", i, y)
		}
		if got := len(*n.ready.Load()); got > maxReady {
			t.Fatalf("%d are kept", got)
		}
	}
	if n.readyFor(variant.Accept{}) != nil {
		t.Error("an answer for a client that never asked")
	}
}

func TestAcceptsFoldAsParsed(t *testing.T) {
	seen := newAccepts(variant.Default())
	headers := []string{"", "*/*", "image/avif,*/*", "image/webp;q=0.9, image/avif;q=0.1", strings.Repeat("a/b,", 1000)}
	for i := range 3 * maxAccepts {
		headers = append(headers, fmt.Sprintf("image/webp,a/%d", i))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, h := range headers {
				if got, want := seen.fold([]string{h}), variant.ParseAccept(h, variant.Default()); got != want {
					t.Errorf("%.50q: %+v, want %+v", h, got, want)
				}
			}
		})
	}
	wg.Wait()
	if got, want := seen.fold([]string{"a/b", "image/webp"}), variant.ParseAccept("a/b,image/webp", variant.Default()); got != want {
		t.Errorf("two lines: %+v, want %+v", got, want)
	}
	if len(seen.seen) > maxAccepts {
		t.Errorf("%d are kept", len(seen.seen))
	}
}
