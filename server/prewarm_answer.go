package server

import (
	"bufio"
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/variant"
)

// acceptedUnit is one unit in the answer to a prewarm call. What is not known is null.
type acceptedUnit struct {
	Index  int                 `json:"index"`
	Line   *int                `json:"line,omitempty"`
	ID     string              `json:"id"`
	Error  *prewarm.UnitError  `json:"error"`
	Note   *prewarm.UnitNote   `json:"note,omitempty"`
	Images []acceptedImage     `json:"images"`
	Budget *prewarm.UnitBudget `json:"budget,omitempty"`
	Data   json.RawMessage     `json:"data,omitempty"`
}

type acceptedImage struct {
	Pointer  string            `json:"pointer"`
	Source   string            `json:"source"`
	State    prewarm.State     `json:"state"`
	Reason   *fault.Kind       `json:"reason"`
	Variants []acceptedVariant `json:"variants"`
}

type acceptedVariant struct {
	Name   string          `json:"name"`
	Format *variant.Format `json:"format"`
	URL    *string         `json:"url"`
	State  prewarm.State   `json:"state"`
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

// writeAccepted sends the answer unit by unit: that to a large call has some ten megabytes, which need not be in memory twice.
func writeAccepted(c echo.Context, status int, a prewarm.Accepted) error {
	head, err := json.Marshal(struct {
		Job    *string        `json:"job"`
		State  prewarm.State  `json:"state"`
		Counts prewarm.Counts `json:"counts"`
	}{orNull(a.Job.ID), a.Job.State, a.Job.Counts})
	if err != nil {
		return err
	}
	out := newRows(c, status, string(head[:len(head)-1])+`,"units":[`)
	for u, err := range a.Units {
		if err == nil {
			err = out.add(unitAnswer(u))
		}
		if err != nil {
			return out.cut(err)
		}
	}
	return out.end("]}\n")
}

// rows writes a JSON document with a long array row by row, so that it is never in memory as a whole.
type rows struct {
	c     echo.Context
	out   *bufio.Writer
	enc   *json.Encoder
	begun bool // there is a row
}

// newRows begins a document with the text before its rows. Nothing is sent before the buffer is full: until then an error is answered as any other.
func newRows(c echo.Context, status int, before string) *rows {
	w := c.Response()
	w.Header().Set("Content-Type", "application/json")
	w.Status = status
	r := &rows{c: c, out: bufio.NewWriterSize(w, 64<<10)}
	r.enc = json.NewEncoder(r.out)
	r.enc.SetEscapeHTML(false)
	_, _ = r.out.WriteString(before) // A failed write shows at the next one.
	return r
}

func (r *rows) add(row any) error {
	if r.begun {
		_ = r.out.WriteByte(',')
	}
	r.begun = true
	return r.enc.Encode(row)
}

func (r *rows) end(after string) error {
	_, _ = r.out.WriteString(after)
	return r.out.Flush()
}

// cut ends a document that cannot be ended: once its beginning is sent, the caller must see that the rest is missing.
func (r *rows) cut(err error) error {
	if !r.c.Response().Committed {
		return err
	}
	k := callOf(r.c)
	k.kind, k.cause = fault.KindOf(err), err // For the log; an answer is no longer possible.
	panic(http.ErrAbortHandler)
}

func unitAnswer(u prewarm.AcceptedUnit) acceptedUnit {
	out := acceptedUnit{Index: u.Index, Line: orNull(u.Line), ID: u.ID, Error: u.Err, Note: u.Note, Images: []acceptedImage{}, Budget: u.Budget, Data: u.Data}
	for _, i := range u.Images {
		image := acceptedImage{Pointer: i.Pointer, Source: i.Source, State: i.State, Reason: orNull(i.Reason), Variants: make([]acceptedVariant, len(i.Variants))}
		for n, v := range i.Variants {
			image.Variants[n] = acceptedVariant{
				Name: v.Name, Format: orNull(v.Format), URL: orNull(v.URL), State: v.State,
				Bytes: orNull(v.Bytes), Width: orNull(v.Width), Height: orNull(v.Height),
			}
		}
		out.Images = append(out.Images, image)
	}
	return out
}
