package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/cli/advice"
)

// runDoctor checks everything that a server needs and prints what is wrong and what to do.
func runDoctor(ctx context.Context, e env, args []string) error {
	fs := newFlags("doctor")
	file := configFlag(e, fs)
	codecsOnly := fs.Bool("codecs", false, "check the codecs only")
	quality := fs.Bool("quality", false, "measure what each encoder makes of drawn pictures against what is promised; exit 1 beyond 3 points")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	if *quality {
		return doctorQuality(e)
	}
	checks := app.CheckCodecs()
	if !*codecsOnly {
		checks = append(checks, app.CheckServer(ctx, e.version, *file, e.environ)...)
	}
	failed := 0
	for _, c := range checks {
		state, detail := judged(c)
		fmt.Fprintf(e.stdout, "%-8s %-14s %s\n", state, c.Name, detail)
		if c.Err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks found something wrong; the lines above say what to do", failed, len(checks))
	}
	return nil
}

// doctorQuality prints the distance of each encoder from its target.
func doctorQuality(e env) error {
	promises, libraries, err := app.Quality()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "quality %s, libvips %s, libaom %s: points of SSIMULACRA2 from what is promised\n", libraries["quality"], libraries["libvips"], libraries["libaom"])
	fmt.Fprintf(e.stdout, "%-8s %-8s %-6s %-6s %6s %6s\n", "state", "encoder", "kind", "answer", "mean", "worst")
	broken := 0
	for _, p := range promises {
		state, answer := "ok", "first"
		if !p.Kept() {
			state = "wrong"
			broken++
		}
		if p.Final {
			answer = "final"
		}
		fmt.Fprintf(e.stdout, "%-8s %-8s %-6s %-6s %+6.1f %+6.1f\n", state, p.Encoder, p.Kind, answer, p.Mean, p.Worst)
	}
	if broken > 0 {
		return fmt.Errorf("%d of %d encoders are more than %d points from what is promised: these libraries need coefficients and a record of their own, see docs/quality.md",
			broken, len(promises), app.PromiseMost)
	}
	return nil
}

// judged formats a check as a word and a sentence. The advice comes from the error's kind, else from the check.
func judged(c app.Check) (state, detail string) {
	switch {
	case c.Unknown:
		return "unknown", c.Detail
	case c.Err == nil:
		return "ok", c.Detail
	}
	todo := c.Todo
	if known := advice.Of(c.Err); known != "" {
		todo = known
	}
	return "wrong", strings.ReplaceAll(strings.TrimSuffix(advice.Told(c.Err), "."), "\n", "; ") + ". To do: " + todo
}
