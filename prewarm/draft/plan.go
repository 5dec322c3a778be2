package draft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// clients are Accept headers of clients, by the best format that they accept.
var clients = map[variant.Format]string{
	variant.JXL:  "image/jxl,image/avif,image/webp,image/png,image/jpeg,*/*;q=0.8",
	variant.AVIF: "image/avif,image/webp,image/png,image/jpeg,*/*;q=0.8",
	variant.WebP: "image/webp,image/png,image/jpeg,*/*;q=0.8",
	variant.JPEG: "image/jpeg,image/png,*/*;q=0.8",
}

// newPlan resolves the requested variants.
func (r *Rules) newPlan(asks []unit.VariantAsk) (*ledger.Plan, error) {
	p := &ledger.Plan{}
	seen := map[variant.Spec]int{} // two asks, or two clients, may resolve to the same variant
	for _, a := range asks {
		at, spec, err := r.readAsk(a)
		if err != nil {
			return nil, err
		}
		for _, accept := range r.accepts(spec) {
			resolved := spec.Resolve(accept)
			i, known := seen[resolved]
			if !known {
				i = len(p.Targets)
				seen[resolved] = i
				p.Targets = append(p.Targets, ledger.Target{Name: at.Name, Options: optionsOf(spec), Accept: accept})
			}
			if !slices.Contains(at.Targets, i) {
				at.Targets = append(at.Targets, i)
			}
		}
		p.Asks = append(p.Asks, at)
	}
	if len(p.Targets) > maxTargets {
		return nil, fault.New(fault.BadOption, "draft.Accept", fmt.Sprintf("an image would have %d variants; at most %d are made", len(p.Targets), maxTargets), nil)
	}
	return p, resolve(p)
}

// resolve makes the plan's specs from its targets, as reading its record does. A record that cannot be read back would
// stop every listing of jobs, so such a plan is refused.
func resolve(p *ledger.Plan) error {
	bare, err := variant.NewParser(nil, false)
	if err == nil {
		err = p.Resolve(bare)
	}
	if err != nil {
		return fault.New(fault.BadOption, "draft.Accept", "these options cannot be prewarmed", err)
	}
	return nil
}

// maxTargets bounds the variants of one image, with formats and classes counted separately.
const maxTargets = 64

// readAsk parses one ask: the name of a preset, or options under a name.
func (r *Rules) readAsk(a unit.VariantAsk) (ledger.Ask, variant.Spec, error) {
	parser := r.Parser()
	out := ledger.Ask{Name: a.Name, Options: strings.Trim(a.Options, "/")}
	if out.Options == "" && strings.Contains(a.Name, ":") {
		out.Options = a.Name
	}
	preset := out.Options == ""
	if preset {
		out.Options = "pr:" + a.Name
	}
	spec, terms, err := parser.ParseOptions(out.Options)
	if err != nil && preset {
		// If only presets are allowed, URLs contain their bare names.
		if s, t, alone := parser.ParseOptions(a.Name); alone == nil {
			out.Options, spec, terms, err = a.Name, s, t, nil
		}
	}
	if err != nil {
		f := fault.Of(err)
		kind, text := f.Kind, fmt.Sprintf("variant %.60q: %s", a.Name, f.Public)
		if preset && !slices.Contains(parser.Presets(), a.Name) {
			kind, text = fault.BadOption, noPreset(a.Name, parser.Presets())
		}
		return out, spec, fault.New(kind, "draft.Accept", text, err)
	}
	out.Format, out.Presets = spec.Format, terms.Presets
	if terms.Free || len(terms.Presets) == 0 {
		out.Presets = append([]string{""}, terms.Presets...)
	}
	return out, spec, nil
}

// noPreset is the error text for a name that is neither a preset nor options.
func noPreset(name string, presets []string) string {
	text := fmt.Sprintf("variant %.60q is neither the name of a preset nor options such as w:300/f:webp", name)
	if before, after, ok := strings.Cut(name, "="); ok {
		return fmt.Sprintf("%s; is %.60q meant?", text, before+":"+after)
	}
	if meant := fault.Meant(name, presets); meant != "" {
		return fmt.Sprintf("%s; is %q meant?", text, meant)
	}
	if len(presets) == 0 {
		return text + "; no preset is configured"
	}
	return text + "; the presets are " + strings.Join(presets, ", ")
}

// accepts returns the clients for which a variant is made: one per configured format if the format is open, and both a
// fast and a slow one if the client decides the weight class.
func (r *Rules) accepts(spec variant.Spec) (all []variant.Accept) {
	all = []variant.Accept{{}}
	if spec.Format == variant.Open {
		all = nil
		for _, name := range r.Formats {
			f, _ := variant.ParseFormat(name)
			if a := variant.ParseAccept(clients[f], r.Negotiation()); !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	if spec.VariesByHints() {
		for _, a := range slices.Clone(all) {
			a.Slow = true
			all = append(all, a)
		}
	}
	return all
}

// optionsOf is the canonical option text of an unresolved spec, including its format.
func optionsOf(spec variant.Spec) string {
	format := spec.Format
	spec.Format = variant.Open
	path := variant.Ref{Source: "http://x/", Spec: spec}.Path()
	text := strings.Trim(path[:strings.LastIndexByte(path, '/')], "/")
	if format != variant.Open && format != variant.Raw { // "raw" is an option, and no "f" names it
		text = strings.Trim(text+"/f:"+string(format), "/")
	}
	return text
}
