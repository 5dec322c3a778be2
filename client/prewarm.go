package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Call is one prewarm call: Data Units, or plain image URLs, and the variants to make.
type Call struct {
	Units []Unit
	URLs  []string // plain sources, instead of units

	Variants []Variant     // nil = the server's default presets
	Select   []string      // where images are, by JSONPath or JSON Pointer; nil = the default, else detected
	Budget   int64         // bytes for the images of one unit together, in each variant and format; 0 = no limit
	Priority string        // "low", "normal" or "high"; "" = normal
	Deadline time.Time     // variants that are not made by then expire; zero = never
	TTL      time.Duration // lifetime of the signed URLs; 0 = for ever
	Round    time.Duration // the expiry is rounded up to a multiple of it, so that viewers share URLs; 0 = a day
	Tags     []string      // for finding and purging the job's pictures later
	Return   string        // "none", "urls", "rewritten" or "enriched"; "" = urls
	Callback *Callback     // notified of the job's events
	Again    bool          // fetch sources known to be broken again; else they stay broken for an hour

	// Key makes the call safe to repeat: the same key with the same body gives the same job. Use something that
	// survives a restart of the caller, such as a task's id. "" = a random one, which covers only the retries of this
	// call.
	Key string
	// Wait is how long the server may delay its response to include verdicts, up to a minute. 0 = none.
	Wait time.Duration
}

// Unit is one Data Unit.
type Unit struct {
	ID       string          `json:"id,omitempty"` // "" = the one in Data, or one assigned by the server
	Data     json.RawMessage `json:"data"`         // a JSON object
	Variants []Variant       `json:"variants,omitempty"`
	Select   []string        `json:"select,omitempty"`
	Budget   int64           `json:"budget,omitempty"` // bytes of this unit alone; 0 = the call's
}

// Variant is a preset by name, or options ("rs:fit:720:0/f:webp") under a name of the caller's choice.
type Variant struct {
	Name    string `json:"name"`
	Options string `json:"options"`
}

// MarshalJSON writes only the name if there are no options.
func (v Variant) MarshalJSON() ([]byte, error) {
	if v.Options == "" {
		return json.Marshal(v.Name)
	}
	type plain Variant // without this method
	return json.Marshal(plain(v))
}

// Callback says where to send which events: "job.done", "image.broken".
type Callback struct {
	URL    string   `json:"url"`
	Events []string `json:"events,omitempty"`
}

// Accepted is the result of a Call: every unit is on disk, and the URLs work at once.
type Accepted struct {
	Job    string         `json:"job"`
	State  string         `json:"state"`
	Counts Counts         `json:"counts"`
	Units  []AcceptedUnit `json:"units"`
}

// AcceptedUnit is the result for one unit.
type AcceptedUnit struct {
	Index  int             `json:"index"`
	Line   int             `json:"line"` // of an NDJSON body; 0 otherwise
	ID     string          `json:"id"`
	Error  *UnitError      `json:"error"` // nil: the unit was accepted
	Note   *UnitNote       `json:"note"`  // nil: there is none
	Images []AcceptedImage `json:"images"`
	Budget *UnitBudget     `json:"budget"` // nil: the unit has none
	Data   json.RawMessage `json:"data"`   // with Return "rewritten" or "enriched"
}

// UnitBudget is the use of a unit's budget.
type UnitBudget struct {
	Bytes int64  `json:"bytes"` // for all images of the unit, in one variant and format
	Share int64  `json:"share"` // of each image
	Used  *int64 `json:"used"`  // in the variant and format that takes most; nil = not all are known yet
	Over  bool   `json:"over"`  // more is used than allowed
}

// UnitError says why one unit was refused; the others of its call were accepted.
type UnitError struct {
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	Pointer string `json:"pointer"`
}

// UnitNote says that an accepted unit may be a mistake: no image was found in it.
type UnitNote struct {
	Code   string `json:"code"` // no_images or nothing_selected
	Detail string `json:"detail"`
}

// AcceptedImage is one image of a unit.
type AcceptedImage struct {
	Pointer  string            `json:"pointer"` // its place in the unit
	Source   string            `json:"source"`
	State    string            `json:"state"`  // pending, made, present, broken, failed, skipped, cancelled, expired
	Reason   string            `json:"reason"` // a code, if it is broken, failed or skipped
	Variants []AcceptedVariant `json:"variants"`
}

