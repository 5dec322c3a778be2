package purge_test

import (
	"testing"

	"github.com/goldcrest/goldcrest/purge"
	"github.com/goldcrest/goldcrest/purge/purgetest"
)

// A fake must not be kinder than what it stands for.
func TestFakeLogConforms(t *testing.T) {
	purgetest.RunLog(t, func(*testing.T) purge.Log { return purgetest.NewLog().Handle() })
}
