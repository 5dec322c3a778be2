package unit

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/goldcrest/goldcrest/fault"
)

// place is where an image is in a text: the JSON string at text[start:end].
type place struct {
	start, end int
	image      int     // index in Unit.Images; unused if inner is set
	inner      []place // the string itself contains JSON: places in its decoded text
}

// Replace writes the unit's data with its images, by index, replaced by values that are encoded as JSON. Images for
// which by returns nil, and all other bytes, stay as posted. Only a string that contains JSON with an image is encoded
// again around that image.
func (u Unit) Replace(w io.Writer, by func(image int) any) error {
	return splice(w, u.Data, u.places, func(image int) ([]byte, error) {
		if to := by(image); to != nil {
			return compact(to)
		}
		return nil, nil
	})
}

// splice copies text and replaces the strings at its places; a nil replacement leaves the string as it is.
func splice(w io.Writer, text []byte, places []place, replace func(image int) ([]byte, error)) error {
	done := 0
	for _, p := range places {
		to, err := p.replacement(text, replace)
		if err != nil {
			return err
		}
		if to == nil {
			continue
		}
		for _, part := range [][]byte{text[done:p.start], to} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		done = p.end
	}
	_, err := w.Write(text[done:])
	return err
}

func (p place) replacement(text []byte, replace func(image int) ([]byte, error)) ([]byte, error) {
	if p.inner == nil {
		return replace(p.image)
	}
	old := []byte(decodeString(text[p.start:p.end]))
	var changed bytes.Buffer
	if err := splice(&changed, old, p.inner, replace); err != nil || bytes.Equal(changed.Bytes(), old) {
		return nil, err
	}
	return compact(changed.String())
}

// compact encodes v without HTML escapes: a URL keeps its "&".
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fault.New(fault.Internal, "unit.Rewrite", "an image's replacement cannot be written as JSON", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
