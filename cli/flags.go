package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/fault"
)

// Exit codes of every subcommand.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// env is the part of the process that a subcommand may use, so that tests can replace it.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	version        string  // of this build
	command        command // that is run
}

// command is one subcommand. The error of run tells the user what happened and what to do; a usageError makes the exit
// code 2.
type command struct {
	name, args, summary string
	run                 func(ctx context.Context, e env, args []string) error
	operands            bool // it takes arguments besides flags
	hidden              bool
}

// usageError is a wrong command line.
type usageError struct{ error }

// usage is the command's call in one line.
func (c command) usage() string { return strings.TrimSpace("goldcrest " + c.name + " " + c.args) }

// newFlags makes a subcommand's flag set; parseFlags reads it.
func newFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// parseFlags parses args, in which flags may follow arguments. "-h" prints the flags and returns flag.ErrHelp; any
// mistake returns a usageError.
func parseFlags(e env, fs *flag.FlagSet, args []string) error {
	operands, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(e.stdout, "usage: %s\n    %s\n\n", e.command.usage(), e.command.summary)
		fs.SetOutput(e.stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return usageError{plainFlagError(fs, args, err)}
	case len(operands) > 0 && !e.command.operands:
		return usageError{strayArgument(fs, operands[0])}
	}
	return nil
}

// parseMixed parses args and returns the non-flags, which are also in fs.Args afterwards. Everything after "--" is an
// argument.
func parseMixed(fs *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		rest := fs.Args()
		if len(rest) == 0 {
			break
		}
		if at := len(args) - len(rest) - 1; at >= 0 && args[at] == "--" {
			operands = append(operands, rest...)
			break
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
	return operands, fs.Parse(append([]string{"--"}, operands...))
}

// strayArgument is the error of an unexpected argument.
func strayArgument(fs *flag.FlagSet, arg string) error {
	hint := ""
	ext := filepath.Ext(arg)
	if _, err := os.Stat(arg); fs.Lookup("config") != nil && (err == nil || ext == ".yaml" || ext == ".yml") {
		hint = fmt.Sprintf("; a configuration file is given as -config %s", arg)
	}
	return fmt.Errorf("it takes no arguments, but %q was given%s", arg, hint)
}

// plainFlagError rewrites an error of package flag in plain words.
func plainFlagError(fs *flag.FlagSet, args []string, err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var names []string
		fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		if len(names) == 0 {
			return fmt.Errorf("there is no flag -%s; the command has none", name)
		}
		return fmt.Errorf("there is no flag -%s%s", name, didYouMean("-", fault.Meant(name, names)))
	}
	for i, arg := range args {
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f := fs.Lookup(name)
		if f == nil || !strings.HasPrefix(arg, "-") {
			continue
		}
		if !given && i+1 < len(args) {
			value = args[i+1]
		}
		if !strings.HasPrefix(err.Error(), fmt.Sprintf("invalid value %q for flag -%s:", value, name)) {
			continue
		}
		if want := wanted(f.Value); want != "" {
			return fmt.Errorf("-%s: %q is not %s", name, value, want)
		}
	}
	return err
}

// didYouMean suggests a similar name; "" if there is none.
func didYouMean(before, name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + before + name + "?"
}

// wanted describes the values of a flag; "" = its own error does.
func wanted(v flag.Value) string {
	getter, ok := v.(flag.Getter)
	if !ok {
		return ""
	}
	switch getter.Get().(type) {
	case time.Duration:
		return `a duration in hours, minutes and seconds, such as 168h for a week or 90m`
	case int, int64:
		return "a whole number"
	case bool:
		return "true or false"
	}
	return ""
}

// atLeast returns a usageError if the value of an integer flag is too small.
func atLeast(name string, value, least int64) error {
	if value < least {
		return usageError{fmt.Errorf("-%s: %d is less than %d", name, value, least)}
	}
	return nil
}

// lookEnv reads one variable of e.environ.
func (e env) lookEnv(name string) string {
	for _, kv := range e.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// configFlag adds the -config flag, whose default is GOLDCREST_CONFIG.
func configFlag(e env, fs *flag.FlagSet) *string {
	return fs.String("config", e.lookEnv("GOLDCREST_CONFIG"), "configuration `FILE`; without one, defaults and GOLDCREST_ variables")
}

// configured parses args, -config among them, and loads that configuration. file is its name.
func configured(e env, fs *flag.FlagSet, args []string) (cfg config.Config, file string, err error) {
	name := configFlag(e, fs)
	if err := parseFlags(e, fs, args); err != nil {
		return cfg, "", err
	}
	cfg, err = app.Load(*name, e.environ)
	return cfg, *name, err
}

// open opens a file for reading, or returns stdin for "-".
func (e env) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is a directory, not a file", name), f.Close())
	}
	return f, nil
}

// stdoutOr opens a file for writing, or returns stdout for "-".
func (e env) stdoutOr(name string) (io.WriteCloser, error) {
	if name == "-" {
		return nopCloser{e.stdout}, nil
	}
	return os.Create(name)
}

type nopCloser struct{ io.Writer }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }
