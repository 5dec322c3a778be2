package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/goldcrest/goldcrest/cli/migrate"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/signing"
)

// runMigrate reports how the requests in another proxy's access log would be handled.
func runMigrate(_ context.Context, e env, args []string) error {
	fs := newFlags("migrate")
	from := fs.String("from", migrate.Imgproxy, "whose log it is: imgproxy, or thumbor (also for imagor)")
	unsigned := fs.Bool("unsigned", false, "do not look at signatures")
	args, err := afterCheck(args)
	if err != nil {
		return err
	}
	cfg, _, err := configured(e, fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() != 1 || *from != migrate.Imgproxy && *from != migrate.Thumbor {
		return usageError{errors.New("give one file, or - for the standard input; -from is imgproxy or thumbor")}
	}
	j, err := newJudge(cfg, *from, *unsigned)
	if err != nil {
		return err
	}
	report, err := readLog(e, fs.Arg(0), j)
	if err != nil {
		return err
	}
	if report.Requests == 0 {
		return errors.New("no line names the path of an image; access logs, JSON logs and lists of URLs are understood")
	}
	if j.Keys == nil && *from == migrate.Imgproxy {
		fmt.Fprintln(e.stdout, "Signatures were not looked at.")
	}
	report.Print(e.stdout)
	return nil
}

// afterCheck returns the arguments after "check", the only subcommand.
func afterCheck(args []string) ([]string, error) {
	switch {
	case len(args) > 0 && args[0] == "check":
		return args[1:], nil
	case len(args) > 0 && isHelp(args[0]):
		return args, nil
	}
	return nil, usageError{errors.New("there is one thing to do: goldcrest migrate check FILE")}
}

// newJudge makes the judge for a server with the configuration.
func newJudge(cfg config.Config, from string, unsigned bool) (j migrate.Judge, err error) {
	j.Grammar, j.Prefix = from, cfg.Server.PathPrefix
	if j.Parser, err = cfg.NewParser(); err == nil && len(cfg.Signing.Keys) > 0 && !unsigned {
		j.Keys, err = signing.New(cfg.Signing, time.Now)
	}
	return j, err
}

// readLog judges the lines of a file, or of standard input.
func readLog(e env, name string, j migrate.Judge) (report migrate.Report, err error) {
	log := e.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return report, err
		}
		defer file.Close()
		log = file
	}
	if report, err = migrate.Read(log, j); err != nil {
		err = fmt.Errorf("the log could not be read to its end: %w", err)
	}
	return report, err
}
