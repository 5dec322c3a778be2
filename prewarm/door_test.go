package prewarm

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// door is a Service on a ledger in memory, with presets lite (open, 2g), auto (both classes) and one (webp).
type door struct {
	*Service
	memory *ledgertest.Memory

	mu    sync.Mutex
	tries []time.Time
	warm  func(ref variant.Ref, try int) pipeline.Warmed
}

func newDoor(t *testing.T, change func(*Config, *Deps)) *door {
	t.Helper()
	d := &door{memory: ledgertest.New()}
	parser, err := variant.NewParser(map[string]string{"lite": "rs:fit:480:0/net:2g", "auto": "w:100/net:auto", "one": "w:100/f:webp"}, false)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.Presets, cfg.Workers = []string{"one"}, 2
	deps := Deps{
		Ledger: d.memory, Queue: d.memory, Parser: func() *variant.Parser { return parser },
		Negotiation: variant.Default,
		Known: func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			return make([]pipeline.Warmed, len(refs))
		},
		Warm: func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.tries = append(d.tries, time.Now())
			out := make([]pipeline.Warmed, len(refs))
			for i, ref := range refs {
				out[i] = d.warm(ref, len(d.tries))
			}
			return out
		},
		Sign: func(_, source, options string, _, _ time.Duration) (string, error) {
			return "https://img.example/" + options, nil
		},
	}
	if change != nil {
		change(&cfg, &deps)
	}
	d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return stored(ref, 100) }
	if d.Service, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs the workers until the returned function is called, which also closes the door.
func (d *door) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); running.Wait(); d.Close() }
}

func stored(ref variant.Ref, size int64) pipeline.Warmed {
	return pipeline.Warmed{Ref: ref, Key: ref.Key(), Meta: cache.Meta{
		ContentType: ref.Spec.Format.MediaType(), Size: size, Created: time.Now().UTC().Truncate(time.Second), Attrs: map[string]string{"sb": "1000", "w": "10", "h": "20", "ph": testBlur},
	}}
}

// testBlur is a sample placeholder.
const testBlur = "AAgCBYAAAAAAAAAAAAAAAAAAAAAA"

func refused(ref variant.Ref, kind fault.Kind) pipeline.Warmed {
	return pipeline.Warmed{Ref: ref, Key: ref.Key(), Err: fault.New(kind, "test", "for a test", nil)}
}

// oneCall is a call of one unit with these sources.
func oneCall(sources ...string) unit.Call {
	u := unit.Unit{ID: "du_1"}
	for _, s := range sources {
		u.Images = append(u.Images, unit.Image{Pointer: "/p", Source: s})
	}
	return unit.Call{Units: []unit.Unit{u}}
}

// toldUnit is a unit of a response with its images read.
type toldUnit struct {
	AcceptedUnit
	Images []AcceptedImage
	Data   json.RawMessage
}

// units reads the units of a response.
func units(a Accepted) (all []toldUnit) {
	if a.Units == nil {
		return nil
	}
	for u := range a.Units {
		told := toldUnit{AcceptedUnit: u}
		if u.Images != nil {
			told.Images = slices.Collect(u.Images)
		}
		if u.Data != nil {
			var data bytes.Buffer
			if err := u.Data(&data); err != nil {
				panic(err)
			}
			told.Data = data.Bytes()
		}
		all = append(all, told)
	}
	return all
}
