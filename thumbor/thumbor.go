// Package thumbor translates URLs of thumbor and imagor into our options and a source. It is pure. Unsupported parts
// are refused by name, and never ignored.
package thumbor

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Image is the result of parsing a URL.
type Image struct {
	Options string // as in a URL of ours
	Source  string
}

var (
	sizePattern = regexp.MustCompile(`^(-?)(\d*)x(-?)(\d*)$`)
	cropPattern = regexp.MustCompile(`^([\d.]+)x([\d.]+):([\d.]+)x([\d.]+)$`)
	padPattern  = regexp.MustCompile(`^(\d{1,9})x(\d{1,9})(?::(\d{1,9})x(\d{1,9}))?$`)
	origPattern = regexp.MustCompile(`^-?(\d*|orig)x-?(\d*|orig)$`)
	trimPattern = regexp.MustCompile(`^trim(?::(top-left|bottom-right))?(?::(\d+))?$`)
)

// refused are the unsupported parts.
var refused = map[string]bool{
	"meta": true, "params": true, "debug": true, "adaptive-fit-in": true, "full-fit-in": true, "adaptive-full-fit-in": true,
}

// reading is the state of parsing a URL.
type reading struct {
	mode    string // fill, fit or force
	frame          // before rotate()
	sized   bool   // there is a part with the size
	padding string // the option; it needs fill()
	enlarge string // "" = as the mode implies
	orient  int    // counterclockwise degrees, before all else
	turn    int    // counterclockwise degrees, after crop, size and flips
	filled  bool   // by fill()
	drawn   map[string]bool
	lacks   string // the part of a filter that has no counterpart
	options []string
}

// Parse parses the path after the signature, without its leading slash. Faults: bad_path, bad_option,
// unsupported_option.
func Parse(path string) (Image, error) {
	r := reading{mode: "fill"}
	rest := path
	for stage := 0; ; {
		part, after, more := cutPart(rest)
		if !more {
			break
		}
		next, taken, err := r.part(part, stage)
		if err != nil {
			return Image{}, err
		}
		if !taken {
			break
		}
		stage, rest = next, after
	}
	source, err := sourceOf(rest)
	if err != nil {
		return Image{}, err
	}
	if r.padding != "" && !r.filled {
		return Image{}, unsupported("padding without fill()")
	}
	return Image{Options: r.text(), Source: source}, nil
}

// cutPart cuts off the part before the next slash. One in the brackets of a filter belongs to it.
func cutPart(path string) (part, after string, more bool) {
	depth := 0
	for i, c := range path {
		switch {
		case !strings.HasPrefix(path, "filters:"):
			return strings.Cut(path, "/")
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '/' && depth == 0:
			return path[:i], path[i+1:], true
		}
	}
	return strings.Cut(path, "/")
}

// steps are the parts of a URL in their order, each of which is optional. A step reports whether a part belongs to it.
var steps = []func(r *reading, part string) (taken bool, err error){
	(*reading).trim, (*reading).crop, (*reading).fit, (*reading).size, (*reading).pad, (*reading).horizontally,
	(*reading).vertically, (*reading).smart, (*reading).filters,
}

// sizeStep is the step of the size: a part before it may be an unsupported one.
const sizeStep = 3

// part parses one part of the path, if it may follow the steps before next.
func (r *reading) part(part string, next int) (after int, taken bool, err error) {
	if refused[part] && next <= sizeStep {
		return 0, false, unsupported(part)
	}
	for i := next; i < len(steps); i++ {
		if taken, err := steps[i](r, part); taken || err != nil {
			return i + 1, true, err
		}
	}
	return 0, false, nil
}

func (r *reading) fit(part string) (bool, error) {
	mode := map[string]string{"fit-in": "fit", "stretch": "force"}[part]
	if mode != "" {
		r.mode = mode
	}
	return mode != "", nil
}

func (r *reading) size(part string) (bool, error) {
	m := sizePattern.FindStringSubmatch(part)
	switch {
	case m != nil:
		r.flipH, r.width, r.flipV, r.height, r.sized = m[1] != "", m[2], m[3] != "", m[4], true
	case origPattern.MatchString(part):
		return true, unsupported("orig")
	}
	return m != nil, nil
}

// pad reads imagor's padding, which only follows a size: left and top, right and bottom.
func (r *reading) pad(part string) (bool, error) {
	m := padPattern.FindStringSubmatch(part)
	if m == nil || !r.sized {
		return false, nil
	}
	r.padding = fmt.Sprintf("pd:%s:%s:%s:%s", m[2], cmp.Or(m[3], m[1]), cmp.Or(m[4], m[2]), m[1])
	return true, nil
}

func (r *reading) horizontally(part string) (bool, error) {
	letters, ok := map[string]string{"left": "we", "center": "", "right": "ea"}[part]
	r.horizontal += letters
	return ok, nil
}

