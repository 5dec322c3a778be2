// Package cli has the commands: each reads its flags, makes one call and prints the result.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/goldcrest/goldcrest/cli/advice"
	"github.com/goldcrest/goldcrest/fault"
)

// commands lists the subcommands in the order of the help text.
func commands() []command {
	return []command{
		{name: "serve", args: "[-config FILE]", summary: "run the proxy (the default)", run: runServe},
		{name: "demo", args: "[-once] [-dir DIR] [-listen ADDR]", summary: "show it on real pictures, then go on serving", run: runDemo},
		{
			name: "sign", args: "[-options O | -preset P] [-key ID] [-ttl D] [-round D] [-info | -thumbor] URL...", summary: "print signed URLs",
			run: runSign, operands: true,
		},
		{name: "get", args: "[-options O] [-accept A] -o FILE URL|PATH", summary: "run the pipeline once, without a server", run: runGet, operands: true},
		{name: "prewarm", args: "[-variants LIST] [-select S] [-budget BYTES] [-again] [-o VERDICTS.jsonl] FILE|-|-watch DIR|-from URL", summary: "have a running server make the pictures of Data Units", run: runPrewarm, operands: true},
		{name: "check", args: "[-variants LIST] URL... | -keys KEY... | -units FILE|-", summary: "ask a running server what is there", run: runCheck, operands: true},
		{name: "purge", args: "-source URL | -unit ID | -tag TAG | -prefix KEY | -all", summary: "remove variants on a running server", run: runPurge},
		{name: "explain", args: "[-accept A] [-run] PATH|URL", summary: "tell what a signed URL asks for, also one of /info or /thumbor", run: runExplain, operands: true},
		{
			name: "migrate", args: "check [-from imgproxy|thumbor] [-unsigned] FILE|-",
			summary: "tell what becomes of another proxy's requests", run: runMigrate, operands: true,
		},
		{name: "config", args: "[-config FILE]", summary: "print the effective configuration, secrets masked", run: runConfig},
		{name: "doctor", args: "[-config FILE]", summary: "check configuration, keys, store, codecs, disk; say what to do", run: runDoctor},
		{name: "healthcheck", args: "[-url URL]", summary: "exit 0 if the local server is healthy (for containers)", run: runHealthcheck},
		{name: "version", summary: "print the versions of the program and its codecs", run: runVersion},
		{name: "worker", run: runWorker, hidden: true},
	}
}

// Main runs the command named by the process's arguments and exits with its exit code. version is that of the build.
func Main(version string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the process at once. A second SIGTERM does not: service managers may repeat it.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	e := env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), version: version}
	code := dispatch(ctx, e, os.Args[1:])
	stop()
	os.Exit(code)
}

// dispatch runs the subcommand that args name and returns the exit code.
func dispatch(ctx context.Context, e env, args []string) int {
	name, args := resolve(args)
	if name == "help" {
		printHelp(e.stdout)
		return exitOK
	}
	var names []string
	for _, c := range commands() {
		if c.name == name {
			e.command = c
			return exitCode(e, c, c.run(ctx, e, args))
		}
		if !c.hidden {
			names = append(names, c.name)
		}
	}
	fmt.Fprintf(e.stderr, "goldcrest: there is no command %q%s; \"goldcrest help\" lists them\n", name, didYouMean("", fault.Meant(name, names)))
	return exitUsage
}

// resolve returns the subcommand and its own arguments. "help COMMAND" is "COMMAND -h".
func resolve(args []string) (name string, rest []string) {
	switch {
	case len(args) == 0:
		return "serve", nil
	case args[0] == "-version" || args[0] == "--version":
		return "version", args[1:]
	case isHelp(args[0]) || args[0] == "help":
		if rest = args[1:]; len(rest) > 0 && !isHelp(rest[0]) && rest[0] != "help" {
			return rest[0], []string{"-h"}
		}
		return "help", nil
	case strings.HasPrefix(args[0], "-"):
		return "serve", args
	}
	return args[0], args[1:]
}

// exitCode prints err, if any, and returns the exit code.
func exitCode(e env, c command, err error) int {
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(e.stderr, "goldcrest %s: %v\nusage: %s\n\"goldcrest %s -h\" tells the flags.\n", c.name, err, c.usage(), c.name)
		return exitUsage
	default:
		for line := range strings.SplitSeq("goldcrest "+c.name+": "+advice.Told(err), "\n") {
			fmt.Fprintln(e.stderr, fault.Plain(line))
		}
		if todo := advice.Of(err); todo != "" {
			fmt.Fprintf(e.stderr, "To do: %s.\n", todo)
		}
		return exitFailed
	}
}

// isHelp reports whether an argument asks for help.
func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" || arg == "--h" }

// printHelp lists the subcommands.
func printHelp(w io.Writer) {
	fmt.Fprint(w, "Goldcrest serves the lightest picture that still does the job.\n\nusage: goldcrest COMMAND [flags]\n\n")
	for _, c := range commands() {
		if !c.hidden {
			fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, "\n\"goldcrest help COMMAND\" tells its flags. Configuration: config.yaml, docs/config.md.\n")
}