// AcceptedVariant is one variant of an image under its final URL.
type AcceptedVariant struct {
	Name   string `json:"name"`
	Format string `json:"format"` // "" = the client's Accept header decides
	URL    string `json:"url"`
	State  string `json:"state"`
	Bytes  int64  `json:"bytes"` // 0 = not known yet
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// envelope is the body of a prewarm or check call.
type envelope struct {
	Variants []Variant  `json:"variants,omitempty"`
	Select   []string   `json:"select,omitempty"`
	Budget   int64      `json:"budget,omitempty"`
	Priority string     `json:"priority,omitempty"`
	Deadline *time.Time `json:"deadline,omitempty"`
	TTL      string     `json:"ttl,omitempty"`
	Round    string     `json:"round,omitempty"`
	Tags     []string   `json:"tags,omitempty"`
	Return   string     `json:"return,omitempty"`
	Callback *Callback  `json:"callback,omitempty"`
	Again    bool       `json:"again,omitempty"`
	Units    []Unit     `json:"data_units,omitempty"`
	URLs     []string   `json:"urls,omitempty"`
	Wrapped  bool       `json:"wrapped,omitempty"` // every unit is wrapped, so no field in its Data counts as one of the call
	Keys     []string   `json:"keys,omitempty"`
}

// Prewarm posts a call. A nil error means that it is on the server's disk and survives a crash.
func (a *API) Prewarm(ctx context.Context, c Call) (Accepted, error) {
	if (len(c.Units) == 0) == (len(c.URLs) == 0) {
		return Accepted{}, errors.New("client: a prewarm call has either units or URLs")
	}
	e := envelope{
		Variants: c.Variants, Select: c.Select, Budget: c.Budget, Priority: c.Priority, TTL: duration(c.TTL), Round: duration(c.Round), Tags: c.Tags,
		Return: c.Return, Callback: c.Callback, Again: c.Again, Units: c.Units, URLs: c.URLs, Wrapped: len(c.Units) > 0,
	}
	if !c.Deadline.IsZero() {
		e.Deadline = &c.Deadline
	}
	r, err := jsonRequest("/v1/prewarm", e)
	if err != nil {
		return Accepted{}, err
	}
	r.query = url.Values{"body": {"envelope"}}
	return a.post(ctx, r, c)
}

// PrewarmLines posts units as they are, one JSON value a line: nothing in them is read as a field of the call. A line
// that cannot be parsed gets an error in the result; the others are accepted. Units and URLs of the call must be empty;
// variants by options and callbacks need Prewarm.
func (a *API) PrewarmLines(ctx context.Context, lines []byte, c Call) (Accepted, error) {
	r := request{method: http.MethodPost, path: "/v1/prewarm", body: lines, header: http.Header{"Content-Type": {"application/x-ndjson"}}, query: url.Values{"body": {"units"}}}
	var names []string
	for _, v := range c.Variants {
		if v.Options != "" {
			return Accepted{}, errors.New("client: variants of lines are names of presets")
		}
		names = append(names, v.Name)
	}
	if c.Callback != nil || len(c.Units) > 0 || len(c.URLs) > 0 {
		return Accepted{}, errors.New("client: a call of lines has no units, URLs or callback beside them")
	}
	for name, value := range map[string]string{
		"variants": strings.Join(names, ","), "priority": c.Priority, "ttl": duration(c.TTL), "round": duration(c.Round), "return": c.Return,
	} {
		if value != "" {
			r.query.Set(name, value)
		}
	}
	if !c.Deadline.IsZero() {
		r.query.Set("deadline", c.Deadline.UTC().Format(time.RFC3339))
	}
	if c.Budget > 0 {
		r.query.Set("budget", strconv.FormatInt(c.Budget, 10))
	}
	if c.Again {
		r.query.Set("again", "true")
	}
	r.query["select"], r.query["tag"] = c.Select, c.Tags
	return a.post(ctx, r, c)
}

// post sends a prewarm request with the headers for c.
func (a *API) post(ctx context.Context, r request, c Call) (Accepted, error) {
	if c.Key == "" {
		c.Key = newKey()
	}
	r.header.Set("Idempotency-Key", c.Key)
	if c.Wait > 0 {
		r.header.Set("Prefer", "wait="+wholeSeconds(c.Wait))
	}
	var out Accepted
	err := a.fetch(ctx, r, &out)
	return out, err
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// wholeSeconds rounds up: a wait of less than a second is one second.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
