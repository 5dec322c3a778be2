package e2e

import (
	"encoding/json"
	"testing"
)

// /info describes an original by its file and its picture. The real worker makes it once, and it is cached like a
// variant.
func TestInfo(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	path := "/info" + signed("size:1", o.URL+"/photos/product-saw.jpg")
	cold := s.get(path)
	if cold.StatusCode != 200 {
		t.Fatalf("got %d: %s", cold.StatusCode, cold.body)
	}
	cold.want(t, "Content-Type", "application/json")
	var told struct {
		Format, Kind        string
		Width, Height, Size int
		Dominant            string `json:"dominant_color"`
		Placeholder         string `json:"thumbhash"`
	}
	if err := json.Unmarshal(cold.body, &told); err != nil {
		t.Fatal(err)
	}
	original := photo(t, "product-saw.jpg")
	if told.Format != "jpeg" || told.Kind != "photo" || told.Size != len(original) || told.Placeholder == "" ||
		len(told.Dominant) != 7 || told.Width < 100 || told.Height < 100 {
		t.Errorf("got %s", cold.body)
	}
	s.get(path).want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	if got := o.count("/photos/product-saw.jpg"); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
}
