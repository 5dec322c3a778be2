package thumbor

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/image/colornames"
)

// maxFilters is the maximum number of filters in one URL.
const maxFilters = 32

// filterPattern is one filter at the start of a list. Its arguments contain no bracket.
var filterPattern = regexp.MustCompile(`^([a-z_]+)\(([^()]*)\)(?::|$)`)

// filters reads the part with the filters.
func (r *reading) filters(part string) (bool, error) {
	list, ok := strings.CutPrefix(part, "filters:")
	if !ok {
		return false, nil
	}
	return true, r.filter(list)
}

// filter reads a list of filters.
func (r *reading) filter(list string) error {
	for n := 0; list != ""; n++ {
		if name, _, ok := strings.Cut(list, "("); ok && word.MatchString(strings.ReplaceAll(name, "_", "")) && known[name] == nil {
			return unsupported(name + "()")
		}
		m := filterPattern.FindStringSubmatch(list)
		if m == nil || n == maxFilters {
			return badOption("filters")
		}
		list = list[len(m[0]):]
		var args []string
		if m[2] != "" {
			args = strings.Split(strings.ReplaceAll(m[2], " ", ""), ",")
		}
		if err := r.draws(m[1]); err != nil {
			return err
		}
		switch apply := known[m[1]]; {
		case apply != nil && apply(r, args):
		case r.lacks != "":
			return unsupported(r.lacks)
		default:
			return badOption(m[1] + "()")
		}
	}
	return nil
}

// inOrder are the filters that change pixels. There they are applied as often and in the order as they are given; here
// once, in the order of this list.
var inOrder = []string{"blur", "sharpen", "pixelate", "fill", "watermark"}

// draws refuses a filter that is given twice, or after one that is applied later here.
func (r *reading) draws(name string) error {
	i := slices.Index(inOrder, name)
	switch {
	case r.drawn["watermark"] && (i >= 0 && name != "watermark" || name == "rotate"):
		return unsupported("watermark() before " + name + "()")
	case i >= 0 && r.drawn[name]:
		return unsupported(name + "() twice")
	}
	if r.drawn == nil {
		r.drawn = map[string]bool{}
	}
	r.drawn[name] = true
	return nil
}

// known are the supported filters. Each reports whether its arguments are supported too.
var known = map[string]func(r *reading, args []string) bool{
	"quality": option("q:", count), "format": option("f:", word), "max_bytes": option("mb:", count),
	"max_frames": option("maf:", count), "pixelate": option("pix:", count), "proportion": option("z:", proportion),
	"background_color": func(r *reading, args []string) bool {
		hex, ok := hexOf(args)
		r.add("bg:%s", hex)
		return ok
	},
	"strip_exif": always, "strip_icc": always, "strip_metadata": always, "autojpg": always,
	"page": only("page", "1"), "to_colorspace": only("to_colorspace", "srgb"),
	"no_upscale": func(r *reading, _ []string) bool { r.enlarge = "0"; return true },
	"upscale":    func(r *reading, _ []string) bool { r.enlarge = "1"; return true },
	"stretch": func(r *reading, _ []string) bool {
		if r.mode == "fill" {
			r.mode, r.enlarge = "force", cmp.Or(r.enlarge, "1")
		}
		return true
	},
	"fill": func(r *reading, args []string) bool {
		r.filled = true
		if len(args) > 0 && (args[0] == "none" || args[0] == "transparent") {
			r.add("ex:1")
			return true
		}
		if len(args) > 0 && (args[0] == "auto" || args[0] == "blur") {
			r.lacks = "fill(" + args[0] + ")"
			return false
		}
		hex, ok := hexOf(args)
		r.add("ex:1/bg:%s", hex)
		return ok
	},
	"rotate": func(r *reading, args []string) bool { return angle(args, &r.turn) },
	"orient": func(r *reading, args []string) bool { return angle(args, &r.orient) },
	"blur": func(r *reading, args []string) bool { // radius, sigma; sigma defaults to the radius
		sigma, ok := number(args, len(args)-1)
		if ok && len(args) <= 2 {
			r.add("bl:%g", sigma)
		}
		return ok && len(args) <= 2
	},
	"sharpen": func(r *reading, args []string) bool { // amount, radius, luminance
		amount, ok := number(args, 0)
		if ok {
			r.add("sh:%g", amount)
		}
		return ok
	},
	"focal":     focal,
	"watermark": watermark,
	"raw":       func(r *reading, args []string) bool { r.add("raw:1"); return len(args) == 0 },
	"expire": func(r *reading, args []string) bool { // Unix time in milliseconds
		if len(args) != 1 || !millis.MatchString(args[0]) {
			return false
		}
		r.add("exp:%s", args[0][:len(args[0])-3])
		return true
	},
	"attachment": func(r *reading, args []string) bool { // a file name, without which it is the source's
		r.add("att:1")
		if len(args) == 1 {
			name, err := url.PathUnescape(args[0])
			r.add("fn:%s:1", base64.RawURLEncoding.EncodeToString([]byte(name)))
			return err == nil
		}
		return len(args) == 0
	},
}

