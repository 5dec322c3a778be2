package unit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Bounds on the fields of a call.
const (
	maxVariants    = 32
	maxVariantSize = 1024
	maxCallTags    = 32
	maxTagSize     = 128
)

// badOption is the fault for a field of the call.
func badOption(name, public string) error {
	return fault.New(fault.BadOption, "unit.ParseText", name+": "+public, nil)
}

// queryFields are the fields of a call that a query may contain.
func queryFields() []string {
	return []string{"variants", "select", "budget", "priority", "deadline", "ttl", "round", "again", "tag", "return", "body"}
}

// envelopeFields are the fields that an envelope may contain.
func envelopeFields() []string {
	return []string{"data_units", "urls", "variants", "select", "budget", "priority", "deadline", "ttl", "round", "again", "tags", "return", "callback", "wrapped"}
}

// only refuses unknown names; it reports the first in alphabetical order.
func only[V any](what string, given map[string]V, known []string) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			return fault.New(fault.BadOption, "unit.ParseText", fault.Unknown(what, name, known), nil)
		}
	}
	return nil
}

// fromQuery reads the fields of the call from the query. variants and tag may be repeated or be lists with commas;
// select may be repeated.
func (r *reader) fromQuery(q url.Values) error {
	if err := only("field of the query", q, queryFields()); err != nil {
		return err
	}
	var err error
	if r.body, err = Reading(q, r.rules.Bodies); err != nil {
		return err
	}
	raw := map[string][]byte{}
	for _, name := range []string{"priority", "deadline", "ttl", "round", "return"} {
		if v := q.Get(name); v != "" {
			raw[name], _ = json.Marshal(v) // a string
		}
	}
	for _, name := range []string{"budget", "again"} {
		if v := q.Get(name); v != "" {
			raw[name] = []byte(v)
		}
	}
	for name, from := range map[string]string{"variants": "variants", "tag": "tags"} {
		var list []string
		for _, v := range q[name] {
			list = append(list, strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ' ' })...)
		}
		if len(list) > 0 {
			raw[from], _ = json.Marshal(list)
		}
	}
	if list := slices.DeleteFunc(slices.Clone(q["select"]), func(s string) bool { return s == "" }); len(list) > 0 {
		raw["select"], _ = json.Marshal(list)
	}
	return r.fromEnvelope(raw)
}

// fromEnvelope reads the fields of the call from the envelope; null means absent.
func (r *reader) fromEnvelope(values map[string][]byte) error {
	for _, f := range []struct {
		name string
		take func([]byte) error
	}{
		{"variants", func(b []byte) (err error) { r.call.Variants, err = variantsOf(b); return err }},
		{"budget", func(b []byte) (err error) { r.call.Budget, err = parseBudget(b); return err }},
		{"priority", func(b []byte) error { return oneOf(&r.call.Priority, b, "low", "normal", "high") }},
		{"return", func(b []byte) error { return oneOf(&r.call.Return, b, "none", "urls", "rewritten", "enriched") }},
		{"deadline", func(b []byte) error { return instant(&r.call.Deadline, b) }},
		{"ttl", func(b []byte) error { return duration(&r.call.TTL, b) }},
		{"round", func(b []byte) error { return duration(&r.call.Round, b) }},
		{"again", func(b []byte) error {
			if json.Unmarshal(b, &r.call.Again) != nil {
				return errors.New("neither true nor false")
			}
			return nil
		}},
		{"wrapped", func(b []byte) error {
			if json.Unmarshal(b, &r.wrapped) != nil {
				return errors.New("neither true nor false")
			}
			return nil
		}},
		{"tags", func(b []byte) (err error) { r.call.Tags, err = tagsOf(b); return err }},
		{"callback", func(b []byte) (err error) { r.call.Callback, err = callbackOf(b); return err }},
	} {
		text := values[f.name]
		if len(text) == 0 || bytes.Equal(text, []byte("null")) {
			continue
		}
		if detail := check(text, 0, 0); detail != "" {
			return badOption(f.name, detail)
		}
		if err := f.take(text); err != nil {
			return badOption(f.name, err.Error())
		}
	}
	return r.selectFrom(values["select"])
}

