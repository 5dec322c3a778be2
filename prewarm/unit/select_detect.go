package unit

import (
	"strings"
	"unicode"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// imageWords are what one of the words of a key begins or ends with, if the key looks like that of an image.
var imageWords = []string{"image", "img", "photo", "pic", "thumb", "url", "src"}

// imageExtensions are the names that image files end with, those of formats that we do not read included: an answer
// that says so is better than silence.
var imageExtensions = map[string]bool{
	"jpg": true, "jpeg": true, "jpe": true, "jfif": true, "pjpeg": true, "png": true, "apng": true, "gif": true, "webp": true, "avif": true,
	"heic": true, "heif": true, "bmp": true, "dib": true, "tif": true, "tiff": true, "svg": true, "jxl": true,
}

// hint is how much a key says that an image stands under it.
type hint int8

const (
	noHint     hint = iota
	weakHint        // it may be an address of anything: url, src, PRODUCTIMG; or only a key further around looks like that of an image
	strongHint      // one of its words is that for an image
)

// imageNames are the words that say image and nothing else.
var imageNames = map[string]bool{"image": true, "img": true, "photo": true, "pic": true, "picture": true, "thumb": true, "thumbnail": true}

// hintOf reads a key: image_1, photoUrl, thumbnails are strong hints; avatar_url, PRODUCTIMG weak ones.
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

// under is the hint at a value whose key has the hint h, in an object at which around is the hint: the url in an image
// is that image's, and anything else in it is only near one.
func (h hint) under(around hint) hint {
	if h == weakHint && around == strongHint {
		return strongHint
	}
	if h == noHint && around != noHint {
		return weakHint
	}
	return h
}

// words cuts a key at everything but letters, and before a capital after a small letter; in lower case.
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

// hasImageExtension reports whether the last segment of a URL's path ends like the name of an image file.
func hasImageExtension(u string) bool {
	if i := strings.IndexAny(u, "?#"); i >= 0 {
		u = u[:i]
	}
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		_, rest, _ = strings.Cut(u, ":") // An alias
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 {
		return false
	}
	name := strings.TrimRight(rest[slash+1:], " ")
	dot := strings.LastIndexByte(name, '.')
	return dot >= 0 && imageExtensions[strings.ToLower(name[dot+1:])]
}

// isText reports whether a string that begins with a URL goes on as a text: "http://a.example/x.jpg and http://..."
// A file name may hold blanks, but then the whole ends like one.
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

// detect says whether a string is the URL of an image by its looks, and whether that is more than a guess: its name
// ends like an image's, or its key says so.
func detect(s string, at hint, names *naming.Names) (found, sure bool) {
	s = strings.TrimSpace(s)
	if !names.Begins(s) || isText(s) {
		return false, false
	}
	named := hasImageExtension(s)
	return named || at != noHint, named || at == strongHint
}

// sourceOf is a found value as it is to be fetched, or, with the kind of its fault, what may be shown of it: nothing of
// a value that does not look like a URL, for that may be anybody's text.
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

// holdsJSON reports whether a string may hold a JSON object or array itself.
func holdsJSON(s string) bool {
	s = strings.TrimSpace(s)
	if len(s) < 2 {
		return false
	}
	return s[0] == '{' && s[len(s)-1] == '}' || s[0] == '[' && s[len(s)-1] == ']'
}
