package fault

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"prewarm", "sign", "purge", "server.listen", "cache.max_age", "hooks", "hook.key_file"}
	for _, tt := range []struct{ wrong, nearest, meant string }{
		{"prewram", "prewarm", "prewarm"},
		{"sing", "sign", "sign"},
		{"server.lisen", "server.listen", "server.listen"},
		{"hook.key", "hook.key_file", ""},
		{"x", "sign", ""},
	} {
		if got := Nearest(tt.wrong, known); got != tt.nearest {
			t.Errorf("nearest to %q is %q, want %q", tt.wrong, got, tt.nearest)
		}
		if got := Meant(tt.wrong, known); got != tt.meant {
			t.Errorf("%q means %q, want %q", tt.wrong, got, tt.meant)
		}
	}
	if got := Meant("x", []string{"o"}); got != "" {
		t.Errorf("one letter means %q", got)
	}
}
