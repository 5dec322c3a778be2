package thumbor

import (
	"regexp"
	"strconv"
	"strings"
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
		if apply := known[m[1]]; apply == nil || !apply(r, args) {
			return badOption(m[1] + "()")
		}
	}
	return nil
}

// known are the supported filters. Each reports whether its arguments are supported too.
var known = map[string]func(r *reading, args []string) bool{
	"quality": option("q:", count), "format": option("f:", word), "max_bytes": option("mb:", count), "max_frames": option("maf:", count),
	"background_color": option("bg:", colour), "pixelate": option("pix:", count),
	"strip_exif": always, "strip_icc": always, "strip_metadata": always, "autojpg": always,
	"no_upscale": func(r *reading, _ []string) bool { r.enlarge = "0"; return true },
	"upscale":    func(r *reading, _ []string) bool { r.enlarge = "1"; return true },
	"fill": func(r *reading, args []string) bool {
		if len(args) == 0 || !colour.MatchString(strings.TrimPrefix(args[0], "#")) {
			return false
		}
		r.add("ex:1/bg:%s", strings.TrimPrefix(args[0], "#"))
		return true
	},
	"rotate": func(r *reading, args []string) bool {
		n, ok := number(args, 0)
		if !ok || int(n)%90 != 0 || n != float64(int(n)) || n < 0 || n > 360 {
			return false
		}
		r.add("rot:%d", (360-int(n))%360) // counterclockwise in thumbor, clockwise here
		return true
	},
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
	"focal": func(r *reading, args []string) bool { // a point, as fractions of width and height
		if len(args) != 1 {
			return false
		}
		x, y, ok := strings.Cut(args[0], "x")
		if !ok || !share.MatchString(x) || !share.MatchString(y) {
			return false
		}
		r.gravity = "fp:" + x + ":" + y
		return true
	},
}

var (
	count  = regexp.MustCompile(`^[0-9]{1,9}$`)
	word   = regexp.MustCompile(`^[a-z]{1,30}$`)
	colour = regexp.MustCompile(`^([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
	share  = regexp.MustCompile(`^(0|1|0?\.[0-9]{1,6}|1\.0)$`)
)

func always(*reading, []string) bool { return true }

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
