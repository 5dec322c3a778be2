package variant

// applyWatermark parses opacity, position, offsets and scale. The offsets of a tiled mark are the space between two.
func applyWatermark(r *reading, args []string) error {
	var w Watermark
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
	if s := arg(args, 4); s != "" {
		if w.Scale, err = decimal("the scale", s, 0, 1); err != nil {
			return err
		}
	}
	if w.Opacity == 0 {
		w = Watermark{}
	}
	r.spec.Watermark = w
	return nil
}

// watermark writes the option of a mark.
func (w *writer) watermark(m Watermark) {
	if m == (Watermark{}) {
		return
	}
	place := gravityWords[min(m.Place.Kind, SouthEast)]
	if m.Tiled {
		place = "re"
	}
	w.add("wm", number(m.Opacity), place, number(m.Place.X), number(m.Place.Y), number(m.Scale))
}
