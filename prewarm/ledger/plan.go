package ledger

import (
	"fmt"
	"strconv"

	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// Target is one variant in one format and weight class, as stored in the ledger. It is resolved when the call is
// accepted, so later changes of presets do not affect it.
type Target struct {
	Name    string         `json:"name"`    // of the first ask that uses it
	Options string         `json:"options"` // canonical, without presets
	Accept  variant.Accept `json:"accept"`  // of the client for which it is made
}

// Ask is one requested variant, in all its formats.
type Ask struct {
	Name    string         `json:"name"`
	Format  variant.Format `json:"format,omitempty"` // Open if it is negotiated
	Options string         `json:"options"`          // as in a URL
	Targets []int          `json:"targets"`

	Presets []string `json:"-"` // that it is made of; "" stands for options besides them
}

// Plan lists the variants to make of some images of a job.
type Plan struct {
	Asks    []Ask    `json:"asks"`
	Targets []Target `json:"targets"`

	Specs []variant.Spec `json:"-"` // resolved, one per target
}

// Resolve parses the targets of a plan that was read from the ledger. bare knows no presets: targets contain none.
func (p *Plan) Resolve(bare *variant.Parser) error {
	p.Specs = make([]variant.Spec, len(p.Targets))
	for i, t := range p.Targets {
		spec, _, err := bare.ParseOptions(t.Options)
		if err != nil {
			return fmt.Errorf("the ledger's options %q: %w", t.Options, err)
		}
		p.Specs[i] = spec.Resolve(t.Accept)
	}
	return nil
}

// Refs returns the variants of a source by target. If share is not 0, it bounds their size. hosts are those from which
// the original may come.
func (p *Plan) Refs(parser *variant.Parser, source string, share int, hosts reach.Hosts) ([]variant.Ref, error) {
	refs := make([]variant.Ref, len(p.Specs))
	for i, spec := range p.Specs {
		ref, err := parser.Ref(source, within(spec, share))
		if err != nil {
			return nil, err
		}
		ref.Within = hosts
		refs[i] = ref
	}
	return refs, nil
}

// within bounds a spec to a share. A variant with a smaller bound keeps it.
func within(spec variant.Spec, share int) variant.Spec {
	if share > 0 && (spec.MaxBytes == 0 || spec.MaxBytes > share) {
		spec.MaxBytes = share
	}
	return spec
}

// OptionsWithin is within for the nth ask, in URL form.
func (p *Plan) OptionsWithin(n, share int) string {
	a := p.Asks[n]
	if spec := p.Specs[a.Targets[0]]; within(spec, share) == spec {
		return a.Options
	}
	return a.Options + "/mb:" + strconv.Itoa(share)
}

// over reports whether the outcome is larger than its share.
func (o *Outcome) over(share int) bool { return share > 0 && o.Bytes > int64(share) }
