package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
)

// runHealthcheck queries the private listener of a server on this machine.
func runHealthcheck(ctx context.Context, e env, args []string) error {
	fs := newFlags("healthcheck")
	file := configFlag(e, fs)
	url := fs.String("url", "", "what to ask; default: /healthz of the configured private listener")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	if *url == "" {
		cfg, err := app.Load(*file, e.environ)
		if err != nil {
			return err
		}
		addr := cfg.Server.Admin
		if strings.HasPrefix(addr, ":") {
			addr = "127.0.0.1" + addr
		}
		*url = "http://" + addr + "/healthz"
	}
	if !strings.HasPrefix(*url, "http://") && !strings.HasPrefix(*url, "https://") {
		return usageError{fmt.Errorf("-url: %q is not an http or https URL", *url)}
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *url, nil)
	if err != nil {
		return usageError{err}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w\nIs it running, and is that its private listener (server.admin)? -url names another", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("%s answers %s: %s", *url, res.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
