package unit

import (
	"net/url"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// hostile is a document that looks like a call, and in it something that looks like a wrapped unit.
const hostile = `{"urls": ["https://evil.example/a.jpg"], "variants": ["w:1"], "priority": "high", "ttl": "87600h", "callback": {"url": "https://evil.example/hook"},
	"data_units": [{"data": {"photo": "https://evil.example/b.jpg"}, "variants": ["w:2"], "select": "$.none", "budget": 5000}], "photo": "https://c.example/c.jpg"}`

// wrapper is a document that looks like a wrapped unit.
const wrapper = `{"id": "u", "data": {"photo": "https://c.example/c.jpg"}, "variants": ["w:2"], "select": "$.none", "budget": 5000}`

// If the reading is fixed by the query or the token, nothing in a document sets a field of the call or of its unit.
func TestADocumentIsNotACall(t *testing.T) {
	for _, doc := range []string{hostile, wrapper} {
		for _, x := range []struct{ body, media, query, token string }{
			{doc, "application/json", "body=unit", ""}, {doc, "application/json", "", "unit"},
			{"[" + doc + "," + doc + "]", "application/json", "body=units", ""}, {"[" + doc + "]", "application/json", "", "units"},
			{strings.ReplaceAll(doc, "\n", " "), lines, "body=units", ""}, {strings.ReplaceAll(doc, "\n", " "), lines, "body=unit", ""},
			{`{"data_units": [` + doc + `]}`, "application/json", "body=envelope", ""},
			{`{"data_units": [` + doc + `], "wrapped": false}`, "application/json", "", ""},
			{`{"data_units": [{"data": ` + doc + `}], "wrapped": true}`, "application/json", "body=envelope", ""},
			{`{"data_units": [{"data": ` + doc + `}], "wrapped": true}`, "application/json", "", "envelope"},
		} {
			q, err := url.ParseQuery(x.query)
			if err != nil {
				t.Fatal(err)
			}
			rules := Rules{}
			if x.token != "" {
				rules.Bodies = []string{x.token}
			}
			call, err := parseCall(strings.NewReader(x.body), x.media, "", q, rules)
			if err != nil {
				t.Errorf("%s as %q %q: %v", x.body, x.query, x.token, err)
				continue
			}
			if call.Variants != nil || call.Priority != "" || call.TTL != 0 || call.Callback != nil || len(call.Units) != strings.Count(x.body, doc) && x.media != lines {
				t.Errorf("%s as %q %q: the call is %+v", x.body, x.query, x.token, call)
			}
			for _, u := range call.Units {
				if u.Err != nil || u.Variants != nil || u.Select != nil || u.Budget != 0 || len(u.Images) == 0 || !strings.Contains(string(u.Data), `"variants"`) {
					t.Errorf("%s as %q %q: the unit is %+v", x.body, x.query, x.token, u)
				}
			}
		}
	}
}

// Envelopes posted without a reading still work, and the fields of the call itself count.
func TestEnvelopesGoOn(t *testing.T) {
	call, err := parse(t, hostile[:strings.LastIndex(hostile, `, "photo"`)]+"}", "application/json", "")
	if err != nil || call.Priority != "high" || call.Callback == nil || len(call.Units) != 2 || call.Units[0].Variants == nil {
		t.Errorf("without a word: %+v, %v", call, err)
	}
	call, err = parse(t, `{"wrapped": true, "data_units": [`+wrapper+`, {"photo": "https://c.example/d.jpg"}]}`, "application/json", "body=envelope")
	if err != nil || call.Units[0].Variants == nil || call.Units[0].Budget != 5000 || call.Units[1].Err == nil {
		t.Errorf("where the call says that units are wrapped: %+v, %v", call, err)
	}
}

func TestReadingRefusals(t *testing.T) {
	unit := `{"photo": "https://c.example/c.jpg"}`
	for _, x := range []struct {
		body, media, query string
		token              []string
		want               fault.Kind
	}{
		{unit, "", "body=document", nil, fault.BadOption}, {unit, "", "body=unit&body=envelope", nil, fault.BadOption},
		{unit, "", "body=envelope", nil, fault.BadUnit}, {"[" + unit + "]", "", "body=envelope", nil, fault.BadUnit}, {unit, lines, "body=envelope", nil, fault.BadUnit},
		{unit, "", "body=units", nil, fault.BadUnit}, {"[" + unit + "]", "", "body=unit", nil, fault.BadUnit}, {unit + "\n" + unit, lines, "body=unit", nil, fault.BadUnit},
		{unit, "", "body=envelope", []string{BodyUnit}, fault.ForbiddenScope}, {unit, "", "", []string{BodyUnit, BodyUnits}, fault.ForbiddenScope},
		{unit, "", "body=unit", []string{BodyUnit, BodyUnits}, ""}, {unit, "", "body=unit", nil, ""},
		{`{"data_units": [], "wrapped": "yes"}`, "", "", nil, fault.BadOption},
	} {
		q, err := url.ParseQuery(x.query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseCall(strings.NewReader(x.body), x.media, "", q, Rules{Bodies: x.token})
		if fault.KindOf(err) != x.want {
			t.Errorf("%s as %s %q, token %v: %v, want %q", x.body, x.media, x.query, x.token, err, x.want)
		}
	}
}
