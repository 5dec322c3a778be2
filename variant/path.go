package variant

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// Parser parses URL paths and option texts. It is immutable and safe for concurrent use.
type Parser struct {
	presets     map[string][]option // flattened: without preset options
	onlyPresets bool
	strip       []string
	decrypt     func(text []byte) (source string, ok bool) // nil = encrypted sources are refused
	names       *naming.Names                              // nil = none
	policy      Policy
}

// Naming returns a Parser that resolves names.
func (p *Parser) Naming(names *naming.Names) *Parser {
	named := *p
	named.names = names
	return &named
}

// maxOptions is the maximum number of options in one URL, and in one preset with those it uses.
const maxOptions = 64

// maxPath is the maximum length for ParsePath: a source, which escaping may triple, and its options.
const maxPath = 4 * naming.MaxAddress

// NewParser makes a Parser. presets maps names to option texts; the one named "default" applies to every URL first;
// presets may use others, but not themselves. With onlyPresets the first segment of a URL is a list of preset names,
// and only terms (exp, fn, att, ct) and the extension are allowed besides. canonical has the names of the query
// parameters that are not part of a source's identity ("X-Amz-*": a "*" ends a pattern). It refuses presets that a URL
// could not use.
func NewParser(presets map[string]string, onlyPresets bool, canonical ...string) (*Parser, error) {
	p := &Parser{presets: make(map[string][]option, len(presets)), onlyPresets: onlyPresets, strip: canonical}
	for name := range presets {
		if name == "" || strings.ContainsAny(name, ":/?#% ") {
			return nil, fmt.Errorf("preset %q: a name holds none of : / ? # %% and blanks", name)
		}
		options, err := flatten(presets, name, nil)
		if err != nil {
			return nil, fmt.Errorf("preset %q: %w", name, err)
		}
		var r reading
		for _, o := range options {
			if err := r.apply(o, false); err != nil {
				return nil, fmt.Errorf("preset %q: %s", name, fault.Of(err).Public)
			}
		}
		p.presets[name] = options
	}
	return p, nil
}

// WithDecrypt returns a Parser that also accepts encrypted sources ("/enc/"), which it decrypts with decrypt.
func (p *Parser) WithDecrypt(decrypt func(text []byte) (source string, ok bool)) *Parser {
	q := *p
	q.decrypt = decrypt
	return &q
}

// WithoutPresets is a Parser that knows no presets, and needs none.
func (p *Parser) WithoutPresets() *Parser {
	q := *p
	q.presets, q.onlyPresets = nil, false
	return &q
}

// Presets are the names of the presets, sorted.
func (p *Parser) Presets() []string {
	return append([]string{}, slices.Sorted(maps.Keys(p.presets))...)
}

// flatten lists a preset's options in order, with the presets it uses expanded. within are the presets being expanded.
func flatten(presets map[string]string, name string, within []string) ([]option, error) {
	text, ok := presets[name]
	if !ok {
		return nil, fmt.Errorf("it uses %q, which does not exist", name)
	}
	for _, outer := range within {
		if outer == name {
			return nil, fmt.Errorf("it uses itself: %s", strings.Join(append(within, name), " -> "))
		}
	}
	within = append(within, name)
	var options []option
	for _, segment := range segments(text) {
		o := splitOption(segment)
		if !o.isPreset() {
			options = append(options, o)
			continue
		}
		for _, inner := range o.args {
			used, err := flatten(presets, inner, within)
			if err != nil {
				return nil, err
			}
			options = append(options, used...)
		}
		if len(options) > maxOptions {
			break
		}
	}
	if len(options) > maxOptions {
		return nil, fmt.Errorf("it has more than %d options", maxOptions)
	}
	return options, nil
}

// segments splits an option text at its slashes; a slash at either end is allowed.
func segments(text string) []string {
	text = strings.Trim(text, "/")
	if text == "" {
		return nil
	}
	return strings.Split(text, "/")
}

// ParsePath parses the verified text of a URL: the path after the signature, beginning with "/". A "?" in it belongs to
// a plain source.
func (p *Parser) ParsePath(path string) (Ref, Terms, error) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || len(path) > maxPath {
		return Ref{}, Terms{}, badPath("the path is not /options/source")
	}
	var options []string
	if p.onlyPresets {
		options, rest = cutSegment(options, rest)
	}
	for strings.Contains(segment(rest), ":") {
		options, rest = cutSegment(options, rest)
	}
	r, err := p.read(options)
	if err != nil {
		return Ref{}, Terms{}, err
	}
	source, extension, err := p.splitTarget(rest)
	if err != nil {
		return Ref{}, Terms{}, err
	}
	if extension != "" {
		if err := r.apply(option{"format", []string{extension}}, false); err != nil {
			return Ref{}, Terms{}, err
		}
	}
	if err := p.finish(&r.spec); err != nil {
		return Ref{}, Terms{}, err
	}
	ref, err := p.Ref(source, r.spec)
	return ref, r.terms, err
}

