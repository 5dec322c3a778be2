package config

import (
	"fmt"
	"os"
	"reflect"
)

// Load reads the defaults, over them the file at path ("" = no file), and over it the GOLDCREST_ variables of environ (as
// os.Environ gives them). It keeps nothing: a reload is another Load. Values are read, not judged: the caller completes the
// Config and calls Validate.
func Load(path string, environ []string) (Config, error) {
	c := Default()
	root := reflect.ValueOf(&c).Elem()
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return Config{}, fmt.Errorf("the configuration file cannot be read: %w", err)
		}
		if err := decodeFile(path, text, root); err != nil {
			return Config{}, err
		}
	}
	if err := decodeEnviron(environ, root); err != nil {
		return Config{}, err
	}
	return c, nil
}
