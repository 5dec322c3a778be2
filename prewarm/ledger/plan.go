package ledger

import (
	"fmt"
	"strconv"

	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// Target is one variant in one format and weight class, as the ledger keeps it: settled when the call came, so that a
// change of the presets changes nothing for accepted work.
type Target struct {
	Name    string         `json:"name"`    // of the first ask that it belongs to
	Options string         `json:"options"` // canonical, without presets
	Accept  variant.Accept `json:"accept"`  // of the client that it is made for
}

// Ask is one variant asked for, in all its formats.
type Ask struct {
	Name    string         `json:"name"`
	Format  variant.Format `json:"format,omitempty"` // Open where negotiation chooses
	Options string         `json:"options"`          // as they stand in a URL
	Targets []int          `json:"targets"`

	Presets []string `json:"-"` // that it is made of; "" stands for options beside them
}

// Plan is the variants that some images of a job are made in.
type Plan struct {
	Asks    []Ask    `json:"asks"`
	Targets []Target `json:"targets"`

	Specs []variant.Spec `json:"-"` // resolved, one per target
}

// Resolve reads the targets of a plan from the ledger. bare knows no presets: there are none in them.
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

// Refs are the variants of a source, by target, none larger than share where that is not 0, of an original that may
// come from hosts.
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

// within is a spec that keeps to a share. A variant that was to be smaller already stays so.
func within(spec variant.Spec, share int) variant.Spec {
	if share > 0 && (spec.MaxBytes == 0 || spec.MaxBytes > share) {
		spec.MaxBytes = share
	}
	return spec
}

// OptionsWithin is within for the nth ask, as it stands in a URL.
func (p *Plan) OptionsWithin(n, share int) string {
	a := p.Asks[n]
	if spec := p.Specs[a.Targets[0]]; within(spec, share) == spec {
		return a.Options
	}
	return a.Options + "/mb:" + strconv.Itoa(share)
}

// over reports whether the outcome is larger than its share.
func (o *Outcome) over(share int) bool { return share > 0 && o.Bytes > int64(share) }
