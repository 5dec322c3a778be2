package codec

import (
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/check"
	"github.com/goldcrest/goldcrest/variant"
)

// The promises are kept on the libraries of the distributions.
func TestPromises(t *testing.T) {
	all, err := check.Promises(mustNew(t, ""))
	final, formats := 0, 3
	if writes(variant.JXL) {
		formats++
	}
	for _, p := range all {
		if p.Final {
			final++
		}
		if !p.Kept() {
			t.Errorf("not kept: %+v", p)
		}
	}
	if err != nil || final != 2*formats || len(all) == final {
		t.Errorf("%d promises, %d of final answers, error %v", len(all), final, err)
	}
}
