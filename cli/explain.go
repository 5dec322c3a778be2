package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// runExplain prints what a signed URL asks for; it fetches nothing unless -run is given.
func runExplain(ctx context.Context, e env, args []string) error {
	fs := newFlags("explain")
	run := fs.Bool("run", false, "make the variant, without a server, and tell how its format and quality were chosen")
	accept := fs.String("accept", "image/avif,image/webp,*/*", "the client's Accept header")
	cfg, _, err := configured(e, fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usageError{errors.New("give one signed URL or its path")}
	}
	keys, err := signing.New(cfg.Signing, time.Now)
	if err != nil {
		return err
	}
	parser, err := cfg.NewParser()
	if err != nil {
		return err
	}
	target := signedPath(cfg, fs.Arg(0))
	verified, parse, wrong := opened(keys, parser, target)
	signature := signatureOf(keys, target, wrong)
	ref, terms, err := parse(verified.Path)
	if err != nil {
		return fmt.Errorf("the signature is %s; and %w", signature, err)
	}
	client := variant.ParseAccept(*accept, cfg.Negotiation)
	printExplanation(e.stdout, signature, ref, terms, client)
	if verified.Key != nil {
		ref.Within = verified.Key.Hosts()
	}
	refused := refusedFor(verified.Key, wrong, ref, terms)
	if *run {
		ref.Spec = ref.Spec.Resolve(client)
		answer, err := app.GetOnce(ctx, e.version, cfg, ref, e.stderr)
		if err != nil {
			return err
		}
		printChoice(e.stdout, answer)
	}
	return refused
}

// signatureOf says whether a target's signature is valid. wrong is why it is not.
func signatureOf(keys *signing.Keyring, target string, wrong error) string {
	switch {
	case wrong == nil:
		return "valid"
	case strings.HasPrefix(target, grammar.ThumborPrefix+"/") && !keys.HasThumbor():
		return "not valid: signing.thumbor has no key"
	}
	return "not valid: " + fault.Of(wrong).Public
}

// opened verifies a target. wrong is why its signature is not valid; the target is read all the same.
func opened(keys *signing.Keyring, parser *variant.Parser, target string) (signing.Verified, grammar.Parse, error) {
	verified, parse, wrong := grammar.Verify(keys, parser, target)
	if wrong != nil {
		verified.Path, parse = grammar.Unverified(parser, target)
	}
	return verified, parse, wrong
}

// refusedFor is the error of a URL that the server refuses: its signature is wrong, its key may not sign it, or it has
// expired. Only the server has the link of an id, which decides whether the key may sign that.
func refusedFor(key *signing.Pair, wrong error, ref variant.Ref, terms variant.Terms) error {
	if _, opaque := variant.OpaqueID(ref.Source); opaque {
		ref.Source = ""
	}
	if wrong == nil && key != nil {
		wrong = access.Allowed(key, ref, terms)
	}
	if wrong == nil && terms.Expired(time.Now()) {
		wrong = errors.New("it has expired")
	}
	if wrong != nil {
		return fmt.Errorf("the server refuses this URL: %w", wrong)
	}
	return nil
}

// printChoice prints how the format and the quality of a variant were chosen.
func printChoice(w io.Writer, answer pipeline.Answer) {
	f := variant.DecodeFacts(answer.Entry.Attrs)
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, value)
		}
	}
	c, kind := f.Choice, f.Choice.Kind
	if kind != "" {
		kind += fmt.Sprintf(" (probability of print %.2f)", c.Print)
	}
	quality := "lossless"
	if f.Quality > 0 {
		quality = strconv.Itoa(f.Quality)
	}
	if c.Predicted > 0 {
		quality += fmt.Sprintf(" (predicted %d for a score of %g)", c.Predicted, c.Target)
	}
	if c.Score > 0 {
		quality += fmt.Sprintf(", measured %.1f", c.Score)
	}
	fact("kind", kind)
	fact("q", quality)
	fact("tried", c.Tried)
	fact("why", f.Note)
	fact("bytes", fmt.Sprintf("%d of %d, %dx%d of %dx%d %s",
		len(answer.Entry.Body), f.SourceBytes, f.Width, f.Height, f.SourceWidth, f.SourceHeight, f.SourceFormat))
	t := answer.Timings
	fact("time", fmt.Sprintf("fetch %s, transform %s, of which the probe %s", t.Fetch.Round(time.Millisecond), t.Transform.Round(time.Millisecond),
		t.Probe.Round(100*time.Microsecond)))
}

// printExplanation prints one fact a line. The source's query is left out: it may contain secrets.
func printExplanation(w io.Writer, signature string, ref variant.Ref, terms variant.Terms, accept variant.Accept) {
	source, _, hasQuery := strings.Cut(ref.Source, "?")
	if hasQuery {
		source += "?..."
	}
	resolved := ref
	resolved.Spec = ref.Spec.Resolve(accept)
	format := string(resolved.Spec.Format)
	switch {
	case ref.Spec.IsOpen():
		format += " (negotiated)"
	case ref.Spec.Format == variant.Info:
		format += " (what the original is)"
	}
	expires := "never"
	if !terms.Expires.IsZero() {
		expires = terms.Expires.UTC().Format(time.RFC3339)
		if terms.Expired(time.Now()) {
			expires += " (expired)"
		}
	}
	fmt.Fprintf(w, "signature  %s\nsource     %s\nformat     %s\nexpires    %s\nkey        %s\n", signature, source, format, expires, resolved.Key())
}