func (r *reading) vertically(part string) (bool, error) {
	letters, ok := map[string]string{"top": "no", "middle": "", "bottom": "so"}[part]
	r.upright += letters
	return ok, nil
}

func (r *reading) smart(part string) (bool, error) {
	if part == "smart" {
		r.attentive = true
	}
	return part == "smart", nil
}

func (r *reading) add(format string, args ...any) {
	r.options = append(r.options, fmt.Sprintf(format, args...))
}

func (r *reading) trim(part string) (bool, error) {
	m := trimPattern.FindStringSubmatch(part)
	switch {
	case m == nil:
		return false, nil
	case m[1] == "bottom-right":
		return true, unsupported("trim:bottom-right")
	case m[2] == "":
		m[2] = "1"
	}
	r.add("t:%s", m[2])
	return true, nil
}

// crop reads the corners of an area, in pixels, or in imagor's shares of the sides.
func (r *reading) crop(part string) (bool, error) {
	m := cropPattern.FindStringSubmatch(part)
	if m == nil {
		return false, nil
	}
	var n [4]float64
	most := 1e9
	if strings.Contains(part, ".") {
		most = 1
	}
	for i := range n {
		var err error
		if n[i], err = strconv.ParseFloat(m[i+1], 64); err != nil || n[i] > most {
			return true, badOption("crop")
		}
		n[i] = math.Round(n[i]*1e4) / 1e4 // as short writes it: 0.99999 would become a pixel
	}
	if n[2] <= n[0] || n[3] <= n[1] {
		return true, badOption("crop")
	}
	r.cut = &cut{"nowe", n[2] - n[0], n[3] - n[1], n[0], n[1]}
	for _, side := range []*float64{&r.cut.width, &r.cut.height} {
		if most == 1 && *side == 1 { // The whole side; 1 would be a pixel.
			*side = 0
		}
	}
	return true, nil
}

// text is the options as text.
func (r *reading) text() string {
	f := r.frame.turned(r.turn)
	all := r.box(f)
	if f.cut != nil {
		all = append(all, f.cut.text())
	}
	all = append(all, r.options...)
	if n := (r.orient + r.turn) % 360; n > 0 {
		all = append(all, "rot:"+strconv.Itoa(360-n)) // counterclockwise there, clockwise here
	}
	if r.padding != "" {
		all = append(all, r.padding)
	}
	if r.enlarge == "1" {
		all = append(all, "el:1")
	}
	if at := f.place(); at != "" && r.mode == "fill" {
		all = append(all, "g:"+at)
	}
	if f.flipH || f.flipV {
		all = append(all, "fl:"+digit(f.flipH)+":"+digit(f.flipV))
	}
	return strings.Join(all, "/")
}

// box is the option of the size; none if both sides are free. It decides mode and enlarge.
func (r *reading) box(f frame) []string {
	width, height := orZero(f.width), orZero(f.height)
	if width == "0" && height == "0" {
		r.mode, r.enlarge = "", ""
		return nil
	}
	if r.mode == "fill" {
		r.enlarge = cmp.Or(r.enlarge, "1")
		if width == "0" || height == "0" {
			r.mode = "fit" // one side is free
		}
	}
	return []string{"rs:" + r.mode + ":" + width + ":" + height}
}

// orZero is a side in pixels; "0" = free.
func orZero(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// sourceOf parses the image: a URL, percent-escaped or not, or imagor's base64; https if it has no scheme.
func sourceOf(text string) (string, error) {
	source := text
	encoded, isEncoded := strings.CutPrefix(text, "b64:")
	switch head, _, _ := strings.Cut(text, "?"); {
	case isEncoded:
		decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil {
			return "", fault.New(fault.BadPath, "thumbor.Parse", "the image is not in URL-safe base64", nil)
		}
		source = string(decoded)
	case strings.HasPrefix(text, "color:"):
		return "", unsupported("color:")
	case !strings.Contains(head, "://"): // with a scheme it is not escaped
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return "", fault.New(fault.BadPath, "thumbor.Parse", "the image is not percent-escaped correctly", nil)
		}
		source = decoded
	}
	switch {
	case source == "":
		return "", fault.New(fault.BadPath, "thumbor.Parse", "the path names no image", nil)
	case !strings.Contains(source, "://"):
		source = "https://" + source
	}
	return source, nil
}

func unsupported(what string) error {
	return fault.New(fault.UnsupportedOption, "thumbor.Parse", fmt.Sprintf("%.40q of thumbor has no counterpart", what), nil)
}

func badOption(what string) error {
	return fault.New(fault.BadOption, "thumbor.Parse", fmt.Sprintf("the arguments of %.40q are wrong", what), nil)
}
