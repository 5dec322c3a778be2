package bucketevents

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
)

// only are rights for one host.
type only string

func (o only) AllowsSource(source string) bool {
	return strings.HasPrefix(source, "https://"+string(o))
}
func (o only) Hosts() (all reach.Hosts) { return all }
func (o only) AllowsPreset(string) bool { return true }

// recorded is a Taker that notes what it does.
func recorded() (t Taker, did *[]string, fail map[string]error) {
	did, fail = &[]string{}, map[string]error{}
	note := func(what string) error {
		*did = append(*did, what)
		return fail[strings.Fields(what)[0]]
	}
	return Taker{
		Rules: func() (Rules, unit.Rules) {
			return Rules{
				{Bucket: "photos", Source: "https://photos.example/{key}"},
				{Bucket: "other", Source: "https://other.example/{key}"},
			}, unit.Rules{}
		},
		Act: func() (intake.Caller, error) {
			return intake.Caller{Name: "store", Key: "k1", Rights: only("photos.example")}, note("act")
		},
		Purge: func(_ context.Context, sources []string) error { return note(fmt.Sprint("purge ", sources)) },
		Accept: func(_ context.Context, owner string, c unit.Call) error {
			source := c.Units[0].Images[0].Source
			return note(fmt.Sprint("accept ", owner, " ", c.Key, " ", c.Request, " ", source, " ", c.Rights != nil))
		},
	}, did, fail
}

func body(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTake(t *testing.T) {
	const source = "https://photos.example/products/red%20shoe+1.jpg"
	elsewhere := []byte(strings.ReplaceAll(string(body(t, "s3-put.json")), `"photos"`, `"other"`))
	for name, tt := range map[string]struct {
		body       []byte
		unreadable string
		fails      string
		with       fault.Kind
		did        string
		want       fault.Kind
		text       string
	}{
		"written": {
			body: body(t, "s3-put.json"), did: "act, purge [" + source + "], accept store k1 m-1 " + source + " true",
		},
		"deleted": {body: body(t, "s3-delete.json"), did: "act, purge [" + source + "]"},
		"a test":  {body: body(t, "s3-test.json"), did: "act"},
		"nonsense": {
			body: []byte("{}"),
			want: fault.BadUnit, text: "the body is neither a notification of S3 nor an event of EventBridge",
		},
		"unreadable": {unreadable: "no base64", want: fault.BadUnit, text: "no base64"},
		"beyond the token": {
			body: elsewhere, did: "act",
			want: fault.SourceNotAllowed, text: "the token may not ask for the source",
		},
		"too often": {
			body: body(t, "s3-put.json"), fails: "act", with: fault.RateLimited, did: "act",
			want: fault.RateLimited, text: "no",
		},
		"the store fails": {
			body: body(t, "s3-put.json"), fails: "purge", with: fault.Overloaded,
			did: "act, purge [" + source + "]", want: fault.Overloaded, text: "no",
		},
		"the queue is full": {
			body: body(t, "s3-put.json"), fails: "accept", with: fault.QueueFull,
			did:  "act, purge [" + source + "], accept store k1 m-1 " + source + " true",
			want: fault.QueueFull, text: "no",
		},
	} {
		taker, did, fail := recorded()
		if tt.fails != "" {
			fail[tt.fails] = fault.New(tt.with, "test", "no", nil)
		}
		err := taker.Take(t.Context(), intake.Message{ID: "m-1", Body: tt.body, Unreadable: tt.unreadable})
		public := ""
		if err != nil {
			public = fault.Of(err).Public
		}
		if fault.KindOf(err) != tt.want || public != tt.text || strings.Join(*did, ", ") != tt.did {
			t.Errorf("%s: %v after %q", name, err, *did)
		}
	}
}
