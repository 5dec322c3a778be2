package prewarm

import (
	"bytes"
	"encoding/json"

	"github.com/goldcrest/goldcrest/fault"
)

// place is where an image stands in a text: the JSON string at text[start:end].
type place struct {
	start, end int
	image      int     // index in Unit.Images; unused where inner is set
	inner      []place // the string holds JSON itself: places in its decoded text
}

// Rewrite gives the unit's data with its images replaced by URLs, by source. Every other byte stays as it was posted, images
// whose source has no URL too. Only a string that holds JSON and an image in it is written anew around that image.
func (u Unit) Rewrite(urls map[string]string) (json.RawMessage, error) {
	return splice(u.Data, u.places, func(image int) ([]byte, error) {
		if to, ok := urls[u.Images[image].Source]; ok {
			return compact(to)
		}
		return nil, nil
	})
}

// Enrich gives the unit's data with its images replaced by JSON values, by source; see Rewrite.
func (u Unit) Enrich(objects map[string]any) (json.RawMessage, error) {
	return splice(u.Data, u.places, func(image int) ([]byte, error) {
		if to, ok := objects[u.Images[image].Source]; ok {
			return compact(to)
		}
		return nil, nil
	})
}

// splice copies text with the strings at its places replaced; a nil replacement leaves the string as it is.
func splice(text []byte, places []place, replace func(image int) ([]byte, error)) ([]byte, error) {
	out, done := make([]byte, 0, len(text)), 0
	for _, p := range places {
		to, err := p.replacement(text, replace)
		if err != nil {
			return nil, err
		}
		if to != nil {
			out = append(append(out, text[done:p.start]...), to...)
			done = p.end
		}
	}
	return append(out, text[done:]...), nil
}

func (p place) replacement(text []byte, replace func(image int) ([]byte, error)) ([]byte, error) {
	if p.inner == nil {
		return replace(p.image)
	}
	old := []byte(decodeString(text[p.start:p.end]))
	changed, err := splice(old, p.inner, replace)
	if err != nil || bytes.Equal(changed, old) {
		return nil, err
	}
	return compact(string(changed))
}

// compact encodes v without the escapes that only HTML needs: a URL keeps its "&".
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fault.New(fault.Internal, "prewarm.Rewrite", "an image's replacement cannot be written as JSON", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
