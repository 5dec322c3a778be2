package bucketevents

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// The documents of testdata are those that S3, EventBridge, SNS, MinIO and versitygw send, and what they say.
func TestRead(t *testing.T) {
	written := func(key string) []Event { return []Event{{Bucket: "photos", Key: key, Escaped: true}} }
	for file, want := range map[string][]Event{
		"s3-put.json":             written("products/red+shoe%2B1.jpg"),
		"s3-delete.json":          {{Bucket: "photos", Key: "products/red+shoe%2B1.jpg", Escaped: true, Deleted: true}},
		"s3-expired.json":         {{Bucket: "photos", Key: "old.jpg", Escaped: true, Deleted: true}},
		"s3-tagging.json":         nil,
		"s3-test.json":            nil,
		"sns.json":                written("products/a.jpg"),
		"minio-put.json":          written("products%2Fa.jpg"),
		"versitygw-put.json":      written("products/red shoe+1.jpg"),
		"versitygw-test.json":     nil,
		"eventbridge-put.json":    {{Bucket: "photos", Key: "products/red shoe+1.jpg"}},
		"eventbridge-delete.json": {{Bucket: "photos", Key: "products/red shoe+1.jpg", Deleted: true}},
		"eventbridge-acl.json":    nil,
	} {
		body, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", file, got, err, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	record := `{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}`
	for name, body := range map[string]string{
		"empty": "", "not JSON": "{", "another document": `{"id":1}`, "a list": "[]", "null": "null",
		"no bucket":              `{"Records":[{"eventName":"ObjectCreated:Put","s3":{"object":{"key":"k"}}}]}`,
		"no key":                 `{"source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":"b"}}}`,
		"a message that is none": `{"Type":"Notification","Message":"hello"}`,
		"SNS within SNS":         `{"Type":"Notification","Message":"{\"Type\":\"Notification\",\"Message\":\"{}\"}"}`,
		"too many records":       `{"Records":[` + strings.Repeat(record+",", maxEvents) + record + `]}`,
	} {
		if got, err := Read([]byte(body)); fault.KindOf(err) != fault.BadUnit {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	rules := Rules{{Bucket: "photos", Source: "https://photos.example/{key}", Suffixes: []string{""}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Read(body)
		if err != nil && fault.KindOf(err) != fault.BadUnit {
			t.Fatal(err)
		}
		if _, err := rules.Plan(t.Context(), events, unit.Rules{}); err != nil && fault.KindOf(err) != fault.BadUnit {
			t.Fatal(err)
		}
	})
}

// sources are those of a plan's calls, call by call.
func sources(p Plan) (all [][]string) {
	for _, c := range p.Calls {
		var one []string
		for _, u := range c.Units {
			for _, i := range u.Images {
				one = append(one, u.ID+" "+i.Source)
			}
		}
		all = append(all, one)
	}
	return all
}

func TestPlan(t *testing.T) {
	rules := Rules{
		{Bucket: "photos", Source: "https://photos.example/{key}", Variants: []string{"std"}},
		{Bucket: "photos", Prefix: "products/", Source: "s3://{bucket}/{key}", Priority: "high", WriteOnce: true},
		{Bucket: "raw", Source: "https://raw.example/{key}?v=1", Suffixes: []string{""}, PlainKeys: true},
	}
	put := func(bucket, key string) Event { return Event{Bucket: bucket, Key: key, Escaped: true} }
	gone := func(e Event) Event { e.Deleted = true; return e }
	for name, tt := range map[string]struct {
		events  []Event
		purge   []string
		calls   string
		ignored int
	}{
		"nothing": {},
		"the longest prefix counts": {
			events: []Event{put("photos", "a.jpg"), put("photos", "products/b.jpg")},
			purge:  []string{"https://photos.example/a.jpg"},
			calls:  "[[photos/a.jpg https://photos.example/a.jpg] [photos/products/b.jpg s3://photos/products/b.jpg]]",
		},
		"keys are unescaped, and escaped again": {
			events: []Event{put("photos", "a+b%2B%3F%23c/d%25.JPG")},
			purge:  []string{"https://photos.example/a%20b+%3F%23c/d%25.JPG"},
			calls:  "[[photos/a b+?#c/d%.JPG https://photos.example/a%20b+%3F%23c/d%25.JPG]]",
		},
		"keys that are not escaped": {
			events: []Event{put("raw", "a+b%41")},
			purge:  []string{"https://raw.example/a+b%2541?v=1"},
			calls:  "[[raw/a+b%41 https://raw.example/a+b%2541?v=1]]",
		},
		"a deletion purges": {
			events: []Event{gone(put("photos", "products/b.jpg"))},
			purge:  []string{"s3://photos/products/b.jpg"}, calls: "[]",
		},
		"the last event of an object counts": {
			events: []Event{
				put("photos", "a.jpg"), gone(put("photos", "a.jpg")),
				gone(put("photos", "b.jpg")), put("photos", "b.jpg"),
			},
			purge: []string{"https://photos.example/a.jpg", "https://photos.example/b.jpg"},
			calls: "[[photos/b.jpg https://photos.example/b.jpg]]",
		},
		"what no rule is for": {
			events: []Event{put("other", "a.jpg"), put("photos", "a.txt"), put("photos", "jpg")},
			calls:  "[]", ignored: 3,
		},
	} {
		p, err := rules.Plan(t.Context(), tt.events, unit.Rules{Limits: unit.DefaultLimits(), Bodies: []string{"unit"}})
		calls := fmt.Sprint(sources(p))
		same := reflect.DeepEqual(p.Purge, tt.purge) && p.Ignored == tt.ignored
		if err != nil || !same || calls != tt.calls && len(tt.events) > 0 {
			t.Errorf("%s: %+v, calls %s, %v", name, p, calls, err)
		}
		for _, c := range p.Calls {
			urgent := strings.HasPrefix(c.Units[0].Images[0].Source, "s3:")
			if !c.Again || c.Return != "none" || (c.Priority == "high") != urgent {
				t.Errorf("%s: the call is %+v", name, c)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	known := func(name string) bool { return name == "lite" }
	good := Rule{Bucket: "b", Source: "https://b.example/{key}", Variants: []string{"lite"}}
	if err := (Rules{good, {Bucket: "b", Prefix: "p/", Source: "s3://{bucket}/{key}"}}).Validate(known); err != nil {
		t.Error(err)
	}
	with := func(change func(*Rule)) Rules { r := good; change(&r); return Rules{r} }
	for said, rules := range map[string]Rules{
		"bucket is empty":       with(func(r *Rule) { r.Bucket = "" }),
		"has no {key}":          with(func(r *Rule) { r.Source = "https://b.example/" }),
		"is not an http, https": with(func(r *Rule) { r.Source = "ftp://b.example/{key}" }),
		"or s3 URL":             with(func(r *Rule) { r.Source = "/{key}" }),
		"https or s3":           with(func(r *Rule) { r.Source = "https://user:secret@b.example/{key}" }),
		"no preset \"std\"":     with(func(r *Rule) { r.Variants = []string{"std"} }),
		"none of low, normal":   with(func(r *Rule) { r.Priority = "urgent" }),
		"[1] (b): another rule": {good, good},
	} {
		err := rules.Validate(known)
		if err == nil || !strings.Contains(err.Error(), said) || !strings.HasPrefix(err.Error(), "prewarm.buckets[") {
			t.Errorf("%v: does not say %q", err, said)
		}
	}
}