// focal is a point, or the middle of an area, as shares of width and height. In pixels it has no counterpart, as the
// size of the original is not known here.
func focal(r *reading, args []string) bool {
	m := focalPattern.FindStringSubmatch(strings.Join(args, "x"))
	if m == nil {
		return false
	}
	var at [4]float64
	for i := range at {
		if m[i+1] == "" {
			at[i] = at[i-2]
			continue
		}
		n, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return false
		}
		if n > 1 {
			r.lacks = "focal() in pixels"
			return false
		}
		at[i] = n
	}
	r.focus = &[2]float64{(at[0] + at[2]) / 2, (at[1] + at[3]) / 2}
	return true
}

// angle adds a multiple of 90 degrees, counterclockwise as both have it.
func angle(args []string, to *int) bool {
	n, ok := number(args, 0)
	if !ok || int(n)%90 != 0 || n != float64(int(n)) || n > 360 {
		return false
	}
	*to = (*to + int(n)) % 360
	return true
}

var (
	count        = regexp.MustCompile(`^[0-9]{1,9}$`)
	word         = regexp.MustCompile(`^[a-z]{1,30}$`)
	colour       = regexp.MustCompile(`^([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
	proportion   = regexp.MustCompile(`^(1|1\.0|0\.[0-9]{1,4})$`)
	millis       = regexp.MustCompile(`^[1-9][0-9]{3,15}$`)
	focalPattern = regexp.MustCompile(`^(\d*\.?\d+)x(\d*\.?\d+)(?::(\d*\.?\d+)x(\d*\.?\d+))?$`)
)

func always(*reading, []string) bool { return true }

// only is a filter that changes nothing if it has no argument, or this one. Others have no counterpart.
func only(name, value string) func(*reading, []string) bool {
	return func(r *reading, args []string) bool {
		if len(args) == 0 || len(args) == 1 && args[0] == value {
			return true
		}
		r.lacks = name + "() of another value than " + value
		return false
	}
}

// hexOf is the first argument, a colour, as hexadecimal digits.
func hexOf(args []string) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	name := strings.TrimPrefix(args[0], "#")
	if c, ok := colornames.Map[strings.ToLower(name)]; ok {
		return fmt.Sprintf("%02x%02x%02x", c.R, c.G, c.B), true
	}
	return name, colour.MatchString(name)
}

// option is a filter with one argument, which one of our options accepts unchanged.
func option(name string, pattern *regexp.Regexp) func(*reading, []string) bool {
	return func(r *reading, args []string) bool {
		if len(args) != 1 || !pattern.MatchString(strings.TrimPrefix(args[0], "#")) {
			return false
		}
		r.add("%s%s", name, strings.TrimPrefix(args[0], "#"))
		return true
	}
}

// number is the nth argument, which must not be negative.
func number(args []string, n int) (float64, bool) {
	if n < 0 || n >= len(args) {
		return 0, false
	}
	f, err := strconv.ParseFloat(args[n], 64)
	return f, err == nil && f >= 0 && f < 1e6
}
