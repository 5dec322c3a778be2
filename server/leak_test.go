package server

import (
	"testing"

	"go.uber.org/goleak"
)

// No test leaves a goroutine behind. net/http waits for half a second where it closes a connection before its request's
// body has come.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
