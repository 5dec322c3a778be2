package thumbor

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
)

// watermark is a picture over the result: its image, horizontal and vertical position, transparency, and the shares of
// the result's sides that it fits into.
func watermark(r *reading, args []string) bool {
	if len(args) < 3 || len(args) > 6 {
		return false
	}
	source, err := sourceOf(args[0])
	if err != nil {
		return false
	}
	place, x, y, ok := r.position(args[1], args[2])
	if !ok {
		return false
	}
	opaque := 100.0
	if len(args) > 3 {
		transparency, ok := percent(args[3])
		if !ok {
			return false
		}
		opaque -= transparency
	}
	var shares [2]float64
	for i := 4; i < len(args); i++ {
		if args[i] == "none" {
			continue
		}
		share, ok := percent(args[i])
		if !ok {
			return false
		}
		shares[i-4] = share / 100
	}
	mark := base64.RawURLEncoding.EncodeToString([]byte(source))
	r.add("wm:%s:%s:%s:%s:%s:%s/wmu:%s", short(opaque/100), place, x, y, short(shares[0]), short(shares[1]), mark)
	return true
}

// position is a gravity with its offsets.
func (r *reading) position(across, down string) (place, x, y string, ok bool) {
	if across == "repeat" && down == "repeat" {
		return "re", "0", "0", true
	}
	if across == "repeat" || down == "repeat" {
		r.lacks = "watermark() repeated in one direction"
		return "", "", "", false
	}
	horizontal, x, okX := edge(across, "we", "ea")
	vertical, y, okY := edge(down, "no", "so")
	if place = vertical + horizontal; place == "" {
		place = "ce"
	}
	return place, x, y, okX && okY
}

// offsetPattern is an offset from the first edge, or with a minus from the second: pixels, or percents of the side.
var offsetPattern = regexp.MustCompile(`^(-?)(\d{1,5})(p?)$`)

// edge is one half of a position: the letters of the edge that the offset counts from, "" = centred.
func edge(text, first, second string) (letters, offset string, ok bool) {
	switch text {
	case "center":
		return "", "0", true
	case "left", "top":
		text = "0"
	case "right", "bottom":
		text = "-0"
	}
	m := offsetPattern.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	n, _ := strconv.Atoi(m[2]) // The pattern bounds it.
	offset = strconv.Itoa(n)
	if m[3] != "" {
		offset = short(float64(n) / 100)
	}
	if m[1] != "" {
		first = second
	}
	return first, offset, m[3] == "" || n < 100 // A share of 1 would be a pixel.
}

// percent is a number from 0 to 100.
func percent(text string) (float64, bool) {
	n, ok := number([]string{text}, 0)
	return n, ok && n <= 100 && strings.Trim(text, "0123456789.") == ""
}
