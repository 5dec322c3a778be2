package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// runSign prints signed URLs of sources.
func runSign(_ context.Context, e env, args []string) error {
	fs := newFlags("sign")
	var w wish
	fs.StringVar(&w.options, "options", "", "options as in a URL, such as rs:fit:800:0/f:webp")
	fs.StringVar(&w.preset, "preset", "", "name of a preset, in place of -options")
	fs.StringVar(&w.key, "key", "", "`ID` of the pair of signing.keys that signs; without it the first valid one does")
	fs.DurationVar(&w.ttl, "ttl", 0, "how long the URLs are valid; 0 = for ever")
	fs.DurationVar(&w.round, "round", 24*time.Hour, "round the expiry up to a multiple of this, so that viewers share URLs")
	fs.BoolVar(&w.encrypt, "encrypt", false, "encrypt the sources, with signing.encryption_key")
	fs.BoolVar(&w.info, "info", false, "URLs of /info, which tell what an original is; -options are those of /info")
	fs.BoolVar(&w.thumbor, "thumbor", false, "URLs in thumbor's grammar, with signing.thumbor.key; -options as in 300x200/smart")
	cfg, _, err := configured(e, fs, args)
	if err != nil {
		return err
	}
	if err := w.check(fs.NArg()); err != nil {
		return err
	}
	sign, err := w.signing(cfg)
	if err != nil {
		return err
	}
	return printURLs(e.stdout, fs.Args(), sign)
}

// wish says which URLs are wanted.
type wish struct {
	options, preset, key   string
	ttl, round             time.Duration
	encrypt, info, thumbor bool
}

func (w wish) check(sources int) error {
	switch {
	case sources == 0 || w.options != "" && w.preset != "":
		return usageError{errors.New("give at least one source URL, and only one of -options and -preset")}
	case w.ttl < 0 || w.round < 0:
		return usageError{errors.New("-ttl and -round must not be negative")}
	case w.thumbor && (w.info || w.encrypt || w.ttl != 0 || w.key != ""):
		return usageError{errors.New("-thumbor cannot be combined with -info, -encrypt, -ttl and -key: its grammar has none of them")}
	}
	return nil
}

// signing is what signs a source.
func (w wish) signing(cfg config.Config) (sign func(source string) (string, error), err error) {
	if w.preset != "" && (w.info || w.thumbor) {
		return nil, usageError{errors.New("URLs of /info and of thumbor's grammar take no presets")}
	}
	parser, err := cfg.NewParser()
	if err != nil {
		return nil, err
	}
	if w.thumbor {
		return thumborSigning(cfg, parser, w.options)
	}
	keys, err := w.keyring(cfg)
	if err != nil {
		return nil, err
	}
	options, err := w.readable(cfg, parser)
	if err != nil {
		return nil, err
	}
	return w.checked(cfg, parser, keys, options)
}

// checked signs the URLs of sources that the server does not refuse.
func (w wish) checked(
	cfg config.Config, parser *variant.Parser, keys *signing.Keyring, options string,
) (func(source string) (string, error), error) {
	signer, err := newSigner(cfg, keys)
	if err != nil {
		return nil, err
	}
	address := signer.URL
	if w.encrypt {
		address = signer.EncryptedURL
	}
	return func(source string) (string, error) {
		if id, _ := parser.Opaque(source); id != "" && cfg.Links.On() {
			return "", errors.New("this link expires, and links.keys keeps such links out of URLs: have the server sign it, by POST /v1/sign")
		}
		signed, err := address(source, options, w.ttl, w.round)
		if err != nil {
			return "", err
		}
		if base := strings.TrimRight(cfg.Server.PublicURL(), "/"); w.info {
			signed = base + about.Prefix + strings.TrimPrefix(signed, base)
		}
		return signed, refusalOf(keys, parser, signedPath(cfg, signed))
	}, nil
}

// readable is the options, which the server accepts.
func (w wish) readable(cfg config.Config, parser *variant.Parser) (options string, err error) {
	switch {
	case w.info:
		_, _, err = about.ParsePath(parser, variant.Path(w.options, "ref:"+strings.Repeat("0", 32), variant.Open))
	case w.preset != "":
		return presetOptions(cfg, w.preset)
	case !cfg.OnlyPresets: // otherwise they are preset names, which the server resolves
		_, _, err = parser.ParseOptions(w.options)
	}
	return w.options, err
}

