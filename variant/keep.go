package variant

import (
	"fmt"

	"github.com/goldcrest/goldcrest/fault"
)

// applySkip parses the formats of originals that are sent as they are.
func applySkip(r *reading, args []string) error {
	var set FormatSet
	for _, name := range args {
		f, err := format(name)
		if err != nil {
			return err
		}
		set |= f.bit()
	}
	r.spec.Unprocessed = set
	return nil
}

// Policy is what the configuration says about options.
type Policy struct {
	NoWatermark bool   // refuses watermark without watermark_url
	NoMetadata  bool   // refuses strip_metadata:0, keep_copyright:1 and strip_color_profile:0
	NoRaw       bool   // refuses raw and skip_processing
	Mark        string // fingerprint of the configured watermark
	ClientHints bool   // a width and dpr that the URL leaves open come from client hints
}

// Under returns a Parser that applies a policy to URLs and presets.
func (p *Parser) Under(policy Policy) (*Parser, error) {
	strict := *p
	strict.policy = policy
	for name, options := range p.presets {
		var r reading
		for _, o := range options {
			if err := r.apply(o, false); err != nil {
				return nil, err
			}
		}
		if err := strict.finish(&r.spec); err != nil {
			return nil, fmt.Errorf("preset %q: %s", name, fault.Of(err).Public)
		}
	}
	return &strict, nil
}

// finish completes a spec that was read, and checks it.
func (p *Parser) finish(s *Spec) error {
	if p.policy.ClientHints {
		s.HintWidth, s.HintDPR, s.OwnDPR = s.Width == 0, s.DPR == 0, s.DPR == 1
	}
	if err := p.identify(&s.Watermark); err != nil {
		return err
	}
	return p.check(*s)
}

// check refuses what is forbidden, or has no meaning in the format that the URL names.
func (p *Parser) check(s Spec) error {
	refuse := func(kind fault.Kind, why string) error { return fault.New(kind, "variant.ParseOptions", why, nil) }
	switch f := p.policy; {
	case f.NoRaw && s.Raw:
		return refuse(fault.UnsupportedOption, `option "raw" is not supported: transform.raw is off`)
	case f.NoRaw && s.Unprocessed != 0:
		return refuse(fault.UnsupportedOption, `option "skip_processing" is not supported: transform.raw is off`)
	case f.NoMetadata && s.keeps():
		return refuse(fault.BadOption, "metadata and colour profiles are always removed: transform.keep_metadata is off")
	case s.keeps() && s.Format != Open && !described.Has(s.Format):
		return refuse(fault.BadOption, "copyright and colour profiles are kept in jpg, png and webp only")
	}
	return nil
}

// keeps reports whether metadata of the original are written into the variant.
func (k Keep) keeps() bool { return k.KeepMetadata || k.KeepCopyright || k.KeepProfile }

// NoWatermark is the message of a server without a watermark that refuses the option.
const NoWatermark = `option "watermark" is not supported: transform.watermark is not set`

// keep writes the options of what is kept, but for the orientation.
func (w *writer) keep(k Keep) {
	w.flag("kcr", k.KeepCopyright)
	if k.KeepProfile {
		w.add("scp", "0")
	}
	if k.Unprocessed != 0 {
		var names []string
		for _, f := range written {
			if k.Unprocessed.Has(f) {
				names = append(names, string(f))
			}
		}
		w.add("skp", names...)
	}
	w.flag("raw", k.Raw)
}
