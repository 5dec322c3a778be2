package hits

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

func TestFirstAnswerWaitsForItsServer(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("ok")) // The client is in this test.
	}))
	defer srv.Close()
	p, addr := &rig.Proc{Done: make(chan struct{})}, srv.Listener.(*net.TCPListener).Addr().String()
	took, err := firstAnswer(t.Context(), p, addr, rig.RawRequest("/"), time.Now().Add(-time.Second))
	if took < 1000 || err != nil || asked != 3 {
		t.Errorf("%v ms and %d requests, %v", took, asked, err)
	}
}