// ParseOptions parses an option text as in a URL ("rs:fit:480:0/net:2g"), without a source.
func (p *Parser) ParseOptions(options string) (Spec, Terms, error) {
	r, err := p.read(segments(options))
	if err == nil {
		err = p.finish(&r.spec)
	}
	return r.spec.normal(), r.terms, err
}

// Ref makes the Ref of a source or of a name that resolves to one. It checks every source other than an opaque one as
// ParseSource does. The Spec may be from another Parser: what identifies its watermark is set again.
func (p *Parser) Ref(source string, spec Spec) (Ref, error) {
	if err := p.identify(&spec.Watermark); err != nil {
		return Ref{}, err
	}
	if _, ok := OpaqueID(source); ok {
		return Ref{Source: source, Spec: spec.normal()}, nil
	}
	source, err := p.names.Source(source)
	if err != nil {
		return Ref{}, err
	}
	source, err = ParseSource(source)
	if err != nil {
		return Ref{}, err
	}
	r := Ref{Source: source, Spec: spec.normal()}
	if len(p.strip) > 0 {
		if stripped := naming.Canonical(source, p.strip); stripped != naming.Canonical(source, nil) {
			r.identity = stripped
		}
	}
	return r, nil
}

func badPath(public string) error { return fault.New(fault.BadPath, "variant.ParsePath", public, nil) }

// segment is the text up to the first slash.
func segment(rest string) string {
	s, _, _ := strings.Cut(rest, "/")
	return s
}

func cutSegment(list []string, rest string) ([]string, string) {
	s, rest, _ := strings.Cut(rest, "/")
	return append(list, s), rest
}

// read applies the default preset and then the options.
func (p *Parser) read(options []string) (reading, error) {
	var r reading
	if len(options) > maxOptions {
		return r, badPath(fmt.Sprintf("the URL has more than %d options", maxOptions))
	}
	for _, o := range p.presets["default"] {
		if err := r.apply(o, false); err != nil {
			return r, err
		}
	}
	for i, segment := range options {
		o := splitOption(segment)
		switch {
		case p.onlyPresets && i == 0:
			o = option{"preset", strings.Split(segment, ":")}
		case p.onlyPresets && !rules[o.name].term:
			return r, fault.New(fault.UnsupportedOption, "variant.ParseOptions",
				fmt.Sprintf("option %.40q is not supported: only presets are", o.name), nil)
		}
		if err := p.apply(&r, o); err != nil {
			return r, err
		}
	}
	return r, nil
}

// apply applies one option of a URL, which may name presets.
func (p *Parser) apply(r *reading, o option) error {
	if !o.isPreset() {
		return r.apply(o, true)
	}
	for _, name := range o.args {
		options, ok := p.presets[name]
		if !ok || len(r.terms.Presets) == maxOptions {
			return fault.New(fault.BadOption, "variant.ParseOptions", fmt.Sprintf("option %q: there is no preset %.40q", o.name, name), nil)
		}
		for _, inner := range options {
			if err := r.apply(inner, false); err != nil {
				return err
			}
		}
		r.terms.Presets = append(r.terms.Presets, name)
	}
	return nil
}

// splitTarget parses the text after the options: a source and its extension ("" = none).
func (p *Parser) splitTarget(rest string) (source, extension string, err error) {
	t, err := naming.SplitTarget(rest, func(word string) bool {
		_, ok := ParseFormat(word)
		return ok || otherFormats[strings.ToLower(word)]
	})
	switch {
	case err != nil:
		return "", "", err
	case t.Form == naming.Opaque:
		if _, ok := OpaqueID(opaque + t.Text); !ok {
			return "", "", badPath("what follows ref/ is not an id")
		}
		return opaque + t.Text, t.Extension, nil
	case t.Form == naming.Plain:
		return t.Text, t.Extension, nil
	case p.decrypt == nil:
		return "", "", fault.New(fault.UnsupportedOption, "variant.ParsePath",
			"encrypted sources (\"/enc/\") need signing.encryption_key", nil)
	}
	source, ok := p.decrypt([]byte(t.Text))
	if !ok {
		return "", "", badPath("the encrypted source does not open: another key, or damaged")
	}
	return source, t.Extension, nil
}
