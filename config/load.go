package config

import (
	"fmt"
	"reflect"

	"github.com/goldcrest/goldcrest/secretfile"
	"github.com/goldcrest/goldcrest/transform"
)

// maxFile is the maximum size of the configuration file in bytes.
const maxFile = 16 << 20

// Load reads the defaults, over them the file at path ("" = no file), and over it the GOLDCREST_ variables of environ
// (in the form of os.Environ). It keeps no state: a reload is another Load. It does not validate: the caller completes
// the Config and calls Validate.
func Load(path string, environ []string) (Config, error) {
	c := Default()
	root := reflect.ValueOf(&c).Elem()
	if path != "" {
		var bad error
		err := secretfile.ReadIf(path, maxFile, func(text []byte) (bool, error) {
			bad = decodeFile(path, text, root)
			return bad == nil && holdsSecrets(root), bad
		})
		switch {
		case bad != nil:
			return Config{}, bad
		case err != nil:
			return Config{}, fmt.Errorf("the configuration file cannot be read: %w", err)
		}
		if holdsSecrets(root) {
			c.file = path
		}
	}
	if err := decodeEnviron(environ, root); err != nil {
		return Config{}, err
	}
	c.Transform.Mark = transform.ReadMark(c.Transform.Watermark)
	return c, nil
}
