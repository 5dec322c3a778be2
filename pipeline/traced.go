package pipeline

import (
	"errors"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
)

// failure is how a step's span ends. What was not there, or was purged meanwhile, is no failure.
func failure(err error) string {
	if errors.Is(err, cache.ErrMiss) || errors.Is(err, cache.ErrPurged) {
		return ""
	}
	return string(fault.KindOf(err))
}
