package trust

import (
	"bytes"
	"image/jpeg"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

// Each version of a picture is distinguishable from the others after two encodes.
func TestVersionOfPictureSurvivesTwoEncodes(t *testing.T) {
	c := &chaos{sources: []*chaosSource{{}}}
	for version := range int64(maxVersion + 1) {
		c.sources[0].version.Store(version)
		w := httptest.NewRecorder()
		c.picture(w, httptest.NewRequest("GET", "/0.jpg", nil))
		img, err := jpeg.Decode(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := jpeg.Encode(&again, img, &jpeg.Options{Quality: 60}); err != nil {
			t.Fatal(err)
		}
		if img, err = jpeg.Decode(&again); err != nil || versionOf(img) != version {
			t.Errorf("version %d is told as %d (%v)", version, versionOf(img), err)
		}
	}
}

// A run that finds a verdict without its picture, or one too many, reports it.
func TestChaosTellsBrokenPromises(t *testing.T) {
	c := &chaos{sources: []*chaosSource{{url: "a"}, {n: 1, url: "b"}, {n: 2, url: "purged since"}}}
	at := time.Now()
	c.sources[2].quiet.Store(at.UnixNano())
	var verdicts []client.Verdict
	for _, s := range c.sources {
		verdicts = append(verdicts, client.Verdict{Source: s.url, Name: "j", State: "made", At: at})
	}
	c.checkVerdicts(verdicts, map[variantOf]bool{{"a", chaosVariants[0].Options}: true})
	c.checkHit(0, c.sources[1], hitInMemory)
	c.count.fetches.Store(1)
	c.checkCauses()
	if err := c.verdict(7); err == nil || c.wrong != 3 || c.count.judged.Load() != 2 || c.count.unjudged.Load() != 1 || !strings.Contains(err.Error(), "seed 7") {
		t.Errorf("%v; %d judged, %d not", err, c.count.judged.Load(), c.count.unjudged.Load())
	}
}
