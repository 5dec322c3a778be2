package server

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// TestAcceptVectors answers as the codec does: in the negotiated format, or as PNG where that is a JPEG, alpha is there
// and the client takes PNG.
func TestAcceptVectors(t *testing.T) {
	for _, row := range corpusRows(t, "accept.tsv") {
		t.Run(row["id"], func(t *testing.T) {
			f := newFixture(t, nil)
			f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
				e := testEntry(ref)
				if strings.Contains(row["source"], "alpha") && ref.Spec.Format == variant.JPEG && ref.Spec.Accepts.Has(variant.PNG) {
					e.ContentType = variant.PNG.MediaType()
				}
				return pipeline.Answer{Entry: e, Outcome: pipeline.Miss}, nil
			}
			var headers []string
			if row["accept"] != "(absent)" {
				headers = append(headers, "Accept: "+row["accept"])
			}
			w := f.do("GET", f.url("", photo), headers...)
			got := w.Header().Get("Content-Type")
			allowed, _, _ := strings.Cut(row["expected_media_type"], ",")
			ok := false
			for media := range strings.SplitSeq(allowed, " or ") {
				ok = ok || got == media
			}
			if w.Code != 200 || !ok {
				t.Errorf("Accept %q: %d %s, want %s", row["accept"], w.Code, got, row["expected_media_type"])
			}
			header(t, w, "Vary", "Accept")
		})
	}
}

// TestSignatureNegativeVectors changes a good URL in each way of the corpus.
func TestSignatureNegativeVectors(t *testing.T) {
	f := newFixture(t, nil)
	good := f.url("w:480", photo)
	signature, path, _ := strings.Cut(good[1:], "/")
	other, err := signing.New(signing.Config{Keys: []signing.Key{{Key: otherKey, Salt: "5a17"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Sign("", "/"+path)
	if err != nil {
		t.Fatal(err)
	}
	expiring := func(d time.Duration) string {
		return f.url("w:480/exp:"+strconv.FormatInt(testNow.Add(d).Unix(), 10), photo)
	}
	flipped := []byte(good)
	flipped[5] ^= 1
	at := strings.LastIndexByte(good, '/') + 8
	targets := map[string]string{
		"n01": string(flipped),
		"n02": "/" + signature[:len(signature)-1] + "/" + path,
		"n03": "//" + path,
		"n04": strings.Replace(f.url("w:481", photo), "w:481", "w:480", 1),
		"n05": foreign,
		"n06": strings.Replace(good, "w:480", "w:481", 1),
		"n07": good[:at] + string(good[at]^1) + good[at+1:],
		"n08": good + "?x=1",
		"n09": good + "/",
		"n10": expiring(-time.Second),
		"n11": expiring(0),
		"n12": expiring(time.Minute),
		"n13": strings.Replace(expiring(time.Minute), "/exp:"+strconv.FormatInt(testNow.Add(time.Minute).Unix(), 10), "", 1),
		"n14": "/" + strings.ToUpper(signature) + "/" + path,
	}
	f.do("GET", good)
	want := f.images.asked[0].Key()
	for _, row := range corpusRows(t, "signature-negative.tsv") {
		target, ok := targets[row["id"]]
		if !ok {
			t.Errorf("%s (%s): no test", row["id"], row["change"])
			continue
		}
		before := f.images.gets
		w := f.do("GET", target)
		if row["id"] == "n08" {
			if w.Code == 200 && f.images.asked[len(f.images.asked)-1].Key() != want {
				t.Errorf("n08: a second key %s", f.images.asked[len(f.images.asked)-1].Key())
			}
			continue
		}
		if !strings.Contains(row["expected"], strconv.Itoa(w.Code)) {
			t.Errorf("%s (%s): status %d, want %s", row["id"], row["change"], w.Code, row["expected"])
		}
		if w.Code != 200 && f.images.gets != before {
			t.Errorf("%s: the pipeline was asked", row["id"])
		}
	}
}
