package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/goldcrest/goldcrest/fault"
)

// Call is a call in the predecessor's format: pictures to fetch, and the keys under which to write them.
type Call struct {
	Bucket  string
	Quality int     // 1..100
	Images  []Image // keys are unique
}

// Image is one picture of a Call.
type Image struct{ Key, Source string }

const defaultQuality = 90 // if a call has none

// Parse parses {"key_urls_map": {"<key>": "<url>"}, "quality": 90, "bucket_name": "b"} strictly: no other fields, no
// duplicates, no other types. maxBody and maxImages bound it. Faults: body_too_large, bad_unit. URLs are not validated:
// a bad one is a broken picture, not a broken call.
func Parse(body io.Reader, maxBody int64, maxImages int) (Call, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return Call{}, bad("the body could not be read", err)
	}
	if int64(len(text)) > maxBody {
		return Call{}, fault.New(fault.BodyTooLarge, "compat.ParseCompat", fmt.Sprintf("the body is larger than %d bytes", maxBody), nil)
	}
	if !utf8.Valid(text) { // the decoder would replace invalid bytes, and so change keys
		return Call{}, bad("the body is not valid UTF-8", nil)
	}
	p := parser{dec: json.NewDecoder(bytes.NewReader(text)), maxImages: maxImages, seen: map[string]bool{}}
	p.dec.UseNumber()
	p.call.Quality = defaultQuality
	if err := p.object(p.field); err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return Call{}, err
		}
		return Call{}, bad("the body is not the JSON object expected", err)
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return Call{}, bad("something follows the JSON object", nil)
	}
	if p.call.Bucket == "" || !p.seen["key_urls_map"] {
		return Call{}, bad("key_urls_map and bucket_name are needed", nil)
	}
	return p.call, nil
}

func bad(public string, cause error) error {
	return fault.New(fault.BadUnit, "compat.ParseCompat", public, cause)
}

// parser reads token by token, because the decoder would accept duplicate names.
type parser struct {
	dec       *json.Decoder
	maxImages int
	call      Call
	seen      map[string]bool // the fields of the call
}

// object parses an object, and calls read for each of its values.
func (p *parser) object(read func(name string) error) error {
	if t, err := p.dec.Token(); err != nil || t != json.Delim('{') {
		return bad("an object is expected", err)
	}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the decoder accepts only strings as names
		if err := read(name); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

func (p *parser) field(name string) error {
	if p.seen[name] {
		return bad("a field stands twice", nil)
	}
	p.seen[name] = true
	switch name {
	case "key_urls_map":
		keys := map[string]bool{}
		return p.object(func(key string) error { return p.image(key, keys) })
	case "quality":
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		n, _ := t.(json.Number)
		if p.call.Quality, err = strconv.Atoi(n.String()); err != nil || p.call.Quality < 1 || p.call.Quality > 100 {
			return bad("quality is not a whole number from 1 to 100", nil)
		}
		return nil
	case "bucket_name":
		var err error
		p.call.Bucket, err = p.text("bucket_name is not a text")
		return err
	}
	return bad("there are only the fields key_urls_map, quality and bucket_name", nil)
}

func (p *parser) image(key string, keys map[string]bool) error {
	if keys[key] {
		return bad("a key stands twice in key_urls_map", nil)
	}
	if len(keys) == p.maxImages {
		return fault.New(fault.BodyTooLarge, "compat.ParseCompat", fmt.Sprintf("key_urls_map has more than %d keys", p.maxImages), nil)
	}
	keys[key] = true
	source, err := p.text("a value of key_urls_map is not a text")
	p.call.Images = append(p.call.Images, Image{Key: key, Source: source})
	return err
}

func (p *parser) text(otherwise string) (string, error) {
	t, err := p.dec.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", bad(otherwise, nil)
	}
	return s, nil
}
