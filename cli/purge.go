package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/goldcrest/goldcrest/client"
)

// runPurge removes variants on a running server.
func runPurge(ctx context.Context, e env, args []string) error {
	fs := newFlags("purge")
	flags := addAPIFlags(e, fs)
	var call client.PurgeCall
	fs.StringVar(&call.Source, "source", "", "the variants of this source `URL`")
	fs.StringVar(&call.Unit, "unit", "", "the variants of the sources of the unit with this `ID`")
	fs.StringVar(&call.Tag, "tag", "", "the variants of the jobs with this tag")
	fs.StringVar(&call.Prefix, "prefix", "", "the variants whose keys begin so: at least v1/ab/")
	fs.BoolVar(&call.All, "all", false, "every variant; the token needs the scope admin")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	set := 0
	for _, given := range []bool{call.Source != "", call.Unit != "", call.Tag != "", call.Prefix != "", call.All} {
		if given {
			set++
		}
	}
	if set != 1 || fs.NArg() > 0 {
		return usageError{errors.New("give exactly one of -source, -unit, -tag, -prefix and -all")}
	}
	api, err := flags.open()
	if err != nil {
		return err
	}
	purged, err := api.Purge(ctx, call)
	if err != nil {
		return flags.explain(err)
	}
	fmt.Fprintf(e.stdout, "%d variants purged\n", purged.Entries)
	if purged.CDNAll {
		fmt.Fprintln(e.stdout, "their CDN tags cannot be listed: purge the CDN as a whole")
	}
	for _, tag := range purged.CDNTags {
		fmt.Fprintf(e.stdout, "purge at the CDN: %s\n", tag)
	}
	return nil
}
