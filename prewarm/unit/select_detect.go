package unit

import (
	"strings"
	"unicode"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// imageWords are prefixes and suffixes of words in keys that may be those of an image.
var imageWords = []string{"image", "img", "photo", "pic", "thumb", "url", "src"}

// imageExtensions are the extensions of image files. They include formats that cannot be read: a verdict that says so
// is better than silence.
var imageExtensions = map[string]bool{
	"jpg": true, "jpeg": true, "jpe": true, "jfif": true, "pjpeg": true, "png": true, "apng": true, "gif": true, "webp": true, "avif": true,
	"heic": true, "heif": true, "bmp": true, "dib": true, "tif": true, "tiff": true, "svg": true, "jxl": true,
}

// hint is how strongly a key suggests that its value is an image.
type hint int8

const (
	noHint     hint = iota
	weakHint        // any URL, as in url, src, PRODUCTIMG; or only a key further out looks like an image's
	strongHint      // one of its words means image
)

// imageNames are the words that mean image and nothing else.
var imageNames = map[string]bool{"image": true, "img": true, "photo": true, "pic": true, "picture": true, "thumb": true, "thumbnail": true}

// hintOf returns the hint of a key: strong for image_1, photoUrl, thumbnails; weak for avatar_url, PRODUCTIMG.
func hintOf(key string) (h hint) {
	for _, word := range words(key) {
		word = strings.TrimSuffix(word, "s")
		if imageNames[word] {
			return strongHint
		}
		for _, w := range imageWords {
			if strings.HasPrefix(word, w) || strings.HasSuffix(word, w) {
				h = weakHint
			}
		}
	}
	return h
}

// under combines the hint h of a key with the hint around of the enclosing object: the url in an image object is that
// image's URL, while other values in it get only a weak hint.
func (h hint) under(around hint) hint {
	if h == weakHint && around == strongHint {
		return strongHint
	}
	if h == noHint && around != noHint {
		return weakHint
	}
	return h
}

// words splits a key at everything but letters, and before a capital after a small letter, into lower-case words.
func words(key string) []string {
	var b strings.Builder
	small := false
	for _, r := range key {
		if unicode.IsUpper(r) && small {
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		if !unicode.IsLetter(r) {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}

// hasImageExtension reports whether the last segment of a URL's path has the extension of an image file.
func hasImageExtension(u string) bool {
	if i := strings.IndexAny(u, "?#"); i >= 0 {
		u = u[:i]
	}
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		_, rest, _ = strings.Cut(u, ":") // an alias
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 {
		return false
	}
	name := strings.TrimRight(rest[slash+1:], " ")
	dot := strings.LastIndexByte(name, '.')
	return dot >= 0 && imageExtensions[strings.ToLower(name[dot+1:])]
}

// isText reports whether a string that begins with a URL continues as text, as in "http://a.example/x.jpg and
// http://...". A file name may contain spaces, but then the whole string ends in an extension.
func isText(s string) bool {
	if strings.ContainsAny(s, "<>\"\t\r\n") {
		return true
	}
	i := strings.IndexFunc(s, unicode.IsSpace)
	if i < 0 {
		return false
	}
	host := strings.Index(s, "://") + len("://")
	return i < host || i < host+strings.IndexByte(s[host:], '/') || strings.Contains(s[i:], ":/") ||
		!hasImageExtension(s)
}

// detect reports whether a string looks like the URL of an image, and whether that is sure: its name has an image
// extension, or its key means image.
func detect(s string, at hint, names *naming.Names) (found, sure bool) {
	s = strings.TrimSpace(s)
	if !names.Begins(s) || isText(s) {
		return false, false
	}
	named := hasImageExtension(s)
	return named || at != noHint, named || at == strongHint
}

// sourceOf returns the source to fetch for a value that was found. For an invalid value it returns the fault and what
// may be shown of it: nothing if it does not look like a URL, because it may be any text.
func sourceOf(s string, names *naming.Names) (source string, bad fault.Kind) {
	s = strings.TrimSpace(s)
	source, err := names.Source(s)
	if err == nil {
		source, err = variant.ParseSource(source)
	}
	if err == nil {
		return source, ""
	}
	const shown = 2048
	if len(s) > shown || !strings.Contains(s, "/") || strings.ContainsFunc(s, unicode.IsSpace) || strings.HasPrefix(strings.ToLower(s), "data:") {
		s = ""
	}
	return s, fault.BadSource
}

// holdsJSON reports whether a string may contain a JSON object or array.
func holdsJSON(s string) bool {
	s = strings.TrimSpace(s)
	if len(s) < 2 {
		return false
	}
	return s[0] == '{' && s[len(s)-1] == '}' || s[0] == '[' && s[len(s)-1] == ']'
}
