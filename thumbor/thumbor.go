// Package thumbor translates URLs of thumbor and imagor into our options and a source. It is pure. Unsupported parts
// are refused by name, and never ignored.
package thumbor

import (
	"cmp"
	"fmt"
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
	cropPattern = regexp.MustCompile(`^(\d+)x(\d+):(\d+)x(\d+)$`)
	trimPattern = regexp.MustCompile(`^trim(?::(top-left|bottom-right))?(?::(\d+))?$`)
)

// refused are the unsupported parts.
var refused = map[string]bool{
	"meta": true, "params": true, "debug": true, "adaptive-fit-in": true, "full-fit-in": true, "adaptive-full-fit-in": true,
}

// reading is the state of parsing a URL.
type reading struct {
	mode                string // fill, fit or force
	width, height       string
	flipH, flipV        bool
	horizontal, upright string // letters of the gravity
	gravity             string // overrides them
	enlarge             string // "" = as the mode implies
	options             []string
}

// Parse parses the path after the signature, without its leading slash. Faults: bad_path, bad_option,
// unsupported_option.
func Parse(path string) (Image, error) {
	r := reading{mode: "fill"}
	rest := path
	for stage := 0; ; {
		part, after, more := strings.Cut(rest, "/")
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
	return Image{Options: r.text(), Source: source}, nil
}

// steps are the parts of a URL in their order, each of which is optional. A step reports whether a part belongs to it.
var steps = []func(r *reading, part string) (taken bool, err error){
	(*reading).trim, (*reading).crop, (*reading).fit, (*reading).size, (*reading).horizontally, (*reading).vertically, (*reading).smart,
	(*reading).filters,
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
	if m != nil {
		r.flipH, r.width, r.flipV, r.height = m[1] != "", m[2], m[3] != "", m[4]
	}
	return m != nil, nil
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
		r.gravity = "sm"
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

func (r *reading) crop(part string) (bool, error) {
	m := cropPattern.FindStringSubmatch(part)
	if m == nil {
		return false, nil
	}
	var n [4]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(m[i+1]); err != nil {
			return true, badOption("crop")
		}
	}
	if n[2] <= n[0] || n[3] <= n[1] {
		return true, badOption("crop")
	}
	r.add("c:%d:%d:nowe:%d:%d", n[2]-n[0], n[3]-n[1], n[0], n[1])
	return true, nil
}

// text is the options as text.
func (r *reading) text() string {
	all := append(r.box(), r.options...)
	if r.enlarge == "1" {
		all = append(all, "el:1")
	}
	if at := cmp.Or(r.gravity, r.upright+r.horizontal); at != "" && r.mode == "fill" {
		all = append(all, "g:"+at)
	}
	if r.flipH || r.flipV {
		all = append(all, "fl:"+digit(r.flipH)+":"+digit(r.flipV))
	}
	return strings.Join(all, "/")
}

// box is the option of the size; none if both sides are free. It decides mode and enlarge.
func (r *reading) box() []string {
	width, height := orZero(r.width), orZero(r.height)
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

// sourceOf parses the image: a URL, percent-escaped or not; https if it has no scheme.
func sourceOf(text string) (string, error) {
	if strings.HasPrefix(text, "b64:") {
		return "", unsupported("b64:")
	}
	source := text
	if head, _, _ := strings.Cut(text, "?"); !strings.Contains(head, "://") { // with a scheme it is not escaped
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
