package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/goldcrest/goldcrest/bench/quality/fit"
	"github.com/goldcrest/goldcrest/bench/quality/stats"
	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/transform/codec/check"
	"github.com/goldcrest/goldcrest/transform/codec/choose"
)

// recordFile is the self-check's expectation for each set of libraries.
const recordFile = "../transform/codec/check/selfcheck.json"

// record measures the specimens of the self-check with the linked libraries. With -write the result becomes the
// expectation for these libraries. This is correct if the coefficients were fitted on them.
func record(_ context.Context, o options) error {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return err
	}
	got, err := check.Measure()
	if err != nil {
		return err
	}
	for _, r := range got {
		fmt.Printf("%-6s print %-5t q %v\n", r.Coder, r.Print, r.Q)
		for _, scores := range r.Scores {
			for i := range scores {
				scores[i] = math.Round(scores[i]*100) / 100
			}
			fmt.Printf("  mean %5.2f of %v\n", stats.Mean(scores), scores)
		}
	}
	if !o.Write {
		return nil
	}
	all := map[string][]check.Record{}
	b, err := os.ReadFile(recordFile)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return err
	}
	all[choose.SetFor(c.Versions()["libaom"])] = got
	if b, err = json.MarshalIndent(all, "", " "); err != nil {
		return err
	}
	return os.WriteFile(recordFile, append(fit.Compact(b), '\n'), 0o644)
}
