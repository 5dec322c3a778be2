package variant

// maxSide is the largest width or height in a URL. The transform's limit for results is lower.
const maxSide = 1_000_000

// modeWords are the URL's words, indexed by ResizeMode.
var modeWords = [...]string{Fit: "fit", Fill: "fill", FillDown: "fill-down", Force: "force", ResizeAuto: "auto"}

// applyResize is resizing_type and size in one; omitted arguments keep earlier values.
func applyResize(r *reading, args []string) error {
	if args[0] != "" {
		if err := applyResizingType(r, args[:1]); err != nil {
			return err
		}
	}
	return applySize(r, args[1:])
}

func applySize(r *reading, args []string) error {
	for i, apply := range []func(*reading, []string) error{applyWidth, applyHeight, applyEnlarge} {
		if arg(args, i) == "" {
			continue
		}
		if err := apply(r, args[i:i+1]); err != nil {
			return err
		}
	}
	if len(args) > 3 && (args[3] != "" || len(args) > 4) {
		return extension(r, &r.spec.Extend, args[3:])
	}
	return nil
}

var (
	applyResizingType = word(modeWords[:], "the resizing type is none of fit, fill, fill-down, force, auto",
		func(r *reading) *ResizeMode { return &r.spec.Resize })
	applyWidth   = count("width", maxSide, func(r *reading) *int { return &r.spec.Width })
	applyHeight  = count("height", maxSide, func(r *reading) *int { return &r.spec.Height })
	applyEnlarge = toggle("enlarge", true, func(r *reading) *bool { return &r.spec.Enlarge })
)

func applyZoom(r *reading, args []string) error {
	x, err := decimal("zoom", args[0], 0.0001, 100)
	y := x
	if err == nil && len(args) > 1 {
		y, err = decimal("zoom", args[1], 0.0001, 100)
	}
	if err == nil {
		r.spec.ZoomX, r.spec.ZoomY = x, y
	}
	return err
}

func extension(r *reading, to *bool, args []string) error {
	on, err := truth("extend", args[0])
	if err != nil {
		return err
	}
	var g Gravity
	if len(args) > 1 {
		if g, err = gravity(args[1:]); err != nil {
			return err
		}
		if g.Kind == Smart {
			return bad("an extension has no smart gravity")
		}
	}
	*to = on
	if on || len(args) > 1 || !r.spec.Extend && !r.spec.ExtendRatio {
		r.spec.ExtendGravity = g
	}
	return nil
}

func applyGravity(r *reading, args []string) (err error) {
	r.spec.Gravity, err = gravity(args)
	return err
}

func applyCrop(r *reading, args []string) error {
	var c Crop
	var err error
	if c.Width, err = decimal("the crop's width", args[0], 0, maxSide); err != nil {
		return err
	}
	if s := arg(args, 1); s != "" {
		if c.Height, err = decimal("the crop's height", s, 0, maxSide); err != nil {
			return err
		}
	}
	if len(args) > 2 {
		if c.Gravity, err = gravity(args[2:]); err != nil {
			return err
		}
		c.GravitySet = true
	}
	r.spec.Crop = c
	return nil
}

// applyTrim takes a single empty threshold as "off", which undoes a preset's.
func applyTrim(r *reading, args []string) error {
	if len(args) == 1 && args[0] == "" {
		r.spec.Trim = Trim{}
		return nil
	}
	t := Trim{On: true}
	var err error
	if t.Threshold, err = decimal("the threshold", args[0], 0, 255); err != nil {
		return err
	}
	if s := arg(args, 1); s != "" {
		if t.Color, err = color(s); err != nil {
			return err
		}
	}
	for i, to := range []*bool{&t.EqualHor, &t.EqualVer} {
		if s := arg(args, 2+i); s != "" {
			if *to, err = truth("an equal cut", s); err != nil {
				return err
			}
		}
	}
	r.spec.Trim = t
	return nil
}

// maxPadding bounds each side's padding in CSS pixels.
const maxPadding = 10_000

// applyPadding parses sides as CSS does: an omitted side is equal to the opposite one, or the top.
func applyPadding(r *reading, args []string) error {
	var sides [4]int
	given := false
	for i, s := range []string{args[0], arg(args, 1), arg(args, 2), arg(args, 3)} {
		if s == "" {
			sides[i] = sides[max(0, i-2)]
			continue
		}
		n, err := whole("padding", s, maxPadding)
		if err != nil {
			return err
		}
		sides[i], given = int(n), true
	}
	if !given {
		return bad("at least one side must be given")
	}
	r.spec.Padding = Padding{Top: sides[0], Right: sides[1], Bottom: sides[2], Left: sides[3]}
	return nil
}

func applyRotate(r *reading, args []string) error {
	n, err := whole("the angle", args[0], 3600)
	if err == nil && n%90 != 0 {
		err = bad("the angle must be a multiple of 90")
	}
	r.spec.Rotate = int(n % 360)
	return err
}

func applyFlip(r *reading, args []string) error {
	var flips [2]bool
	for i, s := range args {
		var err error
		if s == "" && len(args) == 2 {
			continue
		}
		if flips[i], err = truth("flip", s); err != nil {
			return err
		}
	}
	r.spec.FlipH, r.spec.FlipV = flips[0], flips[1]
	return nil
}

// applyBackground parses hexadecimal digits, three numbers, or nothing for no background.
func applyBackground(r *reading, args []string) (err error) {
	switch {
	case len(args) == 1 && args[0] == "":
		r.spec.Background = Color{}
		return nil
	case len(args) == 1:
		r.spec.Background, err = color(args[0])
		return err
	}
	var rgb [3]uint8
	for i := range rgb {
		n, err := whole("a colour's channel", arg(args, i), 255)
		if err != nil {
			return err
		}
		rgb[i] = uint8(n)
	}
	r.spec.Background = Color{Set: true, R: rgb[0], G: rgb[1], B: rgb[2]}
	return nil
}

// maxSigma limits blur and sharpen: their cost grows with sigma, and larger values look the same.
const maxSigma = 100
