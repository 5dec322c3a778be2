package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/goldcrest/goldcrest/secretfile"
)

// secretFiles are the settings that name a secret file, and the files.
func (c Config) secretFiles() map[string]string {
	files := map[string]string{}
	eachValue(reflect.ValueOf(c), "", func(m member, path string, v reflect.Value) {
		if m.file && v.String() != "" {
			files[path] = v.String()
		}
	})
	if c.file != "" {
		files["the configuration file holds secrets"] = c.file
	}
	return files
}

// CheckSecretFiles checks who can access the files with keys and tokens, including the configuration itself if it has
// any. A file that another user can write or replace is an error: that user would control the server. The warnings name
// those that everyone can read, as mounted secrets often are on purpose. A missing file is left to its reader, which
// checks the opened file again.
func (c Config) CheckSecretFiles() (warnings []string, err error) {
	var errs []error
	files := c.secretFiles()
	for _, setting := range slices.Sorted(maps.Keys(files)) {
		warning, err := secretfile.Check(files[setting])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", setting, err))
		}
		if warning != "" {
			warnings = append(warnings, setting+": "+warning)
		}
	}
	return warnings, errors.Join(errs...)
}

// holdsSecrets reports whether any value that is tagged as a secret is set.
func holdsSecrets(root reflect.Value) (found bool) {
	eachValue(root, "", func(m member, _ string, v reflect.Value) { found = found || m.secret && !v.IsZero() })
	return found
}

// eachValue calls visit for every value below the struct v that is not a section, with its path. Elements of lists of
// sections have their index in it, those of maps their name.
func eachValue(v reflect.Value, parent string, visit func(m member, path string, v reflect.Value)) {
	for _, m := range members(v.Type()) {
		f, path := v.FieldByIndex(m.index), join(parent, m.name)
		switch {
		case f.Kind() == reflect.Struct:
			eachValue(f, path, visit)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for i := range f.Len() {
				eachValue(f.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
			}
		case f.Kind() == reflect.Map:
			for name, value := range f.Seq2() {
				visit(m, join(path, name.String()), value)
			}
		default:
			visit(m, path, f)
		}
	}
}