// thumborSigning signs in thumbor's grammar. The source is escaped, so that no cache merges its slashes.
func thumborSigning(cfg config.Config, parser *variant.Parser, options string) (func(source string) (string, error), error) {
	keys, err := signing.New(cfg.Signing, time.Now)
	switch {
	case err != nil:
		return nil, err
	case !keys.HasThumbor():
		return nil, errors.New("signing.thumbor has no key: set signing.thumbor.key")
	}
	return func(source string) (string, error) {
		path := strings.TrimPrefix(strings.Trim(options, "/")+"/"+url.PathEscape(source), "/")
		got, _, err := grammar.ParseThumbor(parser, path)
		if err != nil && fault.KindOf(err) != fault.BadSource {
			return "", err
		}
		if want, err := parser.Ref(source, got.Spec); err != nil || want.Source != got.Source {
			return "", errors.Join(fault.New(fault.BadOption, "cli.sign",
				"the grammar reads another image in this: give the URL of the source, and -options in the order of thumbor", nil), err)
		}
		signed, err := keys.SignThumbor(path)
		return cfg.Server.PublicURL() + grammar.ThumborPrefix + signed, err
	}, nil
}

// printURLs prints the result of sign for each source.
func printURLs(w io.Writer, sources []string, sign func(source string) (string, error)) error {
	for i, source := range sources {
		url, err := sign(source)
		if err != nil && len(sources) > 1 {
			return fmt.Errorf("URL %d of %d: %w", i+1, len(sources), err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(w, url)
	}
	return nil
}

// presetOptions are the options of a URL with a configured preset.
func presetOptions(cfg config.Config, name string) (string, error) {
	_, ok := cfg.Presets[name]
	switch {
	case ok && cfg.OnlyPresets:
		return name, nil
	case ok:
		return "pr:" + name, nil
	case len(cfg.Presets) == 0:
		return "", usageError{fmt.Errorf("there is no preset %q: the configuration has none (-config names its file);"+
			" -options takes options", name)}
	}
	known := strings.Join(slices.Sorted(maps.Keys(cfg.Presets)), ", ")
	return "", usageError{fmt.Errorf("there is no preset %q; those of the configuration are: %s", name, known)}
}

// refusalOf is why the server refuses a signed path, as far as the links of ids do not decide it.
func refusalOf(keys *signing.Keyring, parser *variant.Parser, target string) error {
	verified, parse, wrong := opened(keys, parser, target)
	ref, terms, err := parse(verified.Path)
	if err != nil {
		return err
	}
	err = refusedFor(verified.Key, wrong, ref, terms)
	if fault.KindOf(err) == fault.SourceNotAllowed {
		return fmt.Errorf("%w; -key ID signs with another key", err)
	}
	return err
}

// keyring is the configuration's keys, or those of one id.
func (w wish) keyring(cfg config.Config) (*signing.Keyring, error) {
	if len(cfg.Signing.Keys) == 0 {
		return nil, errors.New("there is no signing key: " + app.KeyTodo)
	}
	if w.key == "" {
		return signing.New(cfg.Signing, time.Now)
	}
	ids := make([]string, 0, len(cfg.Signing.Keys))
	for _, k := range cfg.Signing.Keys {
		ids = append(ids, k.ID)
	}
	cfg.Signing.Keys = slices.DeleteFunc(slices.Clone(cfg.Signing.Keys), func(k signing.Key) bool { return k.ID != w.key })
	if len(cfg.Signing.Keys) == 0 {
		return nil, usageError{fmt.Errorf("no signing key has the id %q; those of the configuration are: %s", w.key, strings.Join(ids, ", "))}
	}
	return signing.New(cfg.Signing, time.Now)
}

// newSigner makes a client.Signer of the first valid one of the keys.
func newSigner(cfg config.Config, keys *signing.Keyring) (*client.Signer, error) {
	signer, err := client.FromKeyring(cfg.Server.PublicURL(), keys)
	if err != nil {
		return nil, err
	}
	sources, err := cfg.Signing.SourceCipher()
	if err != nil || sources == nil {
		return signer, err
	}
	return signer.WithSources(sources), nil
}
