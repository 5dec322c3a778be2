package codec

import (
	"testing"
)

func TestWarm(t *testing.T) {
	for _, engine := range []string{"", EngineVips, EngineBimg} {
		c := mustNew(t, engine)
		if err := c.Warm(); err != nil {
			t.Errorf("engine %q: %v", engine, err)
		}
		v := c.Versions()
		for _, name := range []string{"engine", "libvips", "bimg", "go", "quality"} {
			if v[name] == "" {
				t.Errorf("engine %q: Versions() lacks %s: %v", engine, name, v)
			}
		}
		t.Log(v)
	}
}

func TestNewRefusesUnknownEngine(t *testing.T) {
	if _, err := New("magick"); err == nil {
		t.Error("New(magick) = nil, want an error")
	}
}
