package server

import (
	"bufio"
	"encoding/json"

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
	w := c.Response()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	out := bufio.NewWriterSize(w, 64<<10)
	_, _ = out.Write(head[:len(head)-1]) // A failed write shows at Flush.
	_, _ = out.WriteString(`,"units":[`)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	first := true
	for _, u := range a.Units {
		if !first {
			_ = out.WriteByte(',')
		}
		first = false
		if err := enc.Encode(unitAnswer(u)); err != nil {
			return err
		}
	}
	_, _ = out.WriteString("]}\n")
	return out.Flush()
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
