package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// acceptedUnit is one unit in the response to a prewarm call, up to its images. Unknown values are null.
type acceptedUnit struct {
	Index int         `json:"index"`
	Line  *int        `json:"line,omitempty"`
	ID    string      `json:"id"`
	Error *unit.Error `json:"error"`
	Note  *unit.Note  `json:"note,omitempty"`
}

type acceptedImage struct {
	Pointer  string            `json:"pointer"`
	Source   string            `json:"source"`
	State    ledger.State      `json:"state"`
	Reason   *fault.Kind       `json:"reason"`
	Variants []acceptedVariant `json:"variants"`
}

type acceptedVariant struct {
	Name   string          `json:"name"`
	Format *variant.Format `json:"format"`
	URL    *string         `json:"url"`
	State  ledger.State    `json:"state"`
	Bytes  *int64          `json:"bytes"`
	Width  *int            `json:"width"`
	Height *int            `json:"height"`
}

// orNull is nil for the zero value, which JSON shows as null.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// writeAccepted writes the response image by image: it may have fifty megabytes, perhaps for one unit.
func writeAccepted(c echo.Context, status int, a prewarm.Accepted) error {
	head, err := json.Marshal(struct {
		Job    *string       `json:"job"`
		State  ledger.State  `json:"state"`
		Counts ledger.Counts `json:"counts"`
	}{orNull(a.Job.ID), a.Job.State, a.Job.Counts})
	if err != nil {
		return err
	}
	out := newRows(c, status, string(head[:len(head)-1])+`,"units":[`)
	for u := range a.Units {
		if err := writeUnit(out, u); err != nil {
			return out.cut(err)
		}
	}
	return out.end("]}\n")
}

func writeUnit(out *rows, u prewarm.AcceptedUnit) error {
	err := out.open(acceptedUnit{Index: u.Index, Line: orNull(u.Line), ID: u.ID, Error: u.Err, Note: u.Note}, "images")
	if u.Images != nil {
		for i := range u.Images {
			if err == nil {
				err = out.add(imageAnswer(i))
			}
			if err != nil {
				return err
			}
		}
	}
	if err == nil {
		err = out.close()
	}
	if err == nil && u.Budget != nil {
		_ = out.text(`,"budget":`)
		err = out.enc.Encode(u.Budget)
	}
	if err == nil && u.Data != nil {
		_ = out.text(`,"data":`)
		err = u.Data(out.out)
	}
	if err != nil {
		return err
	}
	return out.text("}")
}

// rows writes a JSON document with a long array row by row, so that it is never in memory as a whole.
type rows struct {
	c     echo.Context
	out   *bufio.Writer
	enc   *json.Encoder
	begun bool // a row was written
}

// newRows begins a document with the text before its rows. Nothing is sent before the buffer is full: until then an
// error can still be sent as usual.
func newRows(c echo.Context, status int, before string) *rows {
	w := c.Response()
	w.Header().Set("Content-Type", "application/json")
	w.Status = status
	r := &rows{c: c, out: bufio.NewWriterSize(w, 64<<10)}
	r.enc = json.NewEncoder(r.out)
	r.enc.SetEscapeHTML(false)
	_, _ = r.out.WriteString(before) // a failed write is reported by the next one
	return r
}

func (r *rows) add(row any) error {
	if r.begun {
		_ = r.out.WriteByte(',')
	}
	r.begun = true
	return r.enc.Encode(row)
}

// open begins a row that is an object whose last field is a list: the rows from here to close are in that list.
func (r *rows) open(object any, list string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		return err
	}
	if r.begun {
		_ = r.out.WriteByte(',')
	}
	r.begun = false
	return r.text(strings.TrimSuffix(text.String(), "}\n") + `,"` + list + `":[`)
}

// close ends the list.
func (r *rows) close() error {
	r.begun = true
	return r.text("]")
}

func (r *rows) text(text string) error {
	_, err := r.out.WriteString(text)
	return err
}

func (r *rows) end(after string) error {
	_, _ = r.out.WriteString(after)
	return r.out.Flush()
}

// cut aborts a document: once its beginning is sent, the caller must see that the rest is missing.
func (r *rows) cut(err error) error {
	if !r.c.Response().Committed {
		return err
	}
	k := exchange.CallOf(r.c)
	k.Fail(fault.KindOf(err), err) // for the log; a response is no longer possible
	panic(http.ErrAbortHandler)
}

func imageAnswer(i prewarm.AcceptedImage) acceptedImage {
	image := acceptedImage{Pointer: i.Pointer, Source: i.Source, State: i.State, Reason: orNull(i.Reason), Variants: make([]acceptedVariant, len(i.Variants))}
	for n, v := range i.Variants {
		image.Variants[n] = acceptedVariant{
			Name: v.Name, Format: orNull(v.Format), URL: orNull(v.URL), State: v.State,
			Bytes: orNull(v.Bytes), Width: orNull(v.Width), Height: orNull(v.Height),
		}
	}
	return image
}
