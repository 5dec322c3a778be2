package dirstore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A store of an older version is read after an upgrade. Entries are written as that version wrote them, so that it can
// read them after a way back.
func TestEntryOfAnOlderVersion(t *testing.T) {
	const kept, key = "testdata/v0.7", "v1/65/6564a6de35e2fab61ea4a4a4f5c4ab83/rs_fit_48_0,any_wpjg.webp"
	dir := filepath.Join(memoryDir(t), "store")
	if err := os.CopyFS(dir, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, Config{Dir: dir})
	e, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if e.ContentType != "image/webp" || e.Recipe != 10 || len(e.Body) != 130 || e.Created.Unix() != 1796055896 ||
		e.Attrs["target"] != "70" {
		t.Errorf("got %+v", e.Meta)
	}
	if n, err := s.Delete(t.Context(), key); err != nil || n != 1 {
		t.Fatalf("%d entries were removed: %v", n, err)
	}
	if err := s.Put(t.Context(), key, e); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(filepath.Join(kept, key))
	if err != nil {
		t.Fatal(err)
	}
	is, err := os.ReadFile(filepath.Join(dir, key))
	if err != nil || !bytes.Equal(is, was) {
		t.Errorf("%v: it was\n%q\nand is written as\n%q", err, was, is)
	}
}