func (r *reader) selectFrom(text []byte) error {
	list, err := stringsOf(text)
	if err == nil && len(list) > 0 {
		r.call.Select = list
		r.asked, err = r.compileAll(list)
	}
	if err != nil {
		return fault.New(fault.BadSelector, "unit.ParseText", "select: "+err.Error(), nil)
	}
	return nil
}

// strictly decodes an object and refuses unknown fields.
func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func instant(to *time.Time, text []byte) error {
	if json.Unmarshal(text, to) != nil {
		return errors.New(`no time such as "2026-11-23T12:00:00Z"`)
	}
	return nil
}

func oneOf(to *string, text []byte, words ...string) error {
	var s string
	if json.Unmarshal(text, &s) != nil || !slices.Contains(words, s) {
		return errors.New("none of " + strings.Join(words, ", "))
	}
	*to = s
	return nil
}

func duration(to *time.Duration, text []byte) error {
	var s string
	err := json.Unmarshal(text, &s)
	if err == nil {
		*to, err = time.ParseDuration(s)
	}
	if err != nil || *to < 0 {
		return errors.New(`no duration such as "168h"`)
	}
	return nil
}

// stringsOf parses a string or a list of strings; an empty text and null are no strings.
func stringsOf(text []byte) ([]string, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var one string
	if text[0] == '"' && json.Unmarshal(text, &one) == nil {
		return []string{one}, nil
	}
	var list []*string
	if json.Unmarshal(text, &list) != nil {
		return nil, errors.New("neither a string nor a list of strings")
	}
	var all []string
	for _, s := range list {
		if s == nil {
			return nil, errors.New("null in a list of strings")
		}
		all = append(all, *s)
	}
	return all, nil
}

func tagsOf(text []byte) ([]string, error) {
	tags, err := stringsOf(text)
	if err != nil {
		return nil, err
	}
	if len(tags) > maxCallTags {
		return nil, fmt.Errorf("more than %d", maxCallTags)
	}
	for _, tag := range tags {
		if tag == "" || len(tag) > maxTagSize || strings.ContainsFunc(tag, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return nil, fmt.Errorf("a tag has 1 to %d bytes and no control characters", maxTagSize)
		}
	}
	return tags, nil
}

// variantsOf parses a list of variants: each is the name of a preset, options (they contain ":"), or {"name",
// "options"}.
func variantsOf(text []byte) ([]VariantAsk, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var list []json.RawMessage
	if text[0] == '"' {
		list = []json.RawMessage{text}
	} else if json.Unmarshal(text, &list) != nil {
		return nil, errors.New("no list of names and of objects with name and options")
	}
	if len(list) > maxVariants {
		return nil, fmt.Errorf("more than %d", maxVariants)
	}
	asks := make([]VariantAsk, len(list))
	for i, v := range list {
		var err error
		if asks[i], err = variantOf(v); err != nil {
			return nil, err
		}
	}
	return asks, nil
}

// variantOf parses one element of that list.
func variantOf(text []byte) (VariantAsk, error) {
	var ask struct{ Name, Options string }
	if text[0] == '"' && json.Unmarshal(text, &ask.Name) == nil {
		if strings.Contains(ask.Name, ":") {
			ask.Options = ask.Name
		}
	} else if text[0] != '{' || strictly(text, &ask) != nil {
		return VariantAsk{}, errors.New("a variant is a name, or an object with name and options and nothing else")
	}
	ask.Name = cmp.Or(ask.Name, ask.Options)
	if ask.Name == "" || len(ask.Name) > maxVariantSize || len(ask.Options) > maxVariantSize {
		return VariantAsk{}, fmt.Errorf("a variant's name and options have 1 to %d bytes", maxVariantSize)
	}
	return VariantAsk(ask), nil
}

func callbackOf(text []byte) (*Callback, error) {
	var c struct {
		URL    string
		Events []string
	}
	if strictly(text, &c) != nil || c.URL == "" {
		return nil, errors.New("no object with a url, perhaps events, and nothing else")
	}
	for _, e := range c.Events {
		if e != "job.done" && e != "image.broken" {
			return nil, errors.New("the events are job.done and image.broken")
		}
	}
	return &Callback{URL: c.URL, Events: c.Events}, nil
}
