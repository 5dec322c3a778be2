package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goldcrest/goldcrest/cli/unitfile"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/fault"
)

// checkBatch is the number of sources, units or keys in one call.
const checkBatch = 1000

// runCheck asks a running server for the state of sources, units or keys.
func runCheck(ctx context.Context, e env, args []string) error {
	fs := newFlags("check")
	flags := addAPIFlags(e, fs)
	units := fs.String("units", "", "`FILE` with Data Units, one a line or as a JSON array, or - for standard input, in place of URLs")
	keys := fs.Bool("keys", false, "the arguments are keys, not URLs")
	variants := fs.String("variants", "", "presets or options, such as lite,rs:fit:480:0; default: the presets that the server is configured with")
	budget := fs.Int64("budget", 0, "bytes of each unit, as the units were prewarmed with")
	var selects []string
	manyFlag(fs, &selects, "select", "where images stand in a unit, as JSONPath or JSON Pointer; may be given several times")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	if err := checkable(fs.Args(), *units, *keys); err != nil {
		return usageError{err}
	}
	api, err := flags.open()
	if err != nil {
		return err
	}
	c := checking{api: api, out: e.stdout, states: map[string]int{},
		call: client.CheckCall{Select: selects, Variants: variantsOf(*variants), Budget: *budget}}
	switch {
	case *units != "":
		var in io.ReadCloser
		if in, err = e.open(*units); err == nil {
			err = errors.Join(c.units(ctx, in), in.Close())
		}
	case *keys:
		c.call.Keys, c.call.Variants = fs.Args(), nil
		err = c.ask(ctx)
	default:
		c.call.URLs = fs.Args()
		err = c.ask(ctx)
	}
	if err != nil {
		return flags.explain(err)
	}
	return c.end()
}

// checkable refuses combinations of arguments and flags that are not allowed.
func checkable(args []string, units string, keys bool) error {
	if (len(args) == 0) == (units == "") || units != "" && keys {
		return errors.New("give URLs, or -keys and keys, or -units FILE")
	}
	wanted := map[bool]string{true: "key", false: "URL"}[keys]
	for _, arg := range args {
		if isKey := strings.HasPrefix(arg, "v1/"); isKey != keys {
			return fmt.Errorf("%q is not a %s; keys begin with v1/ and are given with -keys", arg, wanted)
		}
	}
	return nil
}

// checking is one run of the command.
type checking struct {
	api    *client.API
	out    io.Writer
	call   client.CheckCall
	states map[string]int
}

// units asks about the units of a file, batch by batch.
func (c *checking) units(ctx context.Context, in io.Reader) error {
	r := unitfile.NewReader(in)
	size := 0
	for {
		u, err := r.Next()
		if len(c.call.Units) > 0 && (err != nil || len(c.call.Units) == checkBatch || size+len(u.Text) > maxBatchBytes) {
			if err := c.ask(ctx); err != nil {
				return err
			}
			c.call.Units, size = nil, 0
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case u.Bad != "":
			c.states["unreadable"]++
			c.say("%-10s line %d: %s (bad_unit)", "unreadable", u.Line, u.Bad)
			continue
		}
		c.call.Units, size = append(c.call.Units, client.Unit{Data: u.Text}), size+len(u.Text)
	}
}

// ask makes one call and prints a line for each source or key.
func (c *checking) ask(ctx context.Context) error {
	found, err := c.api.Check(ctx, c.call)
	if err != nil {
		return err
	}
	for _, u := range found.Errors {
		c.states["unreadable"]++
		c.say("%-10s %s: %s (%s)", "unreadable", u.ID, u.Error.Detail, u.Error.Code)
	}
	for _, u := range found.Notes {
		c.say("%-10s %s: %s (%s)", "note", u.ID, u.Note.Detail, u.Note.Code)
	}
	for _, f := range found.Checked {
		c.states[f.State]++
		name, reason := f.Source, f.Reason
		if name == "" {
			name = f.Key
		}
		if f.UnitID != "" && len(c.call.Units) > 0 {
			name = f.UnitID + " " + f.Pointer + " " + name
		}
		if reason == "" {
			reason = "-"
		}
		there := 0
		for _, v := range f.Variants {
			if v.State == "present" {
				there++
			}
		}
		c.say("%-10s %-20s %d/%d  %s", f.State, reason, there, len(f.Variants), name)
	}
	return nil
}

// say prints one line, which may contain text of units.
func (c *checking) say(format string, args ...any) {
	fmt.Fprintln(c.out, fault.Plain(fmt.Sprintf(format, args...)))
}

// end prints the totals. The command fails if anything is missing, so that scripts can wait for it.
func (c *checking) end() error {
	all := 0
	for _, n := range c.states {
		all += n
	}
	fmt.Fprintf(c.out, "%d present, %d pending, %d broken, %d unknown\n", c.states["present"], c.states["pending"], c.states["broken"], c.states["unknown"])
	if n := c.states["unreadable"]; n > 0 {
		return fmt.Errorf("%d units could not be read, and %d of the images are not there", n, all-n-c.states["present"])
	}
	if n := all - c.states["present"]; n > 0 {
		return fmt.Errorf("%d of %d are not there; \"goldcrest prewarm\" makes those that are unknown", n, all)
	}
	return nil
}
