package variant

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// refusal is the reason why an option's arguments are refused; the dispatcher turns it into a fault that names the
// option.
type refusal struct {
	kind fault.Kind
	why  string
}

func (r refusal) Error() string { return r.why }

func bad(format string, args ...any) error {
	return refusal{fault.BadOption, fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) error {
	return refusal{fault.UnsupportedOption, fmt.Sprintf(format, args...)}
}

// arg is the i-th argument, "" if it is omitted.
func arg(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

// whole parses a number of digits only, at most limit.
func whole(what, s string, limit int64) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > limit {
		return 0, bad("%s must be a whole number from 0 to %d", what, limit)
	}
	return int64(n), nil
}

// decimal parses digits with an optional sign and fraction, rounds to four places, so that close values share one
// variant, and checks the range. A value other than zero that would be rounded to zero is out of range.
func decimal(what, s string, low, high float64) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	rounded := math.Round(f*1e4) / 1e4
	if err != nil || !plainDecimal(s) || !(low <= rounded && rounded <= high) || rounded == 0 && f != 0 {
		return 0, bad("%s must be a number from %s to %s", what, number(low), number(high))
	}
	if rounded == 0 {
		return 0, nil // never a negative zero
	}
	return rounded, nil
}

func plainDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, _ := strings.Cut(s, ".")
	return len(s) <= 32 && whole != "" && strings.Trim(whole, "0123456789") == "" && strings.Trim(fraction, "0123456789") == ""
}

// number writes f so that decimal reads the same.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// truth parses a switch: 1, t or true; 0, f or false.
func truth(what, s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, bad("%s must be 1 or 0", what)
	}
	return b, nil
}

// count parses a whole number of at most limit into a field.
func count[T int | int64 | uint8](what string, limit int64, field func(*reading) *T) func(*reading, []string) error {
	return func(r *reading, args []string) error {
		n, err := whole(what, args[0], limit)
		*field(r) = T(n)
		return err
	}
}

// measure parses a decimal number into a field.
func measure(what string, low, high float64, field func(*reading) *float64) func(*reading, []string) error {
	return func(r *reading, args []string) (err error) {
		*field(r), err = decimal(what, args[0], low, high)
		return err
	}
}

// megapixels parses a resolution in megapixels into a field of pixels.
func megapixels(field func(*reading) *int64) func(*reading, []string) error {
	return func(r *reading, args []string) error {
		n, err := decimal("the resolution in megapixels", args[0], 0, 10_000)
		*field(r) = int64(math.Round(n * 1e6))
		return err
	}
}

// toggle parses a switch into a field, which is true if the switch is as on.
func toggle(what string, on bool, field func(*reading) *bool) func(*reading, []string) error {
	return func(r *reading, args []string) error {
		b, err := truth(what, args[0])
		*field(r) = b == on
		return err
	}
}

// word parses one of some words into a field, whose value is the word's index. The empty word is none.
func word[T ~uint8](words []string, none string, field func(*reading) *T) func(*reading, []string) error {
	return func(r *reading, args []string) error {
		i := slices.Index(words, args[0])
		if i < 0 || args[0] == "" {
			return bad("%s", none)
		}
		*field(r) = T(i)
		return nil
	}
}

// color parses three or six hexadecimal digits.
func color(s string) (Color, error) {
	if len(s) == 3 {
		s = string([]byte{s[0], s[0], s[1], s[1], s[2], s[2]})
	}
	n, err := strconv.ParseUint(s, 16, 24)
	if err != nil || len(s) != 6 {
		return Color{}, bad("a colour is three or six hexadecimal digits")
	}
	return Color{Set: true, R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n)}, nil
}

func (c Color) hex() string { return fmt.Sprintf("%02x%02x%02x", c.R, c.G, c.B) }

// maxOffset bounds the offset of a gravity in pixels.
const maxOffset = 100_000

// gravityWords are the URL's words, indexed by GravityKind.
var gravityWords = [...]string{Centre: "ce", North: "no", South: "so", East: "ea", West: "we", NorthWest: "nowe", NorthEast: "noea",
	SouthWest: "sowe", SouthEast: "soea", Smart: "sm", FocusPoint: "fp"}

func gravity(args []string) (Gravity, error) {
	g := Gravity{Kind: FocusPoint + 1}
	for kind, word := range gravityWords {
		if args[0] == word {
			g.Kind = GravityKind(kind)
		}
	}
	var err error
	switch {
	case args[0] == "obj" || args[0] == "objw":
		return g, unsupported("gravity by objects is not supported")
	case g.Kind > FocusPoint:
		return g, bad("the gravity is none of no, so, ea, we, noea, nowe, soea, sowe, ce, sm, fp")
	case g.Kind == Smart && len(args) > 1:
		return g, bad("smart gravity has no offsets")
	case g.Kind == FocusPoint:
		if g.X, err = decimal("the focus point's x", arg(args, 1), 0, 1); err == nil {
			g.Y, err = decimal("the focus point's y", arg(args, 2), 0, 1)
		}
		return g, err
	}
	if s := arg(args, 1); s != "" {
		if g.X, err = decimal("the x offset", s, -maxOffset, maxOffset); err != nil {
			return g, err
		}
	}
	if s := arg(args, 2); s != "" {
		g.Y, err = decimal("the y offset", s, -maxOffset, maxOffset)
	}
	return g, err
}

func (g Gravity) arguments() []string {
	word := gravityWords[min(g.Kind, FocusPoint)]
	if g.Kind != FocusPoint && g.X == 0 && g.Y == 0 {
		return []string{word}
	}
	return []string{word, number(g.X), number(g.Y)}
}

func encode64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
