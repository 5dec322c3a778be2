package localsource

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
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

// Validate reports the first invalid value, without looking at directories.
func Validate(roots []Root) error {
	var errs []error
	seen := map[string]bool{}
	for i, r := range roots {
		if !filepath.IsAbs(r.Dir) {
			errs = append(errs, fmt.Errorf("origin.local: entry %d: dir %q is no absolute path", i+1, r.Dir))
		}
		if r.At != "" && !strings.HasPrefix(r.At, "/") {
			errs = append(errs, fmt.Errorf("origin.local: entry %d: at %q does not begin with /", i+1, r.At))
		}
		if seen[r.at()] {
			errs = append(errs, fmt.Errorf("origin.local: entry %d: at %q is given twice", i+1, r.at()))
		}
		seen[r.at()] = true
	}
	return errors.Join(errs...)
}
