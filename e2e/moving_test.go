package e2e

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Where it is allowed and libheif can, an animation is an AVIF for clients of AVIF, made and scored in the sandbox. It
// keeps its frames, which other clients get as WebP.
func TestAnimatedAVIF(t *testing.T) {
	corpus(t)
	if told, err := exec.Command(binary, "version").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, told)
	} else if regexp.MustCompile(`animated_avif +no encoder`).Match(told) {
		t.Skip("this libheif writes no sequences: libheif 1.23 does")
	}
	o := startOrigin(t)
	s := start(t, "GOLDCREST_TRANSFORM_MAX_FRAMES=60", "GOLDCREST_TRANSFORM_ANIMATED_AVIF=true",
		"GOLDCREST_SERVER_DEADLINE=60s", "GOLDCREST_TRANSFORM_TIMEOUT=50s")
	for options, want := range map[string][2]string{
		"w:64":          {"image/avif", "ftypavis"},
		"w:64/f:avif":   {"image/avif", "ftypavis"},
		"w:64/f:webp":   {"image/webp", "ANIM"},
		"w:64/maf:3/f:": {"image/avif", "ftypavif"},
	} {
		a := s.get(signed(strings.TrimSuffix(options, "/f:"), o.URL+"/photos/cradle-anim.gif"),
			"Accept", "image/avif,image/webp,*/*")
		a.want(t, "Content-Type", want[0])
		if a.StatusCode != 200 || !bytes.Contains(a.body[:min(64, len(a.body))], []byte(want[1])) {
			t.Errorf("%s: %d, %.64q", options, a.StatusCode, a.body)
		}
		if still := a.Header.Get("Goldcrest-Frames"); (still != "") != (want[1] == "ftypavif") {
			t.Errorf("%s: Goldcrest-Frames: %q", options, still)
		}
	}
	if strings.Contains(s.log.String(), "worker died") {
		t.Error(s.log)
	}
}
