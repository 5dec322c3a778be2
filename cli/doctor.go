package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/cli/advice"
)

// runDoctor looks at everything that a server needs and says what is wrong and what to do.
func runDoctor(ctx context.Context, e env, args []string) error {
	fs := newFlags("doctor")
	file := configFlag(e, fs)
	codecsOnly := fs.Bool("codecs", false, "check the codecs only")
	if err := parseFlags(e, fs, args); err != nil {
		return err
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

// judged is a check in a word and a sentence. What to do comes from the error's kind, else from the check.
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
