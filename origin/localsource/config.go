package localsource

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
)

// Root is a directory whose files may be fetched.
type Root struct {
	// At is the path prefix of sources in the directory: with "/shop", local:///shop/a.jpg is a.jpg in the directory.
	// If several match, the longest one applies. Empty = "/", which is every path.
	At string `yaml:"at"`
	// Dir is the directory. Nothing outside it is read, wherever its symbolic links point.
	Dir string `yaml:"dir"`
}

// at is the root's prefix with one trailing slash.
func (r Root) at() string { return strings.TrimSuffix(path.Clean("/"+r.At), "/") + "/" }

// String describes the entry.
func (r Root) String() string { return "local://" + r.at() + ": files below " + r.Dir }

// Validate reports every invalid value, without looking at directories.
func Validate(roots []Root) error {
	var bad invalid.Values
	seen := map[string]bool{}
	for i, r := range roots {
		bad.If(!filepath.IsAbs(r.Dir), "origin.local: entry %d: dir %q is not an absolute path", i+1, r.Dir)
		bad.If(r.At != "" && r.At[0] != '/', "origin.local: entry %d: at %q does not begin with /", i+1, r.At)
		bad.If(seen[r.at()], "origin.local: entry %d: at %q is given twice", i+1, r.at())
		seen[r.at()] = true
	}
	return bad.Err()
}
