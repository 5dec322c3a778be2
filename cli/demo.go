package cli

import (
	"context"

	"github.com/goldcrest/goldcrest/cli/demo"
)

// runDemo shows the product on real pictures.
func runDemo(ctx context.Context, e env, args []string) error {
	fs := newFlags("demo")
	o := demo.Options{Version: e.version, Out: e.stdout}
	fs.BoolVar(&o.Once, "once", false, "exit after the table instead of serving on")
	fs.StringVar(&o.Dir, "dir", "", "folder of `DIR` your own pictures; default: photos of Debian's mate-backgrounds and drawn ones")
	fs.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address to serve on; another port is taken if it is in use")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	return demo.Run(ctx, o)
}
