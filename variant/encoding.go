package variant

import (
	"encoding/hex"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goldcrest/goldcrest/variant/naming"
)

func quality(s string, to *uint8) error {
	n, err := whole("quality", s, 100)
	*to = uint8(n)
	return err
}

func applyFormatQuality(r *reading, args []string) error {
	if len(args)%2 != 0 {
		return bad("it takes pairs of a format and a quality")
	}
	q := r.spec.FormatQuality
	for i := 0; i < len(args); i += 2 {
		f, err := format(args[i])
		if err != nil {
			return err
		}
		if err := quality(args[i+1], q.of(f)); err != nil {
			return err
		}
	}
	r.spec.FormatQuality = q
	return nil
}

// of returns the quality of f.
func (q *Qualities) of(f Format) *uint8 {
	switch f {
	case PNG:
		return &q.PNG
	case WebP:
		return &q.WebP
	case AVIF:
		return &q.AVIF
	case GIF:
		return &q.GIF
	case JXL:
		return &q.JXL
	}
	return &q.JPEG
}

// otherFormats are imgproxy's formats that this server does not write.
var otherFormats = map[string]bool{"best": true, "bmp": true, "heic": true, "ico": true, "mp4": true, "pdf": true,
	"psd": true, "svg": true, "tiff": true}

func format(name string) (Format, error) {
	f, ok := ParseFormat(name)
	switch {
	case ok:
		return f, nil
	case otherFormats[strings.ToLower(name)]:
		return Open, unsupported("format %q cannot be written; take jpg, png, webp, avif, jxl or gif", name)
	}
	return Open, bad("the format is none of jpg, png, webp, avif, jxl, gif")
}

func applyFormat(r *reading, args []string) (err error) {
	r.spec.Format, err = format(args[0])
	return err
}

// maxCount bounds sizes in bytes and the like.
const maxCount = math.MaxInt32

// applyAutoQuality supports the methods "size" (bytes, lowest and highest quality: by default 10 and 90) and "none".
func applyAutoQuality(r *reading, args []string) error {
	switch args[0] {
	case "none":
		if len(args) > 1 {
			return bad("none has no further arguments")
		}
		r.spec.AutoSize = AutoSize{}
		return nil
	case "size":
	case "dssim", "ml":
		return unsupported("its only methods are size and none")
	default:
		return bad("its only methods are size and none")
	}
	n, err := whole("the size", arg(args, 1), maxCount)
	if err != nil {
		return err
	}
	a := AutoSize{Bytes: int(n), Min: 10, Max: 90}
	for i, to := range []*uint8{&a.Min, &a.Max} {
		if s := arg(args, 2+i); s != "" {
			if err := quality(s, to); err != nil {
				return err
			}
		}
	}
	if a.Bytes == 0 || a.Min == 0 || a.Min > a.Max {
		return bad("it takes size, bytes, and a lowest and a highest quality from 1 to 100")
	}
	r.spec.AutoSize = a
	return nil
}

func applyCacheBuster(r *reading, args []string) error {
	if s := args[0]; len(s) > 256 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("?#", c) }) {
		return bad("it takes at most 256 visible ASCII characters")
	}
	r.spec.CacheBuster = args[0]
	return nil
}

// lastExpiry is the end of the year 9999.
const lastExpiry = 253402300799

func applyExpires(r *reading, args []string) error {
	n, err := whole("the time", args[0], lastExpiry)
	if err == nil && n == 0 {
		err = bad("the time is in seconds since 1970 and not 0")
	}
	if err == nil {
		r.terms.Expires = time.Unix(n, 0).UTC()
	}
	return err
}

func applyFilename(r *reading, args []string) error {
	name, err := url.PathUnescape(args[0])
	ok := err == nil
	if s := arg(args, 1); s != "" {
		encoded, err := truth("the second argument", s)
		if err != nil {
			return err
		}
		if encoded {
			name, ok = naming.Decode64(args[0])
		}
	}
	odd := func(c rune) bool { return c == '/' || c == '\\' || !unicode.IsPrint(c) }
	if !ok || len(name) > 200 || !utf8.ValidString(name) || strings.Trim(name, ".") == "" && name != "" || strings.ContainsFunc(name, odd) {
		return bad("it takes a plain file name of at most 200 bytes")
	}
	r.terms.Filename = name
	return nil
}

func applyFallback(r *reading, args []string) error {
	if args[0] == "" {
		r.spec.Fallback = ""
		return nil
	}
	raw, ok := naming.Decode64(args[0])
	if !ok {
		return bad("the URL must be in URL-safe base64")
	}
	source, err := ParseSource(raw)
	if err != nil {
		return bad("it needs an http or https URL with a host and no user name")
	}
	r.spec.Fallback = source
	return nil
}

// hashLengths are the digits of each hashsum.
var hashLengths = map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}

func applyHashsum(r *reading, args []string) error {
	if args[0] == "none" {
		r.spec.HashType, r.spec.HashSum = "", ""
		return nil
	}
	digits, ok := hashLengths[args[0]]
	if !ok {
		return bad("the type is none of md5, sha1, sha256, sha512, none")
	}
	sum := strings.ToLower(arg(args, 1))
	if _, err := hex.DecodeString(sum); err != nil || len(sum) != digits {
		return bad("a %s sum has %d hexadecimal digits", args[0], digits)
	}
	r.spec.HashType, r.spec.HashSum = args[0], sum
	return nil
}

func applyCacheTags(r *reading, args []string) error {
	for _, tag := range args {
		odd := func(c rune) bool { return c > '~' || !naming.Alphanumeric(byte(c)) && !strings.ContainsRune("-_.", c) }
		if tag == "" || len(tag) > 64 || strings.ContainsFunc(tag, odd) {
			return bad("a tag has 1 to 64 letters, digits, '-', '_' and '.'")
		}
	}
	r.terms.CacheTags = args
	return nil
}

// netWords are the URL's words, indexed by Net.
var netWords = [...]string{NetDefault: "", NetAuto: "auto", Net2G: "2g", Net3G: "3g", Net4G: "4g", NetWifi: "wifi"}

// legibleWords are the URL's words, indexed by Legibility.
var legibleWords = [...]string{LegibleAuto: "auto", LegibleNo: "0", LegibleYes: "1"}
