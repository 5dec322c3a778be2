// Package invalid collects the reasons why a configuration is refused.
package invalid

import (
	"errors"
	"fmt"
)

// Values are the invalid values of a configuration; the zero Values has none.
type Values struct{ errs []error }

// If adds a reason, in the format of fmt.Errorf, if the value is bad.
func (v *Values) If(bad bool, format string, args ...any) {
	if bad {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

// Add adds the reasons of err, if it has any, after the path of the key that they are about.
func (v *Values) Add(key string, err error) {
	v.If(err != nil, "%s: %w", key, err)
}

// Err joins the reasons with those of others; nil if there are none.
func (v *Values) Err(others ...error) error { return errors.Join(append(v.errs, others...)...) }
