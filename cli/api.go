package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/goldcrest/goldcrest/client"
)

// defaultServer is the private listener of a server on this machine.
const defaultServer = "http://127.0.0.1:8081"

// apiFlags are the flags of the commands that call a running server.
type apiFlags struct {
	env                      env
	server, token, tokenFile *string
}

// addAPIFlags adds them; their defaults come from the environment.
func addAPIFlags(e env, fs *flag.FlagSet) apiFlags {
	server := e.lookEnv("GOLDCREST_URL")
	if server == "" {
		server = defaultServer
	}
	return apiFlags{
		env:       e,
		server:    fs.String("server", server, "`URL` of the server's private listener; the default can be set as GOLDCREST_URL"),
		token:     fs.String("token", "", "bearer token; others on this machine may see it, so prefer -token-file or GOLDCREST_TOKEN"),
		tokenFile: fs.String("token-file", "", "`FILE` that holds the bearer token"),
	}
}

// open makes the client that the flags describe.
func (f apiFlags) open() (*client.API, error) {
	token := *f.token
	switch {
	case token != "" && *f.tokenFile != "":
		return nil, usageError{errors.New("give only one of -token and -token-file")}
	case *f.tokenFile != "":
		text, err := os.ReadFile(*f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("the token cannot be read: %w", err)
		}
		token = strings.TrimSpace(string(text))
	case token == "":
		token = f.env.lookEnv("GOLDCREST_TOKEN")
	}
	if token == "" {
		return nil, usageError{errors.New("there is no token: set GOLDCREST_TOKEN or give -token-file; the server's configuration lists tokens under api.tokens")}
	}
	api, err := client.NewAPI(client.APIConfig{URL: *f.server, Token: token, Attempts: 5})
	if err != nil {
		return nil, usageError{err}
	}
	return api, nil
}

// explain adds advice to a failure of the API.
func (f apiFlags) explain(err error) error {
	var refused *client.Error
	var unreached *url.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &unreached):
		return fmt.Errorf("%w\nIs a server running, and is %s its private listener (server.admin)? -server names another", err, *f.server)
	case !errors.As(err, &refused):
		return err
	}
	advice := map[string]string{
		"unauthorized":        "The server does not know this token: compare it with api.tokens in the server's configuration.",
		"forbidden_scope":     "Add the scope to this token in the server's api.tokens and reload it (SIGHUP), or use another token.",
		"not_found":           "This server has no such route: -server must name the private listener of an instance with the role prewarm.",
		"method_not_allowed":  *f.server + " is a public listener, which serves pictures alone: -server must name the private one (server.admin, 127.0.0.1:8081 by default).",
		"no_problem_document": *f.server + " is not a private listener of Goldcrest: -server must name one (server.admin).",
		"disk_full":           "Free space where prewarm.queue.dir is, then run this again: what was accepted before is kept.",
		"body_too_large":      "Send less at once: -batch sets how many units a call has.",
		"quota_exceeded":      "The server's operator sets the quota of this token; GET /v1/usage tells what is left of it.",
		"queue_full":          "The workers do not keep up: run this again later, or add workers.",
	}[refused.Code]
	if advice == "" {
		return err
	}
	return fmt.Errorf("%w\n%s", err, advice)
}

// variantsOf are the variants in a flag's list.
func variantsOf(list string) (variants []client.Variant) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			variants = append(variants, client.Variant{Name: name})
		}
	}
	return variants
}

// manyFlag adds a flag that may be given several times.
func manyFlag(fs *flag.FlagSet, values *[]string, name, usage string) {
	fs.Func(name, usage, func(value string) error {
		*values = append(*values, value)
		return nil
	})
}
