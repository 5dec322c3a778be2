package variant

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// applyWatermark parses opacity, position, offsets and one scale or two. The offsets of a tiled mark are the space
// between two.
func applyWatermark(r *reading, args []string) error {
	w := Watermark{Source: r.spec.Watermark.Source}
	var err error
	if w.Opacity, err = decimal("the opacity", args[0], 0, 1); err != nil {
		return err
	}
	place := arg(args, 1)
	switch place {
	case "re":
		w.Tiled, place = true, "ce"
	case "ch":
		return unsupported("the position ch is not supported")
	case "sm", "fp":
		return bad("a watermark has no such position")
	case "":
		place = "ce"
	}
	if w.Place, err = gravity([]string{place, arg(args, 2), arg(args, 3)}); err != nil {
		return err
	}
	for i, share := range []*float64{&w.Width, &w.Height} {
		if s := arg(args, 4+i); s != "" {
			if *share, err = decimal("the scale", s, 0, 1); err != nil {
				return err
			}
		} else if i == 1 {
			w.Height = w.Width
		}
	}
	r.spec.Watermark = w
	return nil
}

// applyWatermarkURL parses the URL of a mark; "" = the configured one.
func applyWatermarkURL(r *reading, args []string) error {
	source, ok := naming.Decode64(args[0])
	if !ok && args[0] != "" {
		return bad("the URL must be in URL-safe base64")
	}
	r.spec.Watermark.Source = source
	return nil
}

// identify checks the URL of the spec's mark, as Ref does that of an original, and sets what identifies the mark.
func (p *Parser) identify(w *Watermark) error {
	switch {
	case w.Opacity == 0:
		*w = Watermark{}
		return nil
	case w.Source == "" && p.policy.NoWatermark:
		return fault.New(fault.UnsupportedOption, "variant.ParseOptions", NoWatermark, nil)
	case w.Source == "":
		w.Mark = p.policy.Mark
		return nil
	}
	ref, err := p.Ref(w.Source, Spec{})
	if _, opaque := OpaqueID(w.Source); err != nil || opaque {
		return fault.New(fault.BadOption, "variant.ParseOptions",
			`option "watermark_url": it needs the URL of a picture, as a source has`, err)
	}
	w.Source, w.Mark = ref.Source, ref.SourceHash()
	return nil
}

// watermark writes the option of a mark.
func (w *writer) watermark(m Watermark) {
	if m.Opacity == 0 {
		return
	}
	place := gravityWords[min(m.Place.Kind, SouthEast)]
	if m.Tiled {
		place = "re"
	}
	args := []string{number(m.Opacity), place, number(m.Place.X), number(m.Place.Y), number(m.Width)}
	if m.Height != m.Width {
		args = append(args, number(m.Height))
	}
	w.add("wm", args...)
	if m.Source != "" {
		w.add("wmu", encode64(m.Source))
	}
}
