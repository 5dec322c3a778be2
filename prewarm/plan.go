package prewarm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// target is one variant in one format and weight class, as the ledger keeps it: settled when the call came, so that a
// change of the presets changes nothing for accepted work.
type target struct {
	Name    string         `json:"name"`    // of the first ask that it belongs to
	Options string         `json:"options"` // canonical, without presets
	Accept  variant.Accept `json:"accept"`  // of the client that it is made for
}

// ask is one variant asked for, in all its formats.
type ask struct {
	Name    string         `json:"name"`
	Format  variant.Format `json:"format,omitempty"` // Open where negotiation chooses
	Options string         `json:"options"`          // as they stand in a URL
	Targets []int          `json:"targets"`

	presets []string // that it is made of; "" stands for options beside them
}

// plan is the variants that some images of a job are made in.
type plan struct {
	Asks    []ask    `json:"asks"`
	Targets []target `json:"targets"`

	specs []variant.Spec // resolved, one per target
}

// clients are the Accept headers of clients that take each format at best.
var clients = map[variant.Format]string{
	variant.AVIF: "image/avif,image/webp,image/png,image/jpeg,*/*;q=0.8",
	variant.WebP: "image/webp,image/png,image/jpeg,*/*;q=0.8",
	variant.JPEG: "image/jpeg,image/png,*/*;q=0.8",
}

// newPlan settles what is asked for.
func (s *Service) newPlan(asks []unit.VariantAsk) (*plan, error) {
	p := &plan{}
	seen := map[variant.Spec]int{} // Two asks, or two clients, may come to the same variant.
	for _, a := range asks {
		at, spec, err := s.readAsk(a)
		if err != nil {
			return nil, err
		}
		for _, accept := range s.accepts(spec) {
			resolved := spec.Resolve(accept)
			i, known := seen[resolved]
			if !known {
				i = len(p.Targets)
				seen[resolved] = i
				p.Targets = append(p.Targets, target{Name: at.Name, Options: optionsOf(spec), Accept: accept})
				p.specs = append(p.specs, resolved)
			}
			if !slices.Contains(at.Targets, i) {
				at.Targets = append(at.Targets, i)
			}
		}
		p.Asks = append(p.Asks, at)
	}
	if len(p.Targets) > maxTargets {
		return nil, fault.New(fault.BadOption, "prewarm.Accept", fmt.Sprintf("an image would have %d variants; at most %d are made", len(p.Targets), maxTargets), nil)
	}
	return p, nil
}

// maxTargets bounds the variants of one image, formats and classes counted apart.
const maxTargets = 64

// readAsk reads one ask: the name of a preset, or options under a name.
func (s *Service) readAsk(a unit.VariantAsk) (ask, variant.Spec, error) {
	parser := s.deps.Parser()
	out := ask{Name: a.Name, Options: strings.Trim(a.Options, "/")}
	if out.Options == "" && strings.Contains(a.Name, ":") {
		out.Options = a.Name
	}
	var spec variant.Spec
	var terms variant.Terms
	var err error
	if out.Options != "" {
		spec, terms, err = parser.ParseOptions(out.Options)
	} else {
		out.Options = "pr:" + a.Name
		if spec, terms, err = parser.ParseOptions(out.Options); err != nil {
			// Where only presets are allowed, their names stand alone.
			var alone error
			if spec, terms, alone = parser.ParseOptions(a.Name); alone == nil {
				out.Options, err = a.Name, nil
			}
		}
	}
	if err != nil && a.Options == "" && !strings.Contains(a.Name, ":") && !slices.Contains(parser.Presets(), a.Name) {
		return out, spec, fault.New(fault.BadOption, "prewarm.Accept", noPreset(a.Name, parser.Presets()), err)
	}
	if err != nil {
		f := fault.Of(err)
		return out, spec, fault.New(f.Kind, "prewarm.Accept", fmt.Sprintf("variant %.60q: %s", a.Name, f.Public), err)
	}
	out.Format, out.presets = spec.Format, terms.Presets
	if terms.Free || len(terms.Presets) == 0 {
		out.presets = append([]string{""}, terms.Presets...)
	}
	return out, spec, nil
}

// noPreset says that a variant is named by what is neither a preset nor options.
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

// accepts are the clients that a variant is made for: one per configured format where it is open, and both the fast and
// the slow where its weight class is theirs to say.
func (s *Service) accepts(spec variant.Spec) (all []variant.Accept) {
	all = []variant.Accept{{}}
	if spec.Format == variant.Open {
		all = nil
		for _, name := range s.cfg.Formats {
			f, _ := variant.ParseFormat(name)
			if a := variant.ParseAccept(clients[f], s.deps.Negotiation()); !slices.Contains(all, a) {
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

// optionsOf is the canonical option text of a spec that is not resolved, its format included.
func optionsOf(spec variant.Spec) string {
	format := spec.Format
	spec.Format = variant.Open
	path := variant.Ref{Source: "http://x/", Spec: spec}.Path()
	text := strings.Trim(path[:strings.LastIndexByte(path, '/')], "/")
	if format != variant.Open {
		text = strings.Trim(text+"/f:"+string(format), "/")
	}
	return text
}

// resolve reads the targets of a plan from the ledger. bare knows no presets: there are none in them.
func (p *plan) resolve(bare *variant.Parser) error {
	p.specs = make([]variant.Spec, len(p.Targets))
	for i, t := range p.Targets {
		spec, _, err := bare.ParseOptions(t.Options)
		if err != nil {
			return fmt.Errorf("the ledger's options %q: %w", t.Options, err)
		}
		p.specs[i] = spec.Resolve(t.Accept)
	}
	return nil
}

// refs are the variants of a source, by target, none larger than share where that is not 0, of an original that may
// come from hosts.
func (p *plan) refs(parser *variant.Parser, source string, share int, hosts reach.Hosts) ([]variant.Ref, error) {
	refs := make([]variant.Ref, len(p.specs))
	for i, spec := range p.specs {
		ref, err := parser.Ref(source, within(spec, share))
		if err != nil {
			return nil, err
		}
		ref.Within = hosts
		refs[i] = ref
	}
	return refs, nil
}
